"""State transitions of a destination, and what its send needs next.

A destination is one account of one post::

    CLAIMED ──► SENDING ──► ACCEPTED ──► SUCCESS | FAILED
       ▲           │            └──────► CANCELLED
       │           ├──► REFUSED
       │           └──► UNCONFIRMED      may be out
       ├── from SENDING: it is certain that nothing was posted
       └── from REFUSED and CANCELLED: nothing is out, so another run may claim it

    out of UNCONFIRMED: a person or a late answer decides: ACCEPTED, SUCCESS, REFUSED or CLAIMED
    ACCEPTED ──► UNCONFIRMED: no outcome for so long that a person has to look
    CLAIMED ──► ACCEPTED: a late answer to a send that was already given up

SUCCESS and FAILED are final: a platform has been known to report a failure and publish all the same.
"""

from __future__ import annotations

from enum import StrEnum


class PostState(StrEnum):
    """The state of one destination.

    PENDING is only ever shown, never stored: Taisly has, or may have, the post, and there is no outcome yet.
    """

    CLAIMED = "CLAIMED"
    SENDING = "SENDING"
    ACCEPTED = "ACCEPTED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    REFUSED = "REFUSED"
    UNCONFIRMED = "UNCONFIRMED"
    CANCELLED = "CANCELLED"
    PENDING = "PENDING"

    @property
    def in_flight(self) -> bool:
        """Whether Taisly has, or may have, the post, and there is no outcome yet."""
        return self in IN_FLIGHT

    @property
    def needs_attention(self) -> bool:
        """Whether a run that wanted the post out has failed with it."""
        return self in NEED_ATTENTION

    @property
    def may_come_from(self) -> frozenset[PostState]:
        """The states that this one may follow."""
        return _MAY_COME_FROM.get(self, frozenset())


WORDS = {
    PostState.SUCCESS: "published",
    PostState.FAILED: "failed",
    PostState.REFUSED: "refused",
    PostState.UNCONFIRMED: "unconfirmed",
    PostState.CANCELLED: "cancelled",
    PostState.CLAIMED: "not sent",
    PostState.SENDING: "open",
    PostState.ACCEPTED: "open",
    PostState.PENDING: "open",
}
"""The state of a post at one account in a word, as people and programs read it."""
SCHEDULED = "scheduled"
"""An open post whose time has not come."""
IN_FLIGHT = frozenset({PostState.SENDING, PostState.ACCEPTED})
NOT_OUT = frozenset({PostState.REFUSED, PostState.CANCELLED})
"""It is certain that nothing is out: the destination may be claimed again."""
TOLD_BY_PLATFORMS = frozenset({PostState.SUCCESS, PostState.FAILED})
"""Outcomes that Taisly's history reports for an account."""
BEING_SENT = frozenset({PostState.CLAIMED, PostState.SENDING})
"""A run has claimed the destination, and Taisly has not answered it."""
EXPLAINED = frozenset({PostState.REFUSED, PostState.UNCONFIRMED, PostState.CANCELLED})
"""Ended by us or by Taisly, without word from a platform: the reason is kept for people."""
NEED_ATTENTION = frozenset({PostState.FAILED, PostState.REFUSED, PostState.UNCONFIRMED, PostState.CLAIMED})
ALARMING = frozenset({PostState.FAILED, PostState.REFUSED, PostState.UNCONFIRMED})
"""A destination that gets into one of these is an alarm, whoever learns it."""
_WAITS_FOR_ITS_TIME = frozenset({PostState.ACCEPTED, PostState.PENDING})
_MAY_COME_FROM = {
    PostState.CLAIMED: frozenset({PostState.CLAIMED, PostState.SENDING, PostState.UNCONFIRMED}) | NOT_OUT,
    PostState.SENDING: frozenset({PostState.CLAIMED}),
    PostState.ACCEPTED: frozenset({PostState.CLAIMED, PostState.SENDING, PostState.UNCONFIRMED}),
    PostState.SUCCESS: frozenset({PostState.ACCEPTED, PostState.UNCONFIRMED}),
    PostState.FAILED: frozenset({PostState.ACCEPTED}),
    PostState.REFUSED: frozenset({PostState.SENDING, PostState.UNCONFIRMED}),
    PostState.UNCONFIRMED: frozenset({PostState.SENDING, PostState.ACCEPTED}),
    PostState.CANCELLED: frozenset({PostState.ACCEPTED}),
}


def word_of(state: PostState, *, is_scheduled: bool) -> str:
    """The state of a post at one account in one word.

    Args:
        state: At that account.
        is_scheduled: Whether the time of the post has not come.
    """
    return SCHEDULED if is_scheduled and state in _WAITS_FOR_ITS_TIME else WORDS[state]


class SendStatus(StrEnum):
    """What a send in flight calls for now; see `send_status`."""

    AT_WORK = "at work"
    """A live run is sending it: leave it alone."""
    ABANDONED = "abandoned"
    """Its run died before the upload was complete: nothing can be out."""
    ANSWER_LOST = "answer lost"
    """The upload was complete, and nobody knows the answer: look for it in the history."""
    DUE = "due"
    """Taisly has it, and its time has come: look for its outcome."""
    SCHEDULED = "scheduled"
    """Taisly has it, and its time has not come."""


def send_status(
    *,
    history_id: str | None,
    lease_until: float,
    sealed_at: float | None,
    scheduled_ms: int,
    now: float,
    clock_slack: float = 0.0,
) -> SendStatus:
    """What a send that has destinations in flight calls for.

    Args:
        history_id: Taisly's id, once it is known.
        lease_until: Unix seconds until which its run counts as alive.
        sealed_at: Unix seconds at which the last piece of the upload was released; None before.
        scheduled_ms: Unix milliseconds at which Taisly publishes it; 0 for at once.
        now: Unix seconds: one moment for all sends that are looked at together.
        clock_slack: Seconds by which Taisly's clock may be ahead of ours.
    """
    if history_id is not None:
        return SendStatus.DUE if scheduled_ms <= (now + clock_slack) * 1000 else SendStatus.SCHEDULED
    if is_alive(lease_until, now):
        return SendStatus.AT_WORK
    return SendStatus.ABANDONED if sealed_at is None else SendStatus.ANSWER_LOST


LONGEST_LEASE = 3900.0
"""Seconds; the longest pause that a service may ask for, and a little. A lease that ends later is one from before this
machine's clock was set back."""


def is_alive(lease_until: float, now: float) -> bool:
    """Whether the run that holds a lease counts as alive; both in Unix seconds."""
    return now < lease_until <= now + LONGEST_LEASE


def may_be_claimed(state: PostState, *, lease_until: float, sealed_at: float | None, now: float) -> bool:
    """Whether a run may claim a destination that an earlier one claimed.

    Args:
        state: Of the destination.
        lease_until: Unix seconds until which the earlier run counts as alive.
        sealed_at: Unix seconds at which the last piece of its upload was released; None before.
        now: Unix seconds.
    """
    if state in NOT_OUT:
        return True
    dead = not is_alive(lease_until, now)
    return dead and (state is PostState.CLAIMED or (state is PostState.SENDING and sealed_at is None))


def is_held(state: PostState, *, lease_until: float, now: float) -> bool:
    """Whether a live run is sending to a destination: another one waits for it."""
    return state in BEING_SENT and is_alive(lease_until, now)


def may_be_sent(state: PostState, *, lease_until: float, sealed_at: float | None, now: float) -> bool:
    """Whether a destination is certainly not out, or a live run is at it, for which another one waits.

    Args:
        state: Of the destination.
        lease_until: As for `may_be_claimed`.
        sealed_at: As for `may_be_claimed`.
        now: Unix seconds.
    """
    is_free = may_be_claimed(state, lease_until=lease_until, sealed_at=sealed_at, now=now)
    return is_free or is_held(state, lease_until=lease_until, now=now)


MISSED_SECONDS = 60.0
"""How long a history must not have shown a post whose answer was lost: one look may come at a bad moment."""


def settled_state(*, found: bool, age: float, missed_for: float, grace: float) -> PostState | None:
    """The outcome of a send whose answer was lost; None while it cannot be told.

    Args:
        found: Whether Taisly's history has a post that can only be this one.
        age: Seconds since the last piece of the upload was released.
        missed_for: Seconds since the history was first found not to show it.
        grace: Seconds within which the post may still appear in the history.
    """
    if found:
        return PostState.ACCEPTED
    return PostState.UNCONFIRMED if age > grace and missed_for >= min(grace, MISSED_SECONDS) else None


NOT_SHOWN_SECONDS = 3600.0
"""How long a history may not show a post that Taisly accepted, before it counts as deleted there."""
NO_OUTCOME_SECONDS = 24 * 3600.0
"""How long a platform may take to report an outcome."""


def overdue_reason(*, watched_for: float, missed_for: float) -> str | None:
    """Why a post that Taisly accepted is left to a person; None while its outcome is waited for.

    Args:
        watched_for: Seconds since its outcome was first looked for.
        missed_for: Seconds since the history was first found not to show it, and has not shown it since.
    """
    if missed_for > NOT_SHOWN_SECONDS:
        return "Taisly accepted the post, but its history no longer shows it"
    return "Taisly has not reported an outcome for a day" if watched_for > NO_OUTCOME_SECONDS else None
