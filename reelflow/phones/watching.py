"""Watching phone tasks until each has an end, by listing: one request for up to 100 of them.

Only our own ids are looked at, never the PC's counts. What a task is known by beside its id (script, phone, target) is
put on record when it is first seen, so that an id which TikMatrix gives a second time is not taken for ours.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from reelflow.errors import NotAllowed, NotFound, ReelflowError, ServiceError
from reelflow.ledger import Ledger
from reelflow.phones.batches import Batch
from reelflow.phones.creating import fits, newest_first
from reelflow.phones.forms import UNFINISHED, TaskResult, TaskState
from reelflow.tikmatrix import TikMatrixClient
from reelflow.tikmatrix.scripts import target_of
from reelflow.tikmatrix.wire import PhoneTask, TaskStatus

log = logging.getLogger(__name__)

AUTO_RETRY_SECONDS = 65.0
"""TikMatrix repeats a failed task after 5 to 60 s, so a failure is final only after that, and 5 s for its clock."""
AUTO_RETRY_MOST = 10
"""The highest number of repeats that TikMatrix's setting takes: a failure after them is final at once."""
RETRY_PAUSE = 60.0
RETRY_GROWTH = 3.0
"""Our own repeats wait 1, 3, 9, … minutes."""
PROOFS = 3
"""How many of the tasks that are missing from a complete listing are asked for singly before all are taken for gone."""
LONGEST_PAUSE = 60.0
"""Seconds between two looks while TikMatrix does not answer."""

Row = tuple[str, TaskResult, float | None]
"""A task on record: the request that made it, the task, and since when it has failed without a change."""


@dataclass(frozen=True)
class Watch:
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
class Watched:
    """What came of watching: what went wrong last, if the last look failed, and how many looks there were."""

    trouble: ReelflowError | None = None
    looks: int = 0
    news: list[TaskResult] = field(default_factory=list)


def watch_tasks(
    client: TikMatrixClient,
    ledger: Ledger,
    batch_ids: Sequence[str],
    how: Watch,
    *,
    on_news: Callable[[TaskResult], None] = lambda task: None,
    on_progress: Callable[[int, int], None] = lambda ended, total: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Watched:
    """Wait until the tasks of these requests have ended, or the time is over.

    A look that fails is no reason to give up, since the phones go on without us: it is tried again until the deadline.
    Only a licence that no longer permits it ends it early. Never raises for what TikMatrix does.
    """
    watched, end, pause = Watched(), ledger.now() + how.seconds, how.interval
    batches = {batch.id: batch for batch in ledger.batches(ids=batch_ids)}
    while True:
        rows = ledger.phone_task_rows(batch_ids)
        open_rows = [row for row in rows if row[1].state in UNFINISHED]
        on_progress(len(rows) - len(open_rows), len(rows))
        if not open_rows:
            return watched
        try:
            watched.looks += 1
            changes = look(client, batches, open_rows, ledger.now(), how)
            ledger.record_tasks(changes)
            _retry(client, ledger, changes_or(open_rows, changes), how)
        except NotAllowed as error:
            watched.trouble = error
            log.warning("The tasks cannot be watched any more: %s", error)
            return watched
        except ServiceError as error:
            if watched.trouble is None:
                log.warning("TikMatrix could not be asked, will ask again: %s", error)
            watched.trouble, pause = error, min(LONGEST_PAUSE, pause * 2)
        else:
            if watched.trouble is not None:
                log.info("TikMatrix answers again.")
            watched.trouble, pause = None, how.interval
            for _, task, _ in changes:
                if task.state not in UNFINISHED:
                    watched.news.append(task)
                    on_news(task)
            if len(changes) == len(open_rows) and all(task.state not in UNFINISHED for _, task, _ in changes):
                continue  # all have ended: no need to wait before saying so
        if ledger.now() >= end:
            return watched
        sleep(max(0.0, min(pause, end - ledger.now())))


def changes_or(rows: Iterable[Row], changes: Iterable[Row]) -> list[Row]:
    """`rows` as they are after `changes`."""
    fresh = {(batch_id, task.task_id): (batch_id, task, since) for batch_id, task, since in changes}
    return [fresh.get((row[0], row[1].task_id), row) for row in rows]


def look(client: TikMatrixClient, batches: dict[str, Batch], rows: Sequence[Row], now: float, how: Watch) -> list[Row]:
    """Look at each open task once; those that have changed.

    Raises:
        ServiceError: as the client does.
    """
    changes: list[Row] = []
    for script in dict.fromkeys(batches[row[0]].script for row in rows):
        mine = [row for row in rows if batches[row[0]].script == script]
        seen = _listed(client, script, {row[1].task_id for row in mine})
        for batch_id, task, failed_at in mine:
            fresh = _changed(batches[batch_id], task, failed_at, seen[task.task_id], now, how)
            if fresh != (task, failed_at):
                changes.append((batch_id, *fresh))
    return changes


def _listed(client: TikMatrixClient, script: str, wanted: set[int]) -> dict[int, PhoneTask | None]:
    """These tasks by id, from as few pages as have them; None for one that is not there any more."""
    seen: dict[int, PhoneTask | None] = {}
    for page in newest_first(client, script):
        seen |= {task.id: task for task in page if task.id in wanted}
        if len(seen) == len(wanted) or min((task.id for task in page), default=0) < min(wanted):
            break
    missing = sorted(wanted - set(seen))
    for number, task_id in enumerate(missing):
        if number >= PROOFS and all(seen[earlier] is None for earlier in missing[:PROOFS]):
            seen[task_id] = None
            continue
        try:
            seen[task_id] = client.task(task_id)
        except NotFound:
            seen[task_id] = None
    return seen


def _changed(
    batch: Batch, task: TaskResult, failed_at: float | None, seen: PhoneTask | None, now: float, how: Watch
) -> tuple[TaskResult, float | None]:
    """A task as it is now, and since when it has failed without a change."""
    if seen is None:
        return task.model_copy(update={"state": TaskState.GONE, "remark": "TikMatrix does not have it any more"}), None
    if not fits(batch, seen) or not _same(task, seen):
        words = f"TikMatrix does not have it any more; the number {task.task_id} is another task's now"
        return task.model_copy(update={"state": TaskState.GONE, "remark": words}), None
    fresh = task.model_copy(
        update={
            "serial": seen.serial or task.serial,
            "username": seen.username or task.username,
            "target": target_of(seen.script_args) or task.target,
            "remark": seen.remark.strip(),
            "repeated_by_tikmatrix": max(seen.retry_count, task.repeated_by_tikmatrix),
            "started": seen.start_time or "",
            "ended": seen.end_time or "",
        }
    )
    if seen.status is TaskStatus.COMPLETED:
        return fresh.model_copy(update={"state": TaskState.COMPLETED}), None
    if seen.status is TaskStatus.FAILED:
        unchanged = (
            task.state is TaskState.RETRYING
            and seen.retry_count <= task.repeated_by_tikmatrix
            and (seen.end_time or "") == task.ended
        )
        since = failed_at if unchanged and failed_at is not None else now
        over = not how.auto_retry or seen.retry_count >= AUTO_RETRY_MOST or now - since >= AUTO_RETRY_SECONDS
        final = over and task.repeated_by_us >= how.retries
        return fresh.model_copy(update={"state": TaskState.FAILED if final else TaskState.RETRYING}), since
    running = seen.status is TaskStatus.RUNNING or seen.status is None
    return fresh.model_copy(update={"state": TaskState.RUNNING if running else TaskState.PENDING}), None


def _same(task: TaskResult, seen: PhoneTask) -> bool:
    """Whether a task is still the one that was seen first under its id."""
    known = ((task.serial, seen.serial), (task.username, seen.username), (task.target, target_of(seen.script_args)))
    return all(not before or not now or before == now for before, now in known)


def _retry(client: TikMatrixClient, ledger: Ledger, rows: Iterable[Row], how: Watch) -> None:
    """Repeat what failed for good and is due, by TikMatrix's own retry of that one task.

    It is counted before it is asked for, so that a lost answer cannot make it more than `retries`.
    """
    now = ledger.now()
    for batch_id, task, failed_at in rows:
        if task.state is not TaskState.RETRYING or failed_at is None or task.repeated_by_us >= how.retries:
            continue
        pause = RETRY_PAUSE * RETRY_GROWTH**task.repeated_by_us
        if how.auto_retry:
            pause = max(pause, AUTO_RETRY_SECONDS)
        if now - failed_at < pause or not how.may_retry():
            continue
        again = task.model_copy(update={"repeated_by_us": task.repeated_by_us + 1})
        ledger.record_tasks([(batch_id, again, now)])
        log.info("Task %d on %s failed (%s): repeating it.", task.task_id, task.who, task.remark or "no reason given")
        try:
            client.retry_task(task.task_id)
        except ServiceError as error:
            log.warning("Task %d could not be repeated: %s", task.task_id, error)
