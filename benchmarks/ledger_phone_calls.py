"""Every public call of the ledger about phones and engagements, in the manner of `benchmarks.ledger_calls`."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.ledger_rows import DAY, NOW, SERVICE, Asked, Sent
from benchmarks.ledger_world import HOST, OWNER, World
from reelflow.records.engagements import OPEN, EngagementState, PartResult
from reelflow.records.phone_states import UNSETTLED, RequestState, TaskState
from reelflow.records.phones import TaskRecord

# Plans


def plan_tasks(w: World) -> Iterator[None]:
    request = w.phone_request()
    yield
    w.plan(request)


def plan_tasks__engagement(w: World) -> Iterator[None]:
    request, engagement = w.phone_request(script="post_comment"), w.taken_engagement()
    yield
    w.plan(request, engagement)


def phone_history(w: World) -> Iterator[None]:
    request = w.phone_request()
    yield
    w.ledger.phone_history(request, NOW - 3600)


def forget_actions(w: World) -> Iterator[None]:
    request, tasks = w.created()
    yield
    w.ledger.forget_actions([TaskRecord(request, task) for task in tasks])


def take_turn(w: World) -> Iterator[None]:
    yield
    w.ledger.take_turn(HOST, OWNER)


def keep_turn(w: World) -> Iterator[None]:
    w.ledger.take_turn(HOST, OWNER)
    yield
    w.ledger.keep_turn(HOST, OWNER)


def end_turn(w: World) -> Iterator[None]:
    w.ledger.take_turn(HOST, OWNER)
    yield
    w.ledger.end_turn(HOST, OWNER)


# Requests


def task_requests__ids(w: World) -> Iterator[None]:
    yield
    w.ledger.task_requests(ids=[Asked(20).id, Asked(21).id], host=Asked(20).host)


def task_requests__flow_run(w: World) -> Iterator[None]:
    yield
    w.ledger.task_requests(flow_run="phone-20", host=Asked(20).host)


def task_requests__states(w: World) -> Iterator[None]:
    yield
    w.ledger.task_requests(states=[RequestState.UNCONFIRMED])


def task_requests__states_of_host(w: World) -> Iterator[None]:
    yield
    w.ledger.task_requests(host="host-2", states=[RequestState.SENDING, RequestState.UNCONFIRMED])


def open_task_requests(w: World) -> Iterator[None]:
    yield
    w.ledger.open_task_requests("host-2")


def take_task_requests(w: World) -> Iterator[None]:
    request = w.planned()
    yield
    w.ledger.take_task_requests([request], OWNER)


def renew_task_requests(w: World) -> Iterator[None]:
    request = w.planned()
    yield
    w.ledger.renew_task_requests([request], OWNER)


def release_task_requests(w: World) -> Iterator[None]:
    request = w.planned()
    yield
    w.ledger.release_task_requests([request], OWNER, left_open=True)


def begin_task_request(w: World) -> Iterator[None]:
    request = w.planned()
    w.ledger.take_turn(HOST, OWNER)
    yield
    w.ledger.begin_task_request(request, OWNER, w.highest)


def task_request_unsent(w: World) -> Iterator[None]:
    request = w.sending()
    yield
    w.ledger.task_request_unsent(request, OWNER, "no", state=RequestState.REFUSED)


def settle_task_request(w: World) -> Iterator[None]:
    request = w.sending()
    yield
    w.ledger.settle_task_request(request, RequestState.NOT_CREATED, "no", before=UNSETTLED)


# Tasks


def tasks_created(w: World) -> Iterator[None]:
    request, tasks = w.sending(), w.tasks()
    yield
    w.ledger.tasks_created(request, tasks, no_others=True)


def forget_missing(w: World) -> Iterator[None]:
    request, _ = w.created()
    yield
    w.ledger.forget_missing(request)


def phone_tasks(w: World) -> Iterator[None]:
    yield
    w.ledger.phone_tasks([Asked(20).id, Asked(30).id])


def task_records(w: World) -> Iterator[None]:
    yield
    w.ledger.task_records([Asked(20).id], [TaskState.COMPLETED, TaskState.FAILED])


def record_tasks(w: World) -> Iterator[None]:
    request, tasks = w.created()
    changes = [TaskRecord(request, task.model_copy(update={"state": TaskState.COMPLETED})) for task in tasks]
    yield
    w.ledger.record_tasks(changes)


def record_tasks__failed(w: World) -> Iterator[None]:
    request, tasks = w.created()
    changes = [TaskRecord(request, task.model_copy(update={"state": TaskState.FAILED})) for task in tasks]
    yield
    w.ledger.record_tasks(changes)


def count_retry(w: World) -> Iterator[None]:
    request, (task, *_) = w.created()
    yield
    w.ledger.count_retry(TaskRecord(request, task))


def restart_task(w: World) -> Iterator[None]:
    request, (task, *_) = w.created()
    ended = TaskRecord(request, task.model_copy(update={"state": TaskState.COMPLETED}))
    w.ledger.record_tasks([ended])
    yield
    w.ledger.restart_task(ended)


def task_ids_around(w: World) -> Iterator[None]:
    lost = w.lost()
    first = (lost.highest_before or 0) + 1
    yield
    w.ledger.task_ids_around(lost, range(first, first + 20))


def tasks_on_record(w: World) -> Iterator[None]:
    yield
    w.ledger.tasks_on_record("host-1", range(1, 40), since=NOW - DAY)


def records_of_tasks(w: World) -> Iterator[None]:
    yield
    w.ledger.records_of_tasks("host-1", [10, 20])


def task_counts(w: World) -> Iterator[None]:
    yield
    w.ledger.task_counts(NOW - DAY / 4)


# Engagements


def ask_for_engagement(w: World) -> Iterator[None]:
    new = w.engagement()
    yield
    w.ledger.ask_for_engagement(new, flow_run=f"run-{w.new()}")


def reopen_engagement(w: World) -> Iterator[None]:
    engagement = w.taken_engagement()
    w.ledger.settle_engagement(engagement, EngagementState.FAILED, "no", owner=OWNER)
    yield
    w.ledger.reopen_engagement(engagement, OWNER, "run")


def engagements__ids(w: World) -> Iterator[None]:
    yield
    w.ledger.engagements(ids=[Sent(11).id])


def engagements__open(w: World) -> Iterator[None]:
    yield
    w.ledger.engagements(states=OPEN)


def engagements__run(w: World) -> Iterator[None]:
    yield
    w.ledger.engagements(run=Sent(11).flow_run)


def engagement_outcomes(w: World) -> Iterator[None]:
    (engagement,) = w.ledger.engagements(ids=[Sent(11).id])
    yield
    w.ledger.engagement_outcomes(engagement)


def claim_engagement(w: World) -> Iterator[None]:
    engagement = w.ledger.ask_for_engagement(w.engagement(), flow_run="run").id
    yield
    w.ledger.claim_engagement(engagement, OWNER, "run")
    yield
    w.ledger.settle_engagement(engagement, EngagementState.DONE, owner=OWNER)


def renew_engagement(w: World) -> Iterator[None]:
    engagement = w.taken_engagement()
    yield
    w.ledger.renew_engagement(engagement, OWNER)


def record_part(w: World) -> Iterator[None]:
    engagement = w.taken_engagement()
    yield
    w.ledger.record_part(engagement, OWNER, PartResult("comment", "TikTok", (), "", failed=False))


def release_engagement(w: World) -> Iterator[None]:
    engagement = w.taken_engagement()
    yield
    w.ledger.release_engagement(engagement, OWNER)


def settle_engagement(w: World) -> Iterator[None]:
    engagement = w.taken_engagement()
    yield
    w.ledger.settle_engagement(engagement, EngagementState.FAILED, "no", owner=OWNER, is_alarm=True)


def count_attempt(w: World) -> Iterator[None]:
    (engagement,) = w.ledger.engagements(ids=[w.taken_engagement()])
    yield
    w.ledger.count_attempt(engagement)


def cancel_engagements_of_run(w: World) -> Iterator[None]:
    (engagement,) = w.ledger.engagements(ids=[w.taken_engagement()])
    yield
    w.ledger.cancel_engagements_of_run(engagement.run or "", "cancelled")


def cancel_engagements_of_send(w: World) -> Iterator[None]:
    (send, _), *_ = w.ledger.sends([Sent(11).id])
    yield
    w.ledger.cancel_engagements_of_send(send, "cancelled")
    assert send.service == SERVICE  # noqa: S101 - the history has it
