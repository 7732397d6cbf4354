"""State transitions: a request to TikMatrix, and a phone task.

A request asks for tasks once::

    PLANNED ──► SENDING ──► CREATED
     │ ▲           ├──────► REFUSED       TikMatrix said no; nothing was created
     │ │           ├──────► NOT_CREATED   certainly nothing was created
     │ │           └──────► UNCONFIRMED   its answer was lost, and it may have created tasks that are no longer there
     │ └── from SENDING: certainly not sent, so it may be tried again
     ├──► REFUSED                         TikMatrix said no when it was asked for its highest task ID
     └──► NOT_CREATED                     cancelled before it was sent, or its run died before

    UNCONFIRMED ──► CREATED, NOT_CREATED: a person, or the number of a later task, has settled it
    UNCONFIRMED ──► CREATED, REFUSED:     a late answer
    NOT_CREATED ──► CREATED:              a late answer to a request that was already given up

A phone task lives in TikMatrix, and its record follows what is seen there::

    PENDING ◄─► RUNNING ──► COMPLETED
       ▲           └──► RETRYING ──► FAILED    once TikMatrix and we have stopped retrying it
       └───────────────────┘
    from any of PENDING, RUNNING, RETRYING:    any state; between two looks a task may do several steps, be deleted in
                                               TikMatrix (GONE) or by us (CANCELLED)
    from COMPLETED, FAILED and GONE:           PENDING, and only when a person retries it
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from reelflow.tikmatrix.wire import TaskStatus

LEASES_AHEAD = 2
"""How many leases from now a lease may end. One that ends later is from before this machine's clock was set back."""
GRACE = 600.0
"""Seconds after which no request creates tasks any more. TikMatrix answers in milliseconds."""
PROOF_SECONDS = 3 * 86400.0
"""Seconds for which the numbers of later tasks are looked at, to settle a request that is unconfirmed."""
AUTO_RETRY_SECONDS = 65.0
"""TikMatrix repeats a failed task after 5 to 60 s, so a failure is final only after that, and 5 s for its clock."""
AUTO_RETRY_MOST = 10
"""The highest number of repeats that TikMatrix's setting takes: a failure after them is final at once."""


class RequestState(StrEnum):
    """The state of a request for tasks."""

    PLANNED = "PLANNED"
    SENDING = "SENDING"
    CREATED = "CREATED"
    REFUSED = "REFUSED"
    NOT_CREATED = "NOT_CREATED"
    UNCONFIRMED = "UNCONFIRMED"

    @property
    def made_nothing(self) -> bool:
        """Whether it certainly created nothing, and never will: it does not count for its accounts."""
        return self in (RequestState.REFUSED, RequestState.NOT_CREATED)

    @property
    def may_come_from(self) -> frozenset[RequestState]:
        """The states that this one may follow."""
        return _MAY_COME_FROM[self]


UNSETTLED = frozenset({RequestState.PLANNED, RequestState.SENDING})
"""It may still create tasks."""
ALARMING = frozenset({RequestState.REFUSED, RequestState.UNCONFIRMED})
"""A request that gets into one of these is an alarm, whoever learns it."""
_MAY_COME_FROM = {
    RequestState.PLANNED: UNSETTLED,
    RequestState.SENDING: UNSETTLED,
    RequestState.CREATED: frozenset({RequestState.SENDING, RequestState.NOT_CREATED, RequestState.UNCONFIRMED}),
    RequestState.REFUSED: UNSETTLED | {RequestState.UNCONFIRMED},
    RequestState.NOT_CREATED: UNSETTLED | {RequestState.UNCONFIRMED},
    RequestState.UNCONFIRMED: frozenset({RequestState.SENDING, RequestState.UNCONFIRMED}),
}


class TaskState(StrEnum):
    """The state of one phone task.

    RETRYING: it failed, and may be repeated by TikMatrix or by us. GONE: it was deleted in TikMatrix, or TikMatrix
    lost it. CANCELLED: we deleted it.
    """

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    GONE = "GONE"
    CANCELLED = "CANCELLED"

    @property
    def finished(self) -> bool:
        """Whether it has ended; only a person who retries it can change that."""
        return self not in UNFINISHED

    @property
    def needs_attention(self) -> bool:
        """Whether the run that wanted it done has failed with it."""
        return self in (TaskState.FAILED, TaskState.GONE)


UNFINISHED = frozenset({TaskState.PENDING, TaskState.RUNNING, TaskState.RETRYING})
"""What is seen in TikMatrix is recorded for these only."""
RESTARTABLE = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.GONE})
"""Finished tasks that TikMatrix may have, so that a person can retry them; CANCELLED ones were deleted."""


def is_over(lease_until: float, now: float, lease_seconds: float) -> bool:
    """Whether an attempt that holds a lease does not count as alive any more; all in Unix seconds or seconds."""
    return not now < lease_until <= now + LEASES_AHEAD * lease_seconds


def settled_state(*, found: int, expected: int, age: float, created_no_others: bool) -> RequestState | None:
    """The outcome of a request whose answer was lost; None while it cannot be told.

    That its tasks are not there proves nothing: they may be done, and deleted in TikMatrix.

    Args:
        found: How many tasks are in TikMatrix that it must have created.
        expected: How many it asked for.
        age: Seconds since it was sent.
        created_no_others: Whether it certainly created no more than those; see `is_next_number`.
    """
    if found >= expected:
        return RequestState.CREATED
    if age <= GRACE:
        return None
    if not created_no_others:
        return RequestState.UNCONFIRMED
    return RequestState.CREATED if found else RequestState.NOT_CREATED


def is_next_number(*, highest_before: int, later: Collection[int], others: Collection[int]) -> bool:
    """Whether TikMatrix went on counting as if a request had created nothing, apart from `others`.

    Then it created nothing else: TikMatrix numbers its tasks one by one, and never gives a number of before again.

    Args:
        highest_before: The highest number of all tasks when the request was sent.
        later: Numbers that certainly were given after it.
        others: Numbers that certainly are not a task of the request, or are one that was found.
    """
    first = min((number for number in later if number > highest_before), default=None)
    return first is not None and all(number in others for number in range(highest_before + 1, first))


class Earlier(StrEnum):
    """What is known of something that was requested before."""

    DONE = "DONE"
    UNKNOWN = "UNKNOWN"
    REQUESTED = "REQUESTED"


def earlier(request: RequestState, task: TaskState | None) -> Earlier:
    """What is known of an action that counts: of its request, and of its task if that was seen."""
    if task is TaskState.COMPLETED:
        return Earlier.DONE
    if task in UNFINISHED or (task is None and request is not RequestState.UNCONFIRMED):
        return Earlier.REQUESTED
    return Earlier.UNKNOWN


def shown_state(status: TaskStatus | None) -> TaskState:
    """The state that TikMatrix's status means by itself; a status that is not documented counts as running."""
    return TaskState.RUNNING if status is None else _SHOWN[status]


_SHOWN = {
    TaskStatus.PENDING: TaskState.PENDING,
    TaskStatus.RUNNING: TaskState.RUNNING,
    TaskStatus.COMPLETED: TaskState.COMPLETED,
    TaskStatus.FAILED: TaskState.FAILED,
}


def task_state(
    status: TaskStatus | None,
    *,
    failed_at: float | None,
    retried_by_tikmatrix: int,
    retried_by_us: int,
    retries: int,
    auto_retry: bool,
    now: float,
) -> tuple[TaskState, float | None]:
    """The state of a task that TikMatrix still has, and since when it has failed without a change.

    Args:
        status: As TikMatrix reports it; None for a status that is not documented, which counts as not finished.
        failed_at: Unix seconds at which this very failure was first seen; None if it is seen for the first time. A
            time to come, because the clock was set back since, counts as now.
        retried_by_tikmatrix: How often TikMatrix has repeated the task by itself.
        retried_by_us: How often we have.
        retries: How often we may.
        auto_retry: Whether TikMatrix repeats failed tasks by itself.
        now: Unix seconds.
    """
    if status is TaskStatus.FAILED:
        since = now if failed_at is None else min(failed_at, now)
        tikmatrix_is_done = (
            not auto_retry or retried_by_tikmatrix >= AUTO_RETRY_MOST or now - since >= AUTO_RETRY_SECONDS
        )
        final = tikmatrix_is_done and retried_by_us >= retries
        return (TaskState.FAILED if final else TaskState.RETRYING), since
    return shown_state(status), None
