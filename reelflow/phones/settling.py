"""Find out what became of requests whose answers were lost.

What is in TikMatrix of the tasks of such a request is ours. That something is not there proves nothing: the tasks may
be done, and deleted. It was not created only if TikMatrix gave the next number to a later task of ours; until then the
request is unconfirmed after a while, still counts, and is not repeated.
"""

from __future__ import annotations

import logging

from reelflow.ledger import Ledger
from reelflow.phones.matching import PhoneNames, created_by, may_match, one_for_each
from reelflow.records.phone_states import PROOF_SECONDS, RequestState, is_next_number, settled_state
from reelflow.records.phones import TaskRequest, TaskResult
from reelflow.tikmatrix import TikMatrixClient
from reelflow.tikmatrix.listing import newer_than
from reelflow.tikmatrix.wire import PhoneTask
from reelflow.wording import count

log = logging.getLogger(__name__)


def settle_lost(client: TikMatrixClient, ledger: Ledger, host: str, owner: str) -> None:
    """Find out the outcome of every request on a host that nobody works on any more; oldest first.

    Call it in the turn of `owner` on the host, so that nobody creates new tasks meanwhile.

    Raises:
        ServiceError: the tasks cannot be listed.
        TurnLost: another run has taken the turn, and may have created some of the tasks that were listed.
    """
    now = ledger.now()
    lost = [
        request
        for request in ledger.task_requests(host=host, states=[RequestState.SENDING, RequestState.UNCONFIRMED])
        if request.lease_is_over(now, ledger.lease_seconds)
        and (request.state is RequestState.SENDING or request.age(now) <= PROOF_SECONDS)
    ]
    if lost:
        highest, tasks = newer_than(client, min(request.highest_before or 0 for request in lost))
        ledger.keep_turn(host, owner)
        names = PhoneNames(client)
        for request in lost:
            _settle(ledger, request, highest, tasks, names)


def settle_one(client: TikMatrixClient, ledger: Ledger, request: TaskRequest, owner: str) -> bool:
    """Look once for the tasks of a request whose answer was lost; whether it is settled now.

    Raises:
        ServiceError: the tasks cannot be listed.
        TurnLost: as `settle_lost`.
    """
    highest, tasks = newer_than(client, request.highest_before or 0)
    ledger.keep_turn(request.host, owner)
    return _settle(ledger, request, highest, tasks, PhoneNames(client))


def _settle(ledger: Ledger, request: TaskRequest, highest: int, tasks: list[PhoneTask], names: PhoneNames) -> bool:
    """What `tasks` say about a request whose answer was lost; whether it is settled now.

    Of tasks that are older than the request none is taken, unless all ids have started again from 1 since.
    """
    now, before = ledger.now(), request.highest_before or 0
    begun = request.begun_at or now
    newer = [task for task in tasks if highest < before or task.id > before]
    found = created_by(request, newer, names)
    owned = ledger.tasks_on_record(request.host, [task.task_id for task in found], since=begun)
    known = ledger.phone_tasks([request.id])
    ours = one_for_each([*known, *(task for task in found if task.task_id not in owned)])[: request.expected]
    alone = _created_no_others(ledger, request, newer, ours)
    state = settled_state(found=len(ours), expected=request.expected, age=request.age(now), created_no_others=alone)
    if state is None:
        return False
    if state is RequestState.NOT_CREATED:
        reason = "its answer was lost, and TikMatrix gave the next number to a later task"
        ledger.settle_task_request(request.id, state, reason, before={request.state})
        return True
    if state is RequestState.UNCONFIRMED:
        if request.state is not state or len(ours) > len(known):
            ledger.tasks_created(request.id, ours, _unconfirmed_reason(request, len(ours)), state=state)
        return True
    reason = "found after its answer was lost"
    if len(ours) < request.expected:
        reason = f"The answer was lost; TikMatrix created {len(ours)} of {request.expected} tasks"
    else:
        log.info("TikMatrix had created the %s; they were found.", count(request.expected, "task"))
    ledger.tasks_created(request.id, ours, reason, no_others=alone)
    return True


def _created_no_others(ledger: Ledger, request: TaskRequest, newer: list[PhoneTask], ours: list[TaskResult]) -> bool:
    """Whether the numbers of later tasks prove that a request created nothing but `ours`.

    Numbers of tasks that were created and deleted before it were given then. If one of them was given again since, this
    TikMatrix reuses numbers, and they prove nothing.
    """
    shown = {task.id for task in newer}
    earlier, later = ledger.task_ids_around(request, shown)
    if earlier & (shown | later):
        return False
    others = {task.id for task in newer if not may_match(request, task)} | {task.task_id for task in ours}
    before = request.highest_before or 0
    return is_next_number(highest_before=before, later=later, others=others | earlier | later)


def _unconfirmed_reason(request: TaskRequest, found: int) -> str:
    lost = f"The answer to a request for {count(request.expected, 'task')} was lost"
    return f"{lost}; TikMatrix shows {found} of them" if found else f"{lost}, and TikMatrix shows none of them"
