"""What the phones are to do for a post once it is out: its record, and its state transitions.

An engagement is recorded before its post is sent, so that no crash loses it::

    WAITING ──► STARTED ──► DONE
       ▲           │  ├───► FAILED      a part of it failed, or too many runs were interrupted
       └───────────┘  └───► WAITING     some platform has no outcome yet, or it is in quiet hours
    from WAITING and STARTED: SKIPPED    nothing to act on: the post failed, or it is too late
                              CANCELLED  the post or a run was cancelled, or a newer form replaces it
    from WAITING: DONE, FAILED           nothing more comes; no run could be started
    from DONE, FAILED, SKIPPED, CANCELLED: WAITING, only when a person asks for it again

STARTED means that a run has it. If that run sends no heartbeat any more, another one may take it over: what the first
one created on phones is on record under the engagement, and is not created again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reelflow.records.campaigns import caption_fingerprint
from reelflow.records.post_states import is_alive
from reelflow.records.posts import PostRequest


class EngagementState(StrEnum):
    """The state of an engagement."""

    WAITING = "WAITING"
    STARTED = "STARTED"
    DONE = "DONE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"

    @property
    def may_come_from(self) -> frozenset[EngagementState]:
        """The states that this one may follow."""
        return _MAY_COME_FROM[self]


OPEN = frozenset({EngagementState.WAITING, EngagementState.STARTED})
"""Something is still to be done."""
_MAY_COME_FROM = {
    EngagementState.WAITING: frozenset(EngagementState) - {EngagementState.WAITING},
    EngagementState.STARTED: OPEN,
    EngagementState.DONE: OPEN,
    EngagementState.FAILED: OPEN,
    EngagementState.SKIPPED: OPEN,
    EngagementState.CANCELLED: OPEN,
}


@dataclass(frozen=True)
class EngagedPost:
    """What tells the post of an engagement from others: whichever send brings it out, and whichever run asks for it."""

    service: str
    sha256: str
    caption_sha256: str
    scheduled_ms: int
    repeat: int

    @classmethod
    def of(cls, request: PostRequest, service: str) -> EngagedPost:
        """That of a post that is ready to be sent."""
        caption = caption_fingerprint(request.caption)
        return cls(service, request.video.sha256, caption, request.scheduled_ms, request.repeat)


@dataclass(frozen=True)
class PartResult:
    """What became of one part: its job and platform, the posts that it was about, its summary, whether it failed."""

    job: str
    platform: str
    urls: tuple[str, ...]
    summary: str
    failed: bool


@dataclass(frozen=True)
class NewEngagement:
    """What is asked for a post.

    Attributes:
        post: Which.
        account_ids: Where it is posted.
        form: What the phones do, as JSON; no secret is in it.
        file: The video's name, for people.
        host: The saved block of the PC that runs TikMatrix; empty if another machine does the phones' part.
        chatgpt: The saved block with the settings of ChatGPT; empty if none is needed.
        due: No run is started for it before, in Unix seconds.
    """

    post: EngagedPost
    account_ids: tuple[str, ...]
    form: Mapping[str, Any]
    file: str
    host: str = ""
    chatgpt: str = ""
    due: float = 0.0


@dataclass(frozen=True)
class Engagement(NewEngagement):
    """An engagement on record. Times are Unix seconds.

    Attributes:
        id: Ours.
        flow_run: The run that asked for it last.
        asked_at: When.
        state: How far it got.
        reason: Why, for people.
        owner: The attempt that has it.
        lease_until: Until when that attempt counts as alive.
        run: The flow run of that attempt.
        attempts: How many runs have had it, or were to have it, since it was asked for or last had to wait for phones.
        parts: What is done.
    """

    id: str = ""
    flow_run: str | None = None
    asked_at: float = 0.0
    state: EngagementState = EngagementState.WAITING
    reason: str = ""
    owner: str = ""
    lease_until: float = 0.0
    run: str | None = None
    attempts: int = 0
    parts: tuple[PartResult, ...] = ()

    @property
    def run_key(self) -> str:
        """Names the next run for it: whoever starts that run a second time gets the same one."""
        return f"{self.round_key}-{self.attempts}"

    @property
    def round_key(self) -> str:
        """Names the runs from when it was asked for, or last had to wait for its phones, until it has to wait again."""
        return f"engagement-{self.id}-{self.asked_at:.3f}-{self.due:.0f}"

    def is_held(self, now: float) -> bool:
        """Whether a live run has it."""
        return is_alive(self.lease_until, now)
