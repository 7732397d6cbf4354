"""Making phone tasks once: planned in the ledger, asked for, and the answer or the loss of it put on record.

``POST /task`` has no idempotency key. So one run at a time makes tasks on a host, and notes the highest task id before
it asks; after a lost answer, new ids above it that fit what was asked for are ours. A request is never repeated while
it may have arrived.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from reelflow.errors import InputError, NothingSent, Refused, ServiceError
from reelflow.heartbeat import heartbeat
from reelflow.ledger import Ledger
from reelflow.phones.batches import Batch, BatchState
from reelflow.tikmatrix import TikMatrixClient
from reelflow.tikmatrix.client import MAX_PAGE_SIZE
from reelflow.tikmatrix.scripts import target_of
from reelflow.tikmatrix.wire import PhoneTask, TaskPage

log = logging.getLogger(__name__)

RETRY_PAUSES = (1.0, 5.0, 15.0)
"""Seconds before each new try of a request that certainly did not arrive."""
LOOK_PAUSES = (1.0, 3.0, 8.0)
"""Seconds before each look for the tasks of a request whose answer was lost."""
TURN_PAUSE = 0.5
"""Seconds between two tries to get the turn on a host."""
GRACE = 600.0
"""Seconds after which a request that left no trace is taken for not made. TikMatrix answers in milliseconds."""
MOST_PAGES = 50

Sleep = Callable[[float], None]


def create_tasks(
    client: TikMatrixClient,
    ledger: Ledger,
    batches: list[Batch],
    *,
    owner: str,
    secrets: Mapping[str, Any] | None = None,
    patience: float = 120.0,
    sleep: Sleep = time.sleep,
) -> None:
    """Ask TikMatrix for the tasks of every request that is still PLANNED, in order.

    When this returns, each is on record as CREATED or REFUSED, or as SENDING with its answer lost, or UNCONFIRMED.

    Args:
        client: Of the host.
        ledger: Where the requests are on record.
        batches: Of one host.
        owner: The attempt that holds them.
        secrets: Added to ``script_config`` on the wire; never on record.
        patience: Seconds to wait for the turn on this host.
        sleep: For tests.

    Raises:
        NothingSent: TikMatrix cannot be reached. What was not made stays PLANNED.
        ClaimLost: another attempt has taken over.
        LedgerUnavailable: nothing is sent without it.
    """
    todo = [batch for batch in batches if batch.state is BatchState.PLANNED]
    if not todo:
        return
    with turn(ledger, todo[0].host, owner, patience, sleep):
        settle_lost(client, ledger, todo[0].host)
        for batch in todo:
            _create(client, ledger, batch, owner, secrets or {}, sleep)


@contextlib.contextmanager
def turn(ledger: Ledger, host: str, owner: str, patience: float, sleep: Sleep = time.sleep) -> Iterator[None]:
    """Be the only one who makes tasks on a host.

    Raises:
        NothingSent: others were at it for all of `patience` seconds.
    """
    end = ledger.now() + patience
    while not ledger.take_turn(host, owner):
        if ledger.now() > end:
            raise NothingSent(f"Another run is making tasks on {host}, and did not finish in time. Nothing was sent.")
        sleep(TURN_PAUSE)
    try:
        with heartbeat(lambda: ledger.take_turn(host, owner), ledger.lease_seconds / 3):
            yield
    finally:
        ledger.end_turn(host, owner)


def _create(
    client: TikMatrixClient, ledger: Ledger, batch: Batch, owner: str, secrets: Mapping[str, Any], sleep: Sleep
) -> None:
    """One request, tried until it arrived, was refused, or may have arrived."""
    pauses = iter(RETRY_PAUSES)
    while True:
        try:
            ledger.begin_batch(batch.id, owner, highest_id(client))
            made = client.create_task(
                batch.script,
                {**batch.config, **secrets},
                serials=batch.serials,
                usernames=batch.usernames,
                start_time=batch.start_at or None,
            )
        except NothingSent as error:
            ledger.settle_batch(batch.id, BatchState.PLANNED, str(error))
            pause = next(pauses, None)
            if pause is None:
                error.message += " Nothing was sent: starting the run again is safe."
                raise
            log.warning("%s Trying again in %.0f s.", error, pause)
            sleep(pause)
        except (Refused, InputError) as error:
            ledger.settle_batch(batch.id, BatchState.REFUSED, str(error))
            return
        except ServiceError as error:
            _after_lost_answer(client, ledger, batch.id, error, sleep)
            return
        else:
            _store(ledger, batch, made.task_ids)
            return


def _store(ledger: Ledger, batch: Batch, ids: list[int]) -> None:
    words = ""
    if len(set(ids)) != batch.expected:
        words = f"TikMatrix made {len(set(ids))} tasks where {batch.expected} were asked for"
        log.warning("%s.", words)
    ledger.batch_created(batch.id, ids, words)
    log.info("TikMatrix made %d tasks.", len(set(ids)))


def _after_lost_answer(
    client: TikMatrixClient, ledger: Ledger, batch_id: str, error: ServiceError, sleep: Sleep
) -> None:
    """Look for what came of a request whose answer is lost, or that was never sent because the list is unreadable."""
    (batch,) = ledger.batches(ids=[batch_id])
    if batch.state is BatchState.PLANNED:  # it broke while the highest id was being read: nothing has left
        raise error
    log.warning("The answer to the request was lost (%s). Looking for the tasks that it made.", str(error).rstrip("."))
    for pause in LOOK_PAUSES:
        sleep(pause)
        try:
            if settle_one(client, ledger, batch):
                return
        except ServiceError as trouble:
            log.warning("The tasks cannot be listed: %s", trouble)
    words = f"The answer to a request for {batch.expected} tasks was lost ({str(error).rstrip('.')})"
    ledger.settle_batch(batch_id, BatchState.SENDING, words)


def settle_lost(client: TikMatrixClient, ledger: Ledger, host: str) -> None:
    """Find out what became of every request on a host that nobody works on any more; oldest first.

    Call it in the host's turn, so that nobody makes new tasks meanwhile.

    Raises:
        ServiceError: the tasks cannot be listed.
    """
    lost = [b for b in ledger.batches(host=host, states=[BatchState.SENDING]) if b.lost(ledger.now())]
    for script in dict.fromkeys(batch.script for batch in lost):
        mine = [batch for batch in lost if batch.script == script]
        highest, tasks = newer_than(client, min(batch.highest_before or 0 for batch in mine), script)
        for batch in mine:
            _settle(ledger, batch, highest, tasks)


def settle_one(client: TikMatrixClient, ledger: Ledger, batch: Batch) -> bool:
    """Look once for the tasks of a request whose answer was lost; whether it is settled now.

    Raises:
        ServiceError: the tasks cannot be listed.
    """
    return _settle(ledger, batch, *newer_than(client, batch.highest_before or 0, batch.script))


def _settle(ledger: Ledger, batch: Batch, highest: int, tasks: list[PhoneTask]) -> bool:
    """What `tasks` say about a request whose answer was lost; whether it is settled now.

    Of tasks that are older than the request none is taken, unless all ids have started again from 1 since.
    """
    begun, before = batch.begun_at or ledger.now(), batch.highest_before or 0
    found = made_by(batch, [task for task in tasks if highest < before or task.id > before])
    owned = ledger.tasks_on_record(batch.host, [task.id for task in found], since=begun)
    ours = _one_for_each([task for task in found if task.id not in owned])
    if len(ours) >= batch.expected:
        ledger.batch_created(batch.id, [task.id for task in ours[: batch.expected]], "found after its answer was lost")
        log.info("The %d tasks were found: TikMatrix had made them.", batch.expected)
        return True
    if ledger.now() - begun <= GRACE:
        return False
    if ours:
        words = f"The answer was lost; {len(ours)} of {batch.expected} tasks were found"
        ledger.batch_created(batch.id, [task.id for task in ours], words)
    else:
        ledger.settle_batch(batch.id, BatchState.WITHDRAWN, "its answer was lost, and it left no trace in 10 minutes")
    return True


def made_by(batch: Batch, tasks: list[PhoneTask]) -> list[PhoneTask]:
    """Those of `tasks` that fit a request; lowest id first."""
    return sorted((task for task in tasks if fits(batch, task)), key=lambda task: task.id)


def fits(batch: Batch, task: PhoneTask) -> bool:
    """Whether a request may have made a task. What a task does not say is not held against it."""
    if task.script_name != batch.script or (task.source and task.source != "api"):
        return False
    if batch.serials and task.serial not in batch.serials:
        return False
    if batch.usernames and task.username is not None and task.username not in batch.usernames:
        return False
    target = target_of(task.script_args)
    return not target or not batch.targets or target in batch.targets


def _one_for_each(tasks: list[PhoneTask]) -> list[PhoneTask]:
    """The oldest task for each phone, account and target: a request makes no two alike."""
    slots: dict[tuple[str, str | None, str], PhoneTask] = {}
    for task in tasks:
        slots.setdefault((task.serial, task.username, target_of(task.script_args)), task)
    return sorted(slots.values(), key=lambda task: task.id)


def highest_id(client: TikMatrixClient) -> int:
    """The highest task id that TikMatrix has; 0 if it has no tasks. At most two requests."""
    pages = newest_first(client)
    return max((task.id for task in next(pages, [])), default=0)


def newer_than(client: TikMatrixClient, task_id: int, script: str) -> tuple[int, list[PhoneTask]]:
    """The highest id there is, and the tasks of a script above `task_id`; all, if ids started again from 1 since."""
    found: dict[int, PhoneTask] = {}
    highest = highest_id(client)
    floor = task_id if highest >= task_id else 0
    for page in newest_first(client, script):
        found |= {task.id: task for task in page if task.id > floor}
        if min((task.id for task in page), default=0) <= floor:
            break
    return highest, list(found.values())


def newest_first(
    client: TikMatrixClient, script: str | None = None, *, source: Literal["ui", "api"] | None = "api"
) -> Iterator[list[PhoneTask]]:
    """Pages of tasks, the newest first, whichever way TikMatrix sorts them (which is not documented)."""

    def page(number: int) -> TaskPage:
        return client.tasks(source=source, script_name=script, page=number)

    first = page(1)
    ascending = len(first.tasks) > 1 and first.tasks[0].id < first.tasks[-1].id
    last = min(MOST_PAGES, -(-(first.total or 0) // MAX_PAGE_SIZE))
    if ascending and last > 1:
        for number in range(last, 1, -1):
            yield page(number).tasks
        yield first.tasks
        return
    yield first.tasks
    number, tasks = 1, first.tasks
    while len(tasks) == MAX_PAGE_SIZE and number < MOST_PAGES and number != last:
        number += 1
        tasks = page(number).tasks
        if tasks:
            yield tasks


def trouble_words(batch: Batch, now: float) -> str | None:
    """What a person should know about a request that did not simply make its tasks; None if it did."""
    if batch.state is BatchState.CREATED:
        return f"{batch.words}." if batch.words.startswith("TikMatrix made") else None
    if batch.state is BatchState.REFUSED:
        return batch.words
    if batch.state is BatchState.PLANNED:
        return f"A request for {batch.expected} tasks was not sent. {batch.words}".strip()
    if batch.state is BatchState.WITHDRAWN:
        return f"A request for {batch.expected} tasks was not carried out: {batch.words}."
    wait = max(0.0, GRACE - (now - (batch.begun_at or now))) / 60
    return (
        f"Unconfirmed: {batch.words or 'the answer to a request was lost'}, and no trace of them is to be seen in "
        f"TikMatrix. Nothing was repeated. If none shows within {wait:.0f} minutes, finish-phone-tasks puts on record "
        "that none was made; start the run again then."
    )
