"""Watch phone tasks until each is finished, by listing them: one request for up to 100 tasks.

Only our own ids are looked at, never the PC's counts. What a task is known by beside its id (script, phone, target) is
recorded when it is first seen, so that an id which TikMatrix gives a second time is not taken for ours.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reelflow.countdown import Countdown
from reelflow.errors import NotAllowed, ReelflowError, ServiceError
from reelflow.ledger import Ledger
from reelflow.phones.matching import PhoneNames, is_still_ours, observed
from reelflow.records.phone_states import AUTO_RETRY_SECONDS, TaskState, task_state
from reelflow.records.phones import TaskRecord, TaskRequest, TaskResult
from reelflow.tikmatrix import TikMatrixClient
from reelflow.tikmatrix.listing import find_tasks
from reelflow.tikmatrix.wire import PhoneTask

log = logging.getLogger(__name__)

RETRY_PAUSE = 60.0
"""Seconds before our first retry of a failed task."""
RETRY_GROWTH = 3.0
"""Factor from each pause to the next: our retries wait 1, 3, 9, … minutes, as the form says."""
LONGEST_PAUSE = 60.0
"""Seconds between two looks while TikMatrix does not answer."""


@dataclass(frozen=True)
class WatchSettings:
    """How to watch.

    Attributes:
        seconds: For how long.
        interval: Seconds between two looks.
        retries: How often a task that failed for good is repeated by us.
        auto_retry: Whether TikMatrix repeats failed tasks by itself.
        may_retry: Whether a repeat may be made now (quiet hours).
    """

    seconds: float
    interval: float = 10.0
    retries: int = 0
    auto_retry: bool = True
    may_retry: Callable[[], bool] = lambda: True


@dataclass
class WatchResult:
    """The result of watching: what went wrong in the last look, if anything; how many looks there were; what ended."""

    trouble: ReelflowError | None = None
    looks: int = 0
    news: list[TaskResult] = field(default_factory=list)


def watch_tasks(
    client: TikMatrixClient,
    ledger: Ledger,
    request_ids: Sequence[str],
    settings: WatchSettings,
    *,
    on_news: Callable[[TaskResult], None] = lambda task: None,
    on_progress: Callable[[int, int], None] = lambda finished, total: None,
    sleep: Callable[[float], None] = time.sleep,
) -> WatchResult:
    """Wait until the tasks of these requests are finished, or the time is over.

    A failed look is repeated until the deadline: the phones go on without us. Only a refused licence ends it early.

    Args:
        client: Of the host.
        ledger: Where the requests and their tasks are on record.
        request_ids: Our own ids, of one host.
        settings: How long and how often to look.
        on_news: Called for each task that finishes.
        on_progress: Called before each look with (finished tasks, all tasks).
        sleep: For tests.

    Raises:
        LedgerUnavailable: what was seen cannot be recorded.
    """
    result, waiting, pause = WatchResult(), Countdown(settings.seconds, sleep), settings.interval
    requests = {request.id: request for request in ledger.task_requests(ids=request_ids)}
    names = PhoneNames(client)
    while True:
        records = ledger.task_records(request_ids)
        unfinished = [record for record in records if not record.task.state.finished]
        on_progress(len(records) - len(unfinished), len(records))
        if not unfinished:
            return result
        try:
            result.looks += 1
            changes = ledger.record_tasks(look_at_tasks(client, requests, unfinished, ledger.now(), settings, names))
            _retry(client, ledger, updated(unfinished, changes), settings)
        except NotAllowed as error:
            result.trouble = error
            log.warning("The tasks can no longer be watched: %s", error)
            return result
        except ServiceError as error:
            if result.trouble is None:
                log.warning("TikMatrix does not answer. Trying again: %s", error)
            result.trouble, pause = error, min(LONGEST_PAUSE, pause * 2)
        else:
            if result.trouble is not None:
                log.info("TikMatrix answers again.")
            result.trouble, pause = None, settings.interval
            for change in changes:
                if change.task.state.finished:
                    result.news.append(change.task)
                    on_news(change.task)
            if len(changes) == len(unfinished) and all(change.task.state.finished for change in changes):
                continue  # all are finished: no need to wait before saying so
        if not waiting.left:
            return result
        waiting.sleep(pause)


def updated(records: Iterable[TaskRecord], changes: Iterable[TaskRecord]) -> list[TaskRecord]:
    """`records` as they are after `changes`."""
    fresh = {(change.request_id, change.task.task_id): change for change in changes}
    return [fresh.get((record.request_id, record.task.task_id), record) for record in records]


def look_at_tasks(
    client: TikMatrixClient,
    requests: Mapping[str, TaskRequest],
    records: Sequence[TaskRecord],
    now: float,
    settings: WatchSettings,
    names: PhoneNames,
) -> list[TaskRecord]:
    """Look at each unfinished task once; those that have changed.

    Args:
        client: Of the host.
        requests: The requests that created the tasks, by id.
        records: The unfinished tasks.
        now: Unix seconds by the ledger's clock.
        settings: Only `retries` and `auto_retry` matter here.
        names: The serials of the host's phones.

    Raises:
        ServiceError: the tasks cannot be listed.
    """
    changes: list[TaskRecord] = []
    for script in dict.fromkeys(requests[record.request_id].script for record in records):
        mine = [record for record in records if requests[record.request_id].script == script]
        seen = find_tasks(client, script, {record.task.task_id for record in mine})
        for record in mine:
            request = requests[record.request_id]
            fresh = _seen_now(request, record, seen[record.task.task_id], now, settings, names)
            if fresh != record:
                changes.append(fresh)
    return changes


def _seen_now(
    request: TaskRequest,
    record: TaskRecord,
    seen: PhoneTask | None,
    now: float,
    settings: WatchSettings,
    names: PhoneNames,
) -> TaskRecord:
    """A task as it is now."""
    task = record.task
    if seen is None:
        return _gone(record, "TikMatrix no longer has it")
    if not is_still_ours(request, task, seen, names):
        return _gone(record, f"TikMatrix no longer has it; the ID {task.task_id} now belongs to another task")
    same_failure = (
        task.state is TaskState.RETRYING
        and seen.retry_count <= task.retried_by_tikmatrix
        and (seen.end_time or "") == task.ended
    )
    state, failed_at = task_state(
        seen.status,
        failed_at=record.failed_at if same_failure else None,
        retried_by_tikmatrix=seen.retry_count,
        retried_by_us=task.retried_by_us,
        retries=settings.retries,
        auto_retry=settings.auto_retry,
        now=now,
    )
    fresh = observed(seen, request=request, known=task, names=names)
    return record._replace(task=fresh.model_copy(update={"state": state}), failed_at=failed_at)


def _gone(record: TaskRecord, remark: str) -> TaskRecord:
    gone = record.task.model_copy(update={"state": TaskState.GONE, "remark": remark})
    return record._replace(task=gone, failed_at=None)


def _retry(client: TikMatrixClient, ledger: Ledger, records: Iterable[TaskRecord], settings: WatchSettings) -> None:
    """Repeat what failed for good and is due, by TikMatrix's own retry of that one task.

    It is counted before it is asked for, so that a lost answer cannot make it more than `retries`.
    """
    now = ledger.now()
    for record in records:
        task = record.task
        failed = task.state is TaskState.RETRYING and record.failed_at is not None
        if not failed or task.retried_by_us >= settings.retries:
            continue
        pause = RETRY_PAUSE * RETRY_GROWTH**task.retried_by_us
        if settings.auto_retry:
            pause = max(pause, AUTO_RETRY_SECONDS)
        if now - (record.failed_at or now) < pause or not settings.may_retry():
            continue
        if not ledger.count_retry(record):
            continue
        log.info("Task %d on %s failed (%s). Retrying it.", task.task_id, task.who, task.remark or "no reason given")
        try:
            client.retry_task(task.task_id)
        except ServiceError as error:
            log.warning("Task %d could not be retried: %s", task.task_id, error)
