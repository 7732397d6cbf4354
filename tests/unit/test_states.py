"""What may follow what, row by row: facts and one moment in, a state out."""

import pytest

from reelflow.records.phone_states import (
    AUTO_RETRY_MOST,
    AUTO_RETRY_SECONDS,
    GRACE,
    UNFINISHED,
    Earlier,
    RequestState,
    TaskState,
    earlier,
    is_next_number,
    is_over,
    settled_state,
    task_state,
)
from reelflow.records.post_states import PostState, SendStatus, is_held, may_be_claimed, overdue_reason, send_status
from reelflow.records.post_states import settled_state as lost_send_state
from reelflow.tikmatrix.wire import TaskStatus
from tasks.phones import wording as phones_wording
from tasks.posts import wording as posts_wording

NOW = 1_000_000.0
BEFORE, AFTER = NOW - 1, NOW + 1
NOW_MS = int(NOW * 1000)


@pytest.mark.parametrize(
    ("history_id", "lease_until", "sealed_at", "scheduled_ms", "status"),
    [
        (None, AFTER, None, 0, SendStatus.AT_WORK),
        (None, AFTER, BEFORE, 0, SendStatus.AT_WORK),
        (None, BEFORE, None, 0, SendStatus.ABANDONED),
        (None, NOW, None, 0, SendStatus.ABANDONED),
        (None, BEFORE, BEFORE, 0, SendStatus.ANSWER_LOST),
        (None, BEFORE, BEFORE, NOW_MS + 60_000, SendStatus.ANSWER_LOST),
        ("h", BEFORE, BEFORE, 0, SendStatus.DUE),
        ("h", AFTER, BEFORE, 0, SendStatus.DUE),
        ("h", BEFORE, BEFORE, NOW_MS, SendStatus.DUE),
        ("h", BEFORE, BEFORE, NOW_MS + 1, SendStatus.SCHEDULED),
    ],
)
def test_what_a_send_in_flight_calls_for(
    history_id: str | None, lease_until: float, sealed_at: float | None, scheduled_ms: int, status: SendStatus
) -> None:
    """A live run is left alone; a dead one is released before its seal, and looked for after it."""
    found = send_status(
        history_id=history_id, lease_until=lease_until, sealed_at=sealed_at, scheduled_ms=scheduled_ms, now=NOW
    )

    assert found is status


def test_a_scheduled_post_is_due_as_soon_as_taislys_clock_may_say_so() -> None:
    """Its clock may be ahead of ours by some minutes."""
    facts = {"history_id": "h", "lease_until": 0.0, "sealed_at": BEFORE, "scheduled_ms": NOW_MS + 60_000, "now": NOW}

    assert send_status(**facts) is SendStatus.SCHEDULED
    assert send_status(**facts, clock_slack=60) is SendStatus.DUE


@pytest.mark.parametrize(
    ("state", "lease_until", "sealed_at", "claimable", "held"),
    [
        (PostState.CLAIMED, AFTER, None, False, True),
        (PostState.CLAIMED, BEFORE, None, True, False),
        (PostState.SENDING, AFTER, None, False, True),
        (PostState.SENDING, BEFORE, None, True, False),
        (PostState.SENDING, AFTER, BEFORE, False, True),
        (PostState.SENDING, BEFORE, BEFORE, False, False),
        (PostState.REFUSED, AFTER, BEFORE, True, False),
        (PostState.CANCELLED, BEFORE, BEFORE, True, False),
        (PostState.ACCEPTED, BEFORE, BEFORE, False, False),
        (PostState.UNCONFIRMED, BEFORE, BEFORE, False, False),
        (PostState.SUCCESS, BEFORE, BEFORE, False, False),
        (PostState.FAILED, BEFORE, BEFORE, False, False),
    ],
)
def test_who_may_claim_a_destination(
    state: PostState, lease_until: float, sealed_at: float | None, claimable: bool, held: bool
) -> None:
    """Only what is certainly not out; what a live run is sending is waited for."""
    assert may_be_claimed(state, lease_until=lease_until, sealed_at=sealed_at, now=NOW) is claimable
    assert is_held(state, lease_until=lease_until, now=NOW) is held


@pytest.mark.parametrize(
    ("state", "before"),
    [
        (
            PostState.CLAIMED,
            {PostState.CLAIMED, PostState.SENDING, PostState.UNCONFIRMED, PostState.REFUSED, PostState.CANCELLED},
        ),
        (PostState.SENDING, {PostState.CLAIMED}),
        (PostState.ACCEPTED, {PostState.CLAIMED, PostState.SENDING, PostState.UNCONFIRMED}),
        (PostState.SUCCESS, {PostState.ACCEPTED, PostState.UNCONFIRMED}),
        (PostState.FAILED, {PostState.ACCEPTED}),
        (PostState.REFUSED, {PostState.SENDING, PostState.UNCONFIRMED}),
        (PostState.UNCONFIRMED, {PostState.SENDING, PostState.ACCEPTED}),
        (PostState.CANCELLED, {PostState.ACCEPTED}),
        (PostState.PENDING, set()),
    ],
)
def test_what_a_destination_may_come_from(state: PostState, before: set[PostState]) -> None:
    """An outcome is final; nothing leads out of SUCCESS or FAILED."""
    assert state.may_come_from == before


@pytest.mark.parametrize(
    ("state", "in_flight", "needs_attention"),
    [
        (PostState.CLAIMED, False, True),
        (PostState.SENDING, True, False),
        (PostState.ACCEPTED, True, False),
        (PostState.SUCCESS, False, False),
        (PostState.FAILED, False, True),
        (PostState.REFUSED, False, True),
        (PostState.UNCONFIRMED, False, True),
        (PostState.CANCELLED, False, False),
        (PostState.PENDING, False, False),
    ],
)
def test_the_named_sets_of_a_destinations_states(state: PostState, in_flight: bool, needs_attention: bool) -> None:
    """Every state is in or out of each set on purpose."""
    assert (state.in_flight, state.needs_attention) == (in_flight, needs_attention)


@pytest.mark.parametrize(
    ("found", "age", "no_others", "state"),
    [
        (4, 1, False, RequestState.CREATED),
        (5, 1, False, RequestState.CREATED),
        (2, GRACE, False, None),
        (0, GRACE, False, None),
        (0, GRACE, True, None),
        (2, GRACE + 1, False, RequestState.UNCONFIRMED),
        (0, GRACE + 1, False, RequestState.UNCONFIRMED),
        (2, GRACE + 1, True, RequestState.CREATED),
        (0, GRACE + 1, True, RequestState.NOT_CREATED),
    ],
)
def test_what_became_of_a_request_whose_answer_was_lost(
    found: int, age: float, no_others: bool, state: RequestState | None
) -> None:
    """All four tasks are there; or the numbers of later ones say that there are no others, after ten minutes."""
    assert settled_state(found=found, expected=4, age=age, created_no_others=no_others) is state


@pytest.mark.parametrize(
    ("later", "others", "proven"),
    [
        (set(), set(), False),
        (set(), {8}, False),
        ({8}, set(), True),
        ({8, 12}, set(), True),
        ({9}, {8}, True),
        ({9}, set(), False),
        ({12}, {8, 9, 10}, False),
        ({3}, {1, 2}, False),
    ],
    ids=["nothing later", "somebody's only", "the next", "the next and more", "after somebody's", "one is missing",
         "the last is missing", "counting from 1 again"],
)  # fmt: skip
def test_what_the_numbers_of_later_tasks_prove(later: set[int], others: set[int], proven: bool) -> None:
    """7 was the highest: a later task of ours has the next number, or those between are known to be others."""
    assert is_next_number(highest_before=7, later=later, others=others) is proven


@pytest.mark.parametrize(
    ("request_state", "task", "known"),
    [
        (RequestState.PLANNED, None, Earlier.REQUESTED),
        (RequestState.SENDING, None, Earlier.REQUESTED),
        (RequestState.CREATED, None, Earlier.REQUESTED),
        (RequestState.UNCONFIRMED, None, Earlier.UNKNOWN),
        (RequestState.CREATED, TaskState.PENDING, Earlier.REQUESTED),
        (RequestState.CREATED, TaskState.RUNNING, Earlier.REQUESTED),
        (RequestState.CREATED, TaskState.RETRYING, Earlier.REQUESTED),
        (RequestState.CREATED, TaskState.COMPLETED, Earlier.DONE),
        (RequestState.UNCONFIRMED, TaskState.COMPLETED, Earlier.DONE),
        (RequestState.CREATED, TaskState.FAILED, Earlier.UNKNOWN),
        (RequestState.CREATED, TaskState.GONE, Earlier.UNKNOWN),
        (RequestState.CREATED, TaskState.CANCELLED, Earlier.UNKNOWN),
    ],
)
def test_what_is_known_of_something_requested_before(
    request_state: RequestState, task: TaskState | None, known: Earlier
) -> None:
    """Only a completed task was done; what failed or is no longer there may have been."""
    assert earlier(request_state, task) is known


@pytest.mark.parametrize(
    ("found", "age", "missed_for", "state"),
    [
        (True, 0, 0, PostState.ACCEPTED),
        (True, 601, 601, PostState.ACCEPTED),
        (False, 600, 600, None),
        (False, 601, 601, PostState.UNCONFIRMED),
        (False, 86_400, 59, None),
        (False, 86_400, 60, PostState.UNCONFIRMED),
    ],
)
def test_what_became_of_a_send_whose_answer_was_lost(
    found: bool, age: float, missed_for: float, state: PostState | None
) -> None:
    """It is in the history; or the grace is over, and one look was not the only one; before that nobody can say."""
    assert lost_send_state(found=found, age=age, missed_for=missed_for, grace=600) is state


@pytest.mark.parametrize(
    ("watched_for", "missed_for", "words"),
    [
        (3601, 3600, None),
        (3601, 3601, "no longer shows it"),
        (86_400, 0, None),
        (86_401, 0, "has not reported an outcome for a day"),
        (86_401, 3601, "no longer shows it"),
    ],
)
def test_how_long_the_outcome_of_an_accepted_post_is_waited_for(
    watched_for: float, missed_for: float, words: str | None
) -> None:
    """An hour while the history does not show it, a day while the platform says nothing."""
    reason = overdue_reason(watched_for=watched_for, missed_for=missed_for)

    assert (reason is None) if words is None else (words in str(reason))


@pytest.mark.parametrize(
    ("state", "before"),
    [
        (RequestState.PLANNED, {RequestState.PLANNED, RequestState.SENDING}),
        (RequestState.SENDING, {RequestState.PLANNED, RequestState.SENDING}),
        (RequestState.CREATED, {RequestState.SENDING, RequestState.NOT_CREATED, RequestState.UNCONFIRMED}),
        (RequestState.REFUSED, {RequestState.PLANNED, RequestState.SENDING, RequestState.UNCONFIRMED}),
        (RequestState.NOT_CREATED, {RequestState.PLANNED, RequestState.SENDING, RequestState.UNCONFIRMED}),
        (RequestState.UNCONFIRMED, {RequestState.SENDING, RequestState.UNCONFIRMED}),
    ],
)
def test_what_a_request_may_come_from(state: RequestState, before: set[RequestState]) -> None:
    """Nothing leads out of CREATED or REFUSED."""
    assert state.may_come_from == before


@pytest.mark.parametrize(
    ("ends_in", "over"), [(-1, True), (0, True), (0.1, False), (20, False), (40, False), (40.1, True), (3600, True)]
)
def test_a_lease_on_phones_is_over(ends_in: float, over: bool) -> None:
    """Once it has ended, and if it ends later than a lease can: the clock was set back since."""
    assert is_over(NOW + ends_in, NOW, 20) is over


@pytest.mark.parametrize(
    ("status", "facts", "state", "failed_at"),
    [
        (TaskStatus.PENDING, {}, TaskState.PENDING, None),
        (TaskStatus.RUNNING, {}, TaskState.RUNNING, None),
        (None, {}, TaskState.RUNNING, None),
        (TaskStatus.COMPLETED, {}, TaskState.COMPLETED, None),
        (TaskStatus.FAILED, {}, TaskState.RETRYING, NOW),
        (TaskStatus.FAILED, {"failed_at": NOW - AUTO_RETRY_SECONDS + 1}, TaskState.RETRYING,
         NOW - AUTO_RETRY_SECONDS + 1),
        (TaskStatus.FAILED, {"failed_at": NOW - AUTO_RETRY_SECONDS}, TaskState.FAILED, NOW - AUTO_RETRY_SECONDS),
        (TaskStatus.FAILED, {"failed_at": NOW + 7200}, TaskState.RETRYING, NOW),
        (TaskStatus.FAILED, {"auto_retry": False}, TaskState.FAILED, NOW),
        (TaskStatus.FAILED, {"retried_by_tikmatrix": AUTO_RETRY_MOST}, TaskState.FAILED, NOW),
        (TaskStatus.FAILED, {"auto_retry": False, "retries": 1}, TaskState.RETRYING, NOW),
        (TaskStatus.FAILED, {"auto_retry": False, "retries": 1, "retried_by_us": 1}, TaskState.FAILED, NOW),
    ],
)  # fmt: skip
def test_the_state_of_a_phone_task(
    status: TaskStatus | None, facts: dict, state: TaskState, failed_at: float | None
) -> None:
    """A failure is final once TikMatrix and we have stopped repeating the task."""
    usual = {"failed_at": None, "retried_by_tikmatrix": 0, "retried_by_us": 0, "retries": 0, "auto_retry": True}

    assert task_state(status, **(usual | facts), now=NOW) == (state, failed_at)


def test_the_named_sets_of_phone_states() -> None:
    """Every state is in or out of each set on purpose."""
    assert {state for state in TaskState if not state.finished} == UNFINISHED
    assert {state for state in TaskState if state.needs_attention} == {TaskState.FAILED, TaskState.GONE}
    assert {state for state in RequestState if state.made_nothing} == {RequestState.REFUSED, RequestState.NOT_CREATED}


def test_every_state_has_words_for_people() -> None:
    """A report shows what the ledger has, whatever that is."""
    assert set(posts_wording.OUTCOME_WORDS) == set(PostState)
    assert set(phones_wording.OUTCOME_WORDS) == set(TaskState)
