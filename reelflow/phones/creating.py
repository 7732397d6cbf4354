"""Create phone tasks once: plan them in the ledger, request them, and record the answer or its loss.

``POST /task`` has no idempotency key. So only one run at a time creates tasks on a host, and it notes the highest task
id before its request. After a lost answer, tasks with higher ids that match the request are ours. A request is never
repeated while it may have arrived.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reelflow.countdown import Countdown
from reelflow.errors import InputError, NothingSent, Refused, ServiceError, TurnLost
from reelflow.heartbeat import heartbeat
from reelflow.ledger import Ledger
from reelflow.phones.matching import PhoneNames
from reelflow.phones.settling import settle_lost, settle_one
from reelflow.phones.watching import WatchSettings, look_at_tasks
from reelflow.records.phone_states import RequestState
from reelflow.records.phones import TaskRequest, TaskResult
from reelflow.tikmatrix import TikMatrixClient
from reelflow.tikmatrix.listing import highest_id
from reelflow.wording import count, duration

log = logging.getLogger(__name__)

RETRY_PAUSES = (1.0, 5.0, 15.0)
"""Seconds before each new try of a request that certainly did not arrive; more if TikMatrix asks for more."""
LOOK_PAUSES = (1.0, 3.0, 8.0)
"""Seconds before each look for the tasks of a request whose answer was lost."""
TURN_PAUSE = 0.5
"""Seconds between two tries to get the turn on a host."""

Sleep = Callable[[float], None]


def create_tasks(
    client: TikMatrixClient,
    ledger: Ledger,
    requests: Sequence[TaskRequest],
    *,
    owner: str,
    secrets: Mapping[str, Any] | None = None,
    patience: float = 120.0,
    sleep: Sleep = time.sleep,
) -> None:
    """Ask TikMatrix for the tasks of every request that is still PLANNED, in order.

    When this returns, each is on record as CREATED or REFUSED, or as SENDING with its answer lost.

    Args:
        client: Of the host.
        ledger: Where the requests are on record.
        requests: Of one host.
        owner: The attempt that holds them.
        secrets: Added to ``script_config`` on the wire; never on record.
        patience: Seconds to wait for the turn on this host, and again for each request until TikMatrix takes it.
        sleep: For tests.

    Raises:
        NothingSent: TikMatrix cannot be reached or is too busy, or others kept the turn or took it. What was not
            created stays PLANNED.
        ServiceError: TikMatrix's tasks cannot be listed. What was not sent stays PLANNED.
        ClaimLost: another attempt has taken over.
        LedgerUnavailable: nothing is sent without it.
    """
    todo = [request for request in requests if request.state is RequestState.PLANNED]
    if not todo:
        return
    with turn(ledger, todo[0].host, owner, patience, sleep):
        settle_lost(client, ledger, todo[0].host, owner)
        for request in todo:
            _create(client, ledger, request, owner, secrets or {}, patience, sleep)


@contextlib.contextmanager
def turn(ledger: Ledger, host: str, owner: str, patience: float, sleep: Sleep = time.sleep) -> Iterator[None]:
    """Hold the turn to create tasks on a host: nobody else creates any there meanwhile.

    Args:
        ledger: The one that all runs for this host share.
        host: As the ledger knows it.
        owner: The attempt that takes the turn.
        patience: Seconds to wait for it.
        sleep: For tests.

    Raises:
        NothingSent: others kept the turn for all of that time, or took it because this attempt sent no heartbeat.
        LedgerUnavailable: the turn cannot be taken.
    """
    waiting = Countdown(patience, sleep)
    while not ledger.take_turn(host, owner):
        if not waiting.left:
            raise NothingSent(f"Another run is creating tasks on {host} and did not finish in time. Nothing was sent.")
        waiting.sleep(TURN_PAUSE)
    try:
        with heartbeat(lambda: ledger.keep_turn(host, owner), ledger.lease_seconds / 3):
            yield
    except TurnLost as lost:
        raise NothingSent(str(lost)) from None
    finally:
        ledger.end_turn(host, owner)


def _create(
    client: TikMatrixClient,
    ledger: Ledger,
    request: TaskRequest,
    owner: str,
    secrets: Mapping[str, Any],
    patience: float,
    sleep: Sleep,
) -> None:
    """One request, tried until it arrived, was refused, or may have arrived."""
    pauses, waiting = iter(RETRY_PAUSES), Countdown(patience, sleep)
    while True:
        try:
            if not _begin(client, ledger, request, owner):
                return
            created = client.create_task(
                request.script,
                {**request.config, **secrets},
                serials=request.serials,
                usernames=request.usernames,
                start_time=request.start_at or None,
            )
        except NothingSent as error:
            ledger.task_request_unsent(request.id, owner, str(error))
            pause = max(next(pauses, math.inf), error.retry_after or 0.0)
            if pause > waiting.left:
                error.message += " Nothing was sent: it is safe to start the run again."
                raise
            log.warning("%s Trying again in %s.", error, duration(pause))
            waiting.sleep(pause)
        except InputError as error:
            ledger.task_request_unsent(request.id, owner, str(error), state=RequestState.REFUSED)
            return
        except ServiceError as error:
            # Only TikMatrix itself can refuse: another program that listens there, or a proxy, knows nothing of tasks.
            if isinstance(error, Refused) and error.by_service:
                before = {RequestState.SENDING, RequestState.UNCONFIRMED}
                ledger.settle_task_request(request.id, RequestState.REFUSED, str(error), before=before)
            else:
                _after_lost_answer(client, ledger, request.id, owner, error, sleep)
            return
        else:
            _store(client, ledger, request, created.task_ids)
            return


def _begin(client: TikMatrixClient, ledger: Ledger, request: TaskRequest, owner: str) -> bool:
    """Record the highest id of all tasks, and that a request is about to leave; False if TikMatrix refuses already.

    What goes wrong with it leaves the request unsent.
    """
    try:
        highest = highest_id(client)
    except ServiceError as error:
        if isinstance(error, Refused) and error.by_service:
            ledger.task_request_unsent(request.id, owner, str(error), state=RequestState.REFUSED)
            return False
        raise NothingSent(str(error), service=error.service, retry_after=error.retry_after) from None
    ledger.begin_task_request(request.id, owner, highest)
    return True


def _store(client: TikMatrixClient, ledger: Ledger, request: TaskRequest, ids: list[int]) -> None:
    """Record what TikMatrix said that it created."""
    made, reason = count(len(set(ids)), "task"), ""
    if len(set(ids)) != request.expected:
        reason = f"TikMatrix created {made}; {request.expected} were requested"
        log.warning("%s.", reason)
    ledger.tasks_created(request.id, [TaskResult(task_id=task_id) for task_id in ids], reason)
    log.info("TikMatrix created %s.", made)
    if len(set(ids)) < request.expected:
        _forget_missing(client, ledger, request)


def _forget_missing(client: TikMatrixClient, ledger: Ledger, request: TaskRequest) -> None:
    """Look which of the tasks were created, so that the others do not count; while that is not known, all count."""
    records = ledger.task_records([request.id])
    try:
        seen = look_at_tasks(client, {request.id: request}, records, ledger.now(), WatchSettings(0), PhoneNames(client))
    except ServiceError as error:
        log.warning("It cannot be told which tasks are missing, so all of them count: %s", error)
        return
    ledger.record_tasks(seen)
    ledger.forget_missing(request.id)


def _after_lost_answer(
    client: TikMatrixClient, ledger: Ledger, request_id: str, owner: str, error: ServiceError, sleep: Sleep
) -> None:
    """Look for the tasks of a request whose answer is lost."""
    (request,) = ledger.task_requests(ids=[request_id])
    reason = str(error).rstrip(".")
    log.warning("The answer to the request was lost (%s). Looking for the tasks that it created.", reason)
    for pause in LOOK_PAUSES:
        sleep(pause)
        try:
            if settle_one(client, ledger, request, owner):
                return
        except TurnLost:
            break
        except ServiceError as trouble:
            log.warning("The tasks cannot be listed: %s", trouble)
    lost = f"The answer to a request for {count(request.expected, 'task')} was lost ({reason})"
    ledger.settle_task_request(request_id, RequestState.SENDING, lost, before={RequestState.SENDING})


def give_up(ledger: Ledger, requests: Sequence[TaskRequest], owner: str, reason: str) -> None:
    """Record that what an attempt still has and did not send never will be: it may be asked for again."""
    for request in requests:
        before = {RequestState.PLANNED}
        ledger.settle_task_request(request.id, RequestState.NOT_CREATED, reason, before=before, owner=owner)
