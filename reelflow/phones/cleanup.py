"""Cancel phone tasks, and finish what earlier runs left open."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reelflow.errors import NotFound
from reelflow.heartbeat import heartbeat
from reelflow.ledger import Ledger
from reelflow.phones.creating import turn
from reelflow.phones.matching import PhoneNames
from reelflow.phones.settling import settle_lost, settle_one
from reelflow.phones.watching import WatchSettings, look_at_tasks, watch_tasks
from reelflow.records.phone_states import UNFINISHED, UNSETTLED, RequestState, TaskState
from reelflow.records.phones import TaskRecord, TaskRequest, TaskResult
from reelflow.tikmatrix import TikMatrixClient

DEAD_AFTER = 600.0
"""Seconds without a heartbeat after which a run counts as dead, though its state says that it runs."""
AT_ONCE = 100
"""Tasks deleted with one request."""


@dataclass
class CancelResult:
    """What was cancelled, and what had finished by itself before."""

    cancelled: list[TaskResult] = field(default_factory=list)
    finished: list[TaskResult] = field(default_factory=list)

    @property
    def running(self) -> int:
        """How many of the cancelled tasks had started."""
        return sum(bool(task.started) for task in self.cancelled)


def cancel_phone_tasks(client: TikMatrixClient, ledger: Ledger, requests: Sequence[TaskRequest]) -> CancelResult:
    """Stop and delete the unfinished tasks of these requests; finished ones are left.

    Call it when the run that made them is surely gone. Each is looked at first, so that an id which is another task's
    by now is never deleted. Requests that were planned and not sent never will be.

    Raises:
        ServiceError: TikMatrix cannot be asked, or refused. What was done until then is on record.
    """
    for request in requests:
        if request.state is RequestState.PLANNED:
            reason, before = "cancelled before it was sent", {RequestState.PLANNED}
            ledger.settle_task_request(request.id, RequestState.NOT_CREATED, reason, before=before)
    by_id = {request.id: request for request in requests}
    records = ledger.task_records(list(by_id), UNFINISHED)
    result = CancelResult()
    if records:
        settings = WatchSettings(0, auto_retry=False)
        ledger.record_tasks(look_at_tasks(client, by_id, records, ledger.now(), settings, PhoneNames(client)))
        _delete(client, ledger, ledger.task_records(list(by_id), UNFINISHED), result)
    tasks = ledger.phone_tasks(list(by_id))
    result.finished = [t for t in tasks if t.state.finished and t.state is not TaskState.CANCELLED]
    return result


def cancel_run(
    client: TikMatrixClient, ledger: Ledger, flow_run: str, host: str, *, sleep: Callable[[float], None] = time.sleep
) -> CancelResult:
    """Cancel everything of a flow run that has just been stopped, on one host.

    A request that was cut off is looked for first; one that shows nothing is left to `finish_phone_tasks`.

    Raises:
        ServiceError: as `cancel_phone_tasks`.
    """
    me = uuid.uuid4().hex
    with turn(ledger, host, me, patience=3 * ledger.lease_seconds, sleep=sleep):
        for request in ledger.task_requests(flow_run=flow_run, host=host, states=[RequestState.SENDING]):
            settle_one(client, ledger, request, me)
        requests = ledger.task_requests(flow_run=flow_run, host=host)
        result = cancel_phone_tasks(client, ledger, requests)
    mine = ledger.take_task_requests([request.id for request in requests], me)
    ledger.release_task_requests(sorted(mine), me, left_open=False)
    return result


def _delete(client: TikMatrixClient, ledger: Ledger, records: list[TaskRecord], result: CancelResult) -> None:
    for record in records:
        if record.task.state is TaskState.RUNNING:
            try:
                client.stop_task(record.task.task_id)
            except NotFound:
                continue
    for start in range(0, len(records), AT_ONCE):
        some = records[start : start + AT_ONCE]
        client.delete_tasks([record.task.task_id for record in some])
        deleted = [
            record._replace(
                task=record.task.model_copy(update={"state": TaskState.CANCELLED, "remark": "cancelled"}),
                failed_at=None,
            )
            for record in some
        ]
        recorded = ledger.record_tasks(deleted)
        ledger.forget_actions(record for record in recorded if not record.task.started)
        result.cancelled += [record.task for record in recorded]


@dataclass
class FinishResult:
    """What a run that finishes open phone tasks did on one host."""

    news: list[TaskResult] = field(default_factory=list)
    cancelled: list[TaskResult] = field(default_factory=list)
    still_open: int = 0
    unanswered: list[TaskRequest] = field(default_factory=list)
    unconfirmed: list[TaskRequest] = field(default_factory=list)


def finish_phone_tasks(
    client: TikMatrixClient,
    ledger: Ledger,
    host: str,
    *,
    run_has_ended: Callable[[str], bool],
    settings: WatchSettings,
    cancel: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> FinishResult:
    """End what earlier runs left open on a host: lost answers, tasks of dead runs, tasks left at a deadline.

    Args:
        client: Of the host.
        ledger: With what was left.
        host: As the ledger knows it.
        run_has_ended: Whether a flow run, by its id, has ended.
        settings: How long to watch.
        cancel: Cancel the tasks of dead runs; otherwise they are watched.
        sleep: For tests.

    Raises:
        ServiceError: TikMatrix cannot be asked.
    """
    result, me = FinishResult(), uuid.uuid4().hex
    with turn(ledger, host, me, patience=settings.seconds + 30, sleep=sleep):
        settle_lost(client, ledger, host, me)
    now = ledger.now()
    free = [
        request
        for request in ledger.open_task_requests(host)
        if request.lease_is_over(now, ledger.lease_seconds)
        and (request.left_open or _is_dead(request, run_has_ended, now))
    ]
    mine = ledger.take_task_requests([request.id for request in free], me)
    watched: list[str] = []
    try:
        with heartbeat(lambda: ledger.renew_task_requests(sorted(mine), me), ledger.lease_seconds / 3):
            free = ledger.task_requests(ids=sorted(mine))  # as they are now that nobody else works on them
            for request in free:
                if not cancel or request.left_open or request.state is RequestState.SENDING:
                    continue
                if ledger.renew_task_requests([request.id], me):  # otherwise its run was started again
                    result.cancelled += cancel_phone_tasks(client, ledger, [request]).cancelled
            ours = ledger.renew_task_requests(sorted(mine), me)
            created = [request.id for request in free if request.id in ours and request.state not in UNSETTLED]
            result.news = watch_tasks(client, ledger, created, settings, sleep=sleep).news
        watched = created
    finally:  # what could not be cancelled now is still a dead run's, and is cancelled next time
        ledger.release_task_requests(watched, me, left_open=True)
        ledger.release_task_requests(sorted(mine.difference(watched)), me, left_open=None)
    result.unanswered = ledger.task_requests(host=host, states=[RequestState.SENDING])
    result.unconfirmed = ledger.task_requests(host=host, states=[RequestState.UNCONFIRMED])
    ids = [request.id for request in ledger.open_task_requests(host)]
    result.still_open = len(ledger.phone_tasks(ids, UNFINISHED))
    return result


def _is_dead(request: TaskRequest, run_has_ended: Callable[[str], bool], now: float) -> bool:
    """Whether the run of a request is gone: it has ended, or has sent no heartbeat for too long."""
    if request.flow_run is None or now - request.lease_until >= DEAD_AFTER:
        return True
    return run_has_ended(request.flow_run)
