"""Listing, stopping, deleting and retrying phone tasks by hand: what is chosen, and what is left alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from reelflow.errors import InputError, NotFound, Refused
from reelflow.ledger import Ledger
from reelflow.phones.creating import fits, newest_first
from reelflow.phones.engagement import Guardrails, count
from reelflow.phones.forms import UNFINISHED, ManageForm, TaskResult, TaskState
from reelflow.tikmatrix import TikMatrixClient
from reelflow.tikmatrix.scripts import target_of
from reelflow.tikmatrix.wire import PhoneTask, TaskStatus

_STATES = {
    TaskStatus.PENDING: TaskState.PENDING,
    TaskStatus.RUNNING: TaskState.RUNNING,
    TaskStatus.COMPLETED: TaskState.COMPLETED,
    TaskStatus.FAILED: TaskState.FAILED,
}


@dataclass
class Chosen:
    """The tasks that fit, and why others with the wanted ids do not."""

    tasks: list[TaskResult] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)


@dataclass
class Acted:
    """The ids of what was done, and what TikMatrix refused."""

    done: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def choose(client: TikMatrixClient, ledger: Ledger, host: str, form: ManageForm, guardrails: Guardrails) -> Chosen:
    """Find the tasks that a form names, on the owner's phones only.

    Raises:
        InputError: the phone is not listed, or there are more tasks than the form permits.
        ServiceError: TikMatrix cannot be asked.
    """
    listed = {phone.serial for phone in guardrails.phones}
    device = form.device.strip()
    if device and device not in listed:
        raise InputError(f"{device} is not among the phones of the host block ({', '.join(sorted(listed)) or 'none'}).")
    chosen, found = Chosen(), _find(client, form, chosen_ids=list(dict.fromkeys(form.task_ids)))
    ours = _ours(ledger, host, found)
    for task in found:
        if task.serial not in listed:
            why = f"is on {task.serial or 'a phone'}, which the host block does not list"
        elif form.only_ours and task.id not in ours:
            why = "was not made by reelflow"
        elif not _fits_filters(task, form, device):
            why = "does not fit the filters"
        else:
            chosen.tasks.append(_result(task))
            continue
        if form.task_ids:
            chosen.left_alone.append(f"task {task.id} {why}")
    missing = set(form.task_ids) - {task.id for task in found}
    chosen.left_alone += [f"task {task_id} is not there" for task_id in sorted(missing)]
    if len(chosen.tasks) > form.most_tasks:
        raise InputError(
            f"{len(chosen.tasks)} tasks fit, more than the {form.most_tasks} of 'At most (tasks)'. Nothing was done."
        )
    return chosen


def _find(client: TikMatrixClient, form: ManageForm, chosen_ids: list[int]) -> list[PhoneTask]:
    if chosen_ids and len(chosen_ids) <= 3:  # fewer requests than a listing may need
        found = []
        for task_id in chosen_ids:
            try:
                found.append(client.task(task_id))
            except NotFound:
                continue
        return found
    script = None if form.script == "any" else form.script
    pages = newest_first(client, script, source="api" if form.only_ours else None)
    tasks = {task.id: task for page in pages for task in page}
    return [task for task_id, task in sorted(tasks.items()) if not chosen_ids or task_id in chosen_ids]


def _fits_filters(task: PhoneTask, form: ManageForm, device: str) -> bool:
    status = task.status.name.lower() if task.status is not None else "running"
    return (
        form.status in ("any", status)
        and form.script in ("any", task.script_name)
        and (not device or task.serial == device)
    )


def _ours(ledger: Ledger, host: str, tasks: list[PhoneTask]) -> dict[int, str]:
    """The tasks that are on record as ours, with their request; the same number alone is not enough."""
    by_id = {task.id: task for task in tasks}
    ours: dict[int, str] = {}
    for batch, known in ledger.phone_records(host, list(by_id)):
        seen = by_id[known.task_id]
        same = (not known.serial or known.serial == seen.serial) and (
            not known.target or known.target == target_of(seen.script_args)
        )
        if fits(batch, seen) and same:
            ours.setdefault(known.task_id, batch.id)
    return ours


def _result(task: PhoneTask) -> TaskResult:
    return TaskResult(
        task_id=task.id,
        serial=task.serial,
        username=task.username or "",
        target=target_of(task.script_args),
        state=_STATES[task.status] if task.status is not None else TaskState.RUNNING,
        remark=task.remark,
        repeated_by_tikmatrix=task.retry_count,
        started=task.start_time or "",
        ended=task.end_time or "",
    )


def act(client: TikMatrixClient, ledger: Ledger, host: str, form: ManageForm, chosen: Chosen) -> Acted:
    """Do it, task by task, and put it on record where a task is ours. A dry run and a listing do nothing.

    Raises:
        ServiceError: TikMatrix cannot be asked.
    """
    acted = Acted()
    if form.dry_run or form.action == "list":
        return acted
    records = {known.task_id: (batch, known) for batch, known in
               reversed(ledger.phone_records(host, [t.task_id for t in chosen.tasks]))}  # fmt: skip
    for task in chosen.tasks:
        try:
            if form.action == "stop":
                client.stop_task(task.task_id)
            elif form.action == "delete":
                client.delete_task(task.task_id)
            else:
                client.retry_task(task.task_id)
        except Refused as error:
            acted.refused.append(f"task {task.task_id}: {str(error).rstrip('.')}")
            continue
        acted.done.append(task.task_id)
        if task.task_id not in records:
            continue
        batch, known = records[task.task_id]
        if form.action == "delete" and known.state in UNFINISHED:
            gone = known.model_copy(update={"state": TaskState.CANCELLED, "remark": "deleted by hand"})
            ledger.record_tasks([(batch.id, gone, None)])
        elif form.action == "retry":
            ledger.record_tasks([(batch.id, known.model_copy(update={"state": TaskState.PENDING}), None)])
            ledger.follow_again([batch.id])
    return acted


_DONE = {"stop": "stopped", "delete": "deleted", "retry": "set going again"}


def sentence(form: ManageForm, chosen: Chosen, acted: Acted) -> str:
    """What was found and done, in one line."""
    fit = count(len(chosen.tasks), "task")
    if form.action == "list":
        words = f"{fit} found."
    elif form.dry_run:
        words = f"Dry run, nothing was done. {fit} would be {_DONE[form.action]}."
    else:
        words = f"{len(acted.done)} of {fit} {_DONE[form.action]}."
    if acted.refused:
        words += f" TikMatrix refused: {'; '.join(acted.refused[:5])}."
    if chosen.left_alone:
        words += f" Left alone: {'; '.join(chosen.left_alone[:5])}."
    return words
