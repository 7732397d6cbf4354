"""List, stop, delete and retry phone tasks by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from reelflow.errors import InputError, Refused
from reelflow.ledger import Ledger
from reelflow.phones.form import ManageForm
from reelflow.phones.limits import Guardrails
from reelflow.phones.matching import PhoneNames, is_still_ours, observed
from reelflow.phones.report import ListedTask
from reelflow.records.phone_states import TaskState, shown_state
from reelflow.records.phones import TaskRecord
from reelflow.tikmatrix import TikMatrixClient
from reelflow.tikmatrix.listing import find_task, newest_first
from reelflow.tikmatrix.scripts import job_of
from reelflow.tikmatrix.wire import PhoneTask

SINGLE_LOOKUPS = 3
"""Up to so many tasks are asked for one by one: fewer requests than a listing may need."""


@dataclass
class Selection:
    """The tasks that were chosen, what is on record of those that are ours, and why others were not chosen."""

    tasks: list[ListedTask] = field(default_factory=list)
    records: dict[int, TaskRecord] = field(default_factory=dict)
    left_alone: list[str] = field(default_factory=list)


@dataclass
class ManageResult:
    """The ids of what was done, and what TikMatrix refused."""

    done: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def select_tasks(
    client: TikMatrixClient, ledger: Ledger, host: str, form: ManageForm, guardrails: Guardrails
) -> Selection:
    """Find the tasks that a form names, on the owner's phones only.

    Args:
        client: Of the host.
        ledger: Tells which tasks are ours.
        host: As the ledger knows it.
        form: Which tasks, by id or by filters; a named task must pass the filters too.
        guardrails: List the owner's phones.

    Raises:
        InputError: the phone is not listed, or there are more tasks than the form permits.
        ServiceError: TikMatrix cannot be asked.
    """
    known = {phone.serial for phone in guardrails.phones}
    device = form.device.strip()
    if device and device not in known:
        raise InputError(f"{device} is not among the phones of the host block ({', '.join(sorted(known)) or 'none'}).")
    found, names = _find(client, form, wanted=list(dict.fromkeys(form.task_ids))), PhoneNames(client)
    selection = Selection(records=_ours(ledger, host, found, names))
    for task in found:
        phone = names.first_of(sorted(known), task)
        if phone is None:
            why = f"is on {task.serial or 'a phone'}, which the host block does not list"
        elif form.only_ours and task.id not in selection.records:
            why = "was not created by reelflow"
        elif not _passes_filters(task, form, phone, device):
            why = "does not match the filters"
        else:
            selection.tasks.append(_listed(task, phone, selection.records.get(task.id), guardrails))
            continue
        if form.task_ids:
            selection.left_alone.append(f"task {task.id} {why}")
    missing = set(form.task_ids) - {task.id for task in found}
    selection.left_alone += [f"task {task_id} does not exist" for task_id in sorted(missing)]
    if form.action != "list" and len(selection.tasks) > form.most_tasks:
        raise InputError(
            f"{len(selection.tasks)} tasks match, more than the 'Task limit' of {form.most_tasks}. Nothing was changed."
        )
    return selection


def _listed(task: PhoneTask, phone: str, record: TaskRecord | None, guardrails: Guardrails) -> ListedTask:
    """A task as it is now, with what is on record of it.

    One of ours that names no account ran as the only account of its phone, if the owner lists only one.
    """
    known = observed(task) if record is None else record.task
    accounts = next(each.accounts for each in guardrails.phones if each.serial == phone)
    username = known.username or (accounts[0].username if record is not None and len(accounts) == 1 else "")
    seen = {"serial": phone, "username": username, "state": shown_state(task.status), "job": job_of(task.script_name)}
    return ListedTask(**{**dict(known), **seen})


def _find(client: TikMatrixClient, form: ManageForm, wanted: list[int]) -> list[PhoneTask]:
    if wanted and len(wanted) <= SINGLE_LOOKUPS:
        found = [find_task(client, task_id) for task_id in wanted]
        return [task for task in found if task is not None]
    script = None if form.script == "any" else form.script
    pages = newest_first(client, script, source="api" if form.only_ours else None)
    tasks = {task.id: task for page in pages for task in page}
    return [task for task_id, task in sorted(tasks.items()) if not wanted or task_id in wanted]


def _passes_filters(task: PhoneTask, form: ManageForm, phone: str, device: str) -> bool:
    status = task.status.name.lower() if task.status is not None else "running"
    return form.status in ("any", status) and form.script in ("any", task.script_name) and device in ("", phone)


def _ours(ledger: Ledger, host: str, tasks: list[PhoneTask], names: PhoneNames) -> dict[int, TaskRecord]:
    """What is on record of those tasks that are ours, as they are now: the newest, where an id was given twice."""
    by_id, found = {task.id: task for task in tasks}, dict[int, TaskRecord]()
    for request, record in ledger.records_of_tasks(host, list(by_id)):
        task_id, seen = record.task.task_id, by_id[record.task.task_id]
        if task_id not in found and is_still_ours(request, record.task, seen, names):
            fresh = observed(seen, request=request, known=record.task, names=names)
            found[task_id] = record._replace(task=fresh)
    return found


def manage_tasks(client: TikMatrixClient, ledger: Ledger, form: ManageForm, selection: Selection) -> ManageResult:
    """Apply the form's action to the selected tasks, one by one. A dry run and a listing do nothing.

    Of our own tasks, deletions and retries are recorded; a stop is recorded when the task is next looked at.

    Args:
        client: Of the host.
        ledger: Where our own tasks are on record.
        form: The action, and whether it is a dry run.
        selection: From `select_tasks`.

    Raises:
        ServiceError: TikMatrix cannot be asked. What was done until then is on record.
    """
    result = ManageResult()
    if form.dry_run or form.action == "list":
        return result
    actions = {"stop": client.stop_task, "delete": client.delete_task, "retry": client.retry_task}
    for task in selection.tasks:
        try:
            actions[form.action](task.task_id)
        except Refused as error:
            result.refused.append(f"task {task.task_id}: {str(error).rstrip('.')}")
            continue
        result.done.append(task.task_id)
        if record := selection.records.get(task.task_id):
            _record(ledger, record, form.action)
    return result


def _record(ledger: Ledger, record: TaskRecord, action: str) -> None:
    """Record what was done to a task of ours."""
    if action == "retry":
        ledger.restart_task(record)
    elif action == "delete":
        gone = record.task.model_copy(update={"state": TaskState.CANCELLED, "remark": "deleted by hand"})
        recorded = ledger.record_tasks([record._replace(task=gone, failed_at=None)])
        ledger.forget_actions(each for each in recorded if not each.task.started)
