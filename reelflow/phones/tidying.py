"""Taking phone tasks back, and ending what earlier runs left open."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reelflow.errors import NotFound
from reelflow.ledger import Ledger
from reelflow.phones.batches import Batch, BatchState
from reelflow.phones.creating import settle_lost, settle_one, turn
from reelflow.phones.engagement import count
from reelflow.phones.forms import UNFINISHED, TaskResult, TaskState
from reelflow.phones.watching import Row, Watch, changes_or, look, watch_tasks
from reelflow.tikmatrix import TikMatrixClient

log = logging.getLogger(__name__)

ABANDONED = 600.0
"""Seconds without a sign of life after which a run is taken for broken, though its state says that it runs."""


@dataclass
class TakenBack:
    """What was taken back, and what had ended by itself before."""

    taken: list[TaskResult] = field(default_factory=list)
    ended: list[TaskResult] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        running = sum(bool(task.started) for task in self.taken)
        words = f"{count(len(self.taken), 'task')} taken back"
        if self.taken:
            words += f" ({len(self.taken) - running} that had not begun, {running} that ran)"
        return f"{words}; {len(self.ended)} had ended before and {'is' if len(self.ended) == 1 else 'are'} left."


def take_back(client: TikMatrixClient, ledger: Ledger, batches: Sequence[Batch]) -> TakenBack:
    """Stop and delete the tasks of these requests that have not ended; those that have are left.

    Call it when the run that made them is surely gone. Each is looked at first, so that an id which is another task's
    by now is never deleted. Requests that were planned and not sent are withdrawn.

    Raises:
        ServiceError: TikMatrix cannot be asked, or refused. What was done until then is on record.
    """
    for batch in batches:
        if batch.state is BatchState.PLANNED:
            ledger.settle_batch(batch.id, BatchState.WITHDRAWN, "taken back before it was sent")
    by_id = {batch.id: batch for batch in batches}
    rows = ledger.phone_task_rows(list(by_id), UNFINISHED)
    result = TakenBack()
    if rows:
        changes = look(client, by_id, rows, ledger.now(), Watch(0, auto_retry=False))
        ledger.record_tasks(changes)
        rows = changes_or(rows, changes)
        _delete(client, ledger, [row for row in rows if row[1].state in UNFINISHED], result)
    result.ended = [t for t in ledger.phone_tasks(list(by_id)) if t.state not in (*UNFINISHED, TaskState.CANCELLED)]
    return result


def take_back_run(
    client: TikMatrixClient, ledger: Ledger, flow_run: str, host: str, *, sleep: Callable[[float], None] = time.sleep
) -> TakenBack:
    """Take back everything of a flow run that has just been stopped, on one host.

    A request that was cut off is looked for first; one that shows nothing is left to `finish`.

    Raises:
        ServiceError: as `take_back`.
    """
    with turn(ledger, host, uuid.uuid4().hex, patience=3 * ledger.lease_seconds, sleep=sleep):
        for batch in ledger.batches(flow_run=flow_run, host=host, states=[BatchState.SENDING]):
            settle_one(client, ledger, batch)
        batches = ledger.batches(flow_run=flow_run, host=host)
        result = take_back(client, ledger, batches)
    me = uuid.uuid4().hex
    ledger.drop_batches(sorted(ledger.take_batches([batch.id for batch in batches], me)), me, left_open=False)
    return result


def _delete(client: TikMatrixClient, ledger: Ledger, rows: list[Row], result: TakenBack) -> None:
    for _, task, _ in rows:
        if task.state is TaskState.RUNNING:
            try:
                client.stop_task(task.task_id)
            except NotFound:
                continue
    for start in range(0, len(rows), 100):
        some = rows[start : start + 100]
        client.delete_tasks([task.task_id for _, task, _ in some])
        gone = [
            (batch_id, task.model_copy(update={"state": TaskState.CANCELLED, "remark": "taken back"}), None)
            for batch_id, task, _ in some
        ]
        ledger.record_tasks(gone)
        for batch_id, task, _ in gone:
            if not task.started:  # it never ran: it does not count for its account
                ledger.forget_actions(batch_id, [(task.username or task.serial, task.target)])
        result.taken += [task for _, task, _ in gone]


@dataclass
class Finished:
    """What a run of the finisher did on one host."""

    news: list[TaskResult] = field(default_factory=list)
    taken_back: list[TaskResult] = field(default_factory=list)
    still_open: int = 0
    lost: list[Batch] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        words = [f"{count(len(self.news), 'task')} ended, {self.still_open} still open"]
        if self.taken_back:
            words.append(f"{count(len(self.taken_back), 'task')} of broken runs taken back")
        if self.lost:
            words.append(f"{count(len(self.lost), 'request')} with a lost answer still looked for")
        return "; ".join(words) + "."


def finish(
    client: TikMatrixClient,
    ledger: Ledger,
    host: str,
    *,
    broken: Callable[[str], bool],
    watch: Watch,
    withdraw: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> Finished:
    """End what earlier runs left open on a host: lost answers, tasks of broken runs, tasks left at a deadline.

    Args:
        client: Of the host.
        ledger: With what was left.
        host: As the ledger knows it.
        broken: Whether a flow run, by its id, has ended.
        watch: For how long to follow tasks.
        withdraw: Take back the tasks of broken runs; else they are followed.
        sleep: For tests.

    Raises:
        ServiceError: TikMatrix cannot be asked.
    """
    done, me = Finished(), uuid.uuid4().hex
    with turn(ledger, host, me, patience=watch.seconds + 30, sleep=sleep):
        settle_lost(client, ledger, host)
    now = ledger.now()
    free = [b for b in ledger.open_batches(host) if b.lost(now) and (b.left_open or _is_broken(b, broken, now))]
    mine = ledger.take_batches([batch.id for batch in free], me)
    free = [batch for batch in free if batch.id in mine]
    try:
        for batch in free:
            if withdraw and not batch.left_open and batch.state is not BatchState.SENDING:
                done.taken_back += take_back(client, ledger, [batch]).taken
        follow = [batch.id for batch in free if batch.state is BatchState.CREATED]
        done.news = watch_tasks(client, ledger, follow, watch, sleep=sleep).news
    finally:
        ledger.drop_batches(sorted(mine), me, left_open=True)
    done.lost = ledger.batches(host=host, states=[BatchState.SENDING])
    ids = [batch.id for batch in ledger.open_batches(host)]
    done.still_open = len(ledger.phone_tasks(ids, UNFINISHED))
    return done


def _is_broken(batch: Batch, broken: Callable[[str], bool], now: float) -> bool:
    if batch.flow_run is None or now - batch.lease_until >= ABANDONED:
        return True
    return broken(batch.flow_run)
