"""Record what a person has found out about tasks that TikMatrix no longer has."""

from __future__ import annotations

from dataclasses import dataclass, field

from reelflow.ledger import Ledger
from reelflow.phones.form import ManageForm
from reelflow.records.phone_states import RequestState, TaskState

BY_HAND = "marked as not done"


@dataclass
class ResolveResult:
    """What was recorded, or would be, and why other things that were named are left as they are."""

    requests: list[str] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)


def resolve(ledger: Ledger, host: str, form: ManageForm) -> ResolveResult:
    """Record that unconfirmed requests, and tasks that are gone, were done or not done.

    What was done goes on counting. What was not done does not count any more, so it can be requested again. Of an
    unconfirmed request, this is about the tasks that were not found.

    Args:
        ledger: Where they are on record.
        host: As the ledger knows it.
        form: Names them, and says which of both it is.
    """
    result, done = ResolveResult(), form.action == "mark done"
    wanted = list(dict.fromkeys(filter(None, map(str.strip, form.request_ids))))
    known = {request.id: request for request in ledger.task_requests(ids=wanted, host=host)}
    for request_id in wanted:
        request = known.get(request_id)
        if request is None or request.state is not RequestState.UNCONFIRMED:
            why = "does not exist on this PC" if request is None else "is not unconfirmed"
            result.left_alone.append(f"request {request_id} {why}")
            continue
        result.requests.append(request_id)
        if form.dry_run:
            continue
        if done:
            ledger.tasks_created(request_id, [])
        elif ledger.phone_tasks([request_id]):
            ledger.tasks_created(request_id, [], BY_HAND, no_others=True)
        else:
            before = {RequestState.UNCONFIRMED}
            ledger.settle_task_request(request_id, RequestState.NOT_CREATED, BY_HAND, before=before)
    _resolve_tasks(ledger, host, form, result)
    return result


def _resolve_tasks(ledger: Ledger, host: str, form: ManageForm, result: ResolveResult) -> None:
    found = ledger.records_of_tasks(host, form.task_ids)
    for task_id in dict.fromkeys(form.task_ids):
        gone = [record for _, record in found if record.task.task_id == task_id and record.task.state is TaskState.GONE]
        if not gone:
            result.left_alone.append(f"task {task_id} is not gone")
            continue
        if not gone[0].task.who:
            result.left_alone.append(f"task {task_id} was deleted before its account and target were seen")
            continue
        if form.action == "mark done":
            result.left_alone.append(f"task {task_id} counts as done already")
            continue
        result.tasks.append(task_id)
        if not form.dry_run:
            ledger.forget_actions(gone[:1])
