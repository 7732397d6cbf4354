"""When an account is on hold: its posts fail one after another, so that campaigns send nothing more there."""

from __future__ import annotations

from dataclasses import dataclass

from reelflow.records.post_states import PostState
from reelflow.records.posts import Account

HOLD_AFTER = 3
"""So many failures in a row: one may be the video's, two a coincidence. See docs/decisions.md."""
FAILURES = frozenset({PostState.FAILED, PostState.REFUSED})
"""A platform's no, and Taisly's."""
COUNTED = FAILURES | {PostState.SUCCESS}
"""What tells whether an account works. That a post is unconfirmed, or was cancelled, does not."""


@dataclass(frozen=True)
class Streak:
    """The failures of an account since its latest success or release.

    Attributes:
        failures: How many.
        since: When the first of them was settled, in Unix seconds.
        reason: Of the latest.
        held_at: When the account got on hold; None if it is not. Only a release ends that: posts that Taisly had
            before may succeed meanwhile, which says nothing of those that it refuses.
    """

    failures: int = 0
    since: float = 0.0
    reason: str = ""
    held_at: float | None = None

    @property
    def is_on_hold(self) -> bool:
        """Whether campaigns send nothing more to the account."""
        return self.held_at is not None

    def after(self, state: PostState, reason: str, at: float) -> Streak:
        """The streak once another post is settled, at `at` in Unix seconds."""
        if state in FAILURES:
            failures = self.failures + 1
            held_at = at if self.held_at is None and failures >= HOLD_AFTER else self.held_at
            return Streak(failures, self.since if self.failures else at, reason, held_at)
        return self if state not in COUNTED or self.is_on_hold else Streak()


@dataclass(frozen=True)
class Hold:
    """An account that is on hold.

    Attributes:
        service: Of its posts.
        account: As it was known when its latest post failed.
        streak: Why.
    """

    service: str
    account: Account
    streak: Streak
