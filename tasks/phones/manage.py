"""List, stop, delete or retry phone tasks by hand."""

from blocks import TikMatrixHost
from reelflow.errors import InputError, PhonesFailed
from reelflow.phones import managing
from reelflow.phones.form import ManageForm
from reelflow.phones.report import ManageReport
from reelflow.phones.resolving import resolve
from reelflow.wording import count, listed
from tasks.artifacts import show_markdown
from tasks.ledger import open_ledger
from tasks.phones.report import task_table
from tasks.step import step

_DONE = {"stop": "stopped", "delete": "deleted", "retry": "retried"}


@step("{form.action} phone tasks of {host.key}")
def manage_tasks(host: TikMatrixHost, form: ManageForm) -> ManageReport:
    """List, stop, delete or retry tasks; returns a one-line summary and the tasks.

    Raises:
        InputError: more tasks match than the form allows, or nothing is named that could be marked.
        PhonesFailed: TikMatrix refused the action for some tasks.
        ServiceError: TikMatrix does not answer.
    """
    if form.marks:
        return ManageReport(summary=_mark(host, form), tasks=[])
    host.check()
    with host.get_client() as client:
        selection = managing.select_tasks(client, open_ledger(), host.key, form, host.guardrails)
        done = managing.manage_tasks(client, open_ledger(), form, selection)
    summary = _summarize(form, selection, done)
    show_markdown([summary, "", *task_table(selection.tasks)], summary)
    report = ManageReport(summary=summary, tasks=list(selection.tasks))
    if done.refused:
        raise PhonesFailed(summary, report)
    return report


def _mark(host: TikMatrixHost, form: ManageForm) -> str:
    """Record what a person has found out; returns a one-line summary. TikMatrix is not asked."""
    if not (form.request_ids or form.task_ids):
        raise InputError(
            f"'{form.action}' needs request IDs or task IDs: enter those that the report of the run names."
        )
    marked = resolve(open_ledger(), host.key, form)
    named = ((marked.requests, "request"), (marked.tasks, "task"))
    what = " and ".join(count(len(found), word) for found, word in named if found) or "nothing"
    how = form.action.removeprefix("mark ")
    if form.dry_run:
        return f"Dry run: nothing was changed. {what} would be marked as {how}.{_ignored(marked.left_alone)}"
    return f"Marked {what} as {how}.{_ignored(marked.left_alone)}"


def _ignored(left_alone: list[str]) -> str:
    return f" Ignored: {listed(left_alone, '; ')}." if left_alone else ""


def _summarize(form: ManageForm, selection: managing.Selection, done: managing.ManageResult) -> str:
    """One line about what was found and done."""
    tasks = count(len(selection.tasks), "task")
    if form.action == "list":
        summary = f"Found {tasks}."
    elif form.dry_run:
        summary = f"Dry run: nothing was changed. {tasks} would be {_DONE[form.action]}."
    else:
        summary = f"{len(done.done)} of {tasks} {_DONE[form.action]}."
    if done.refused:
        summary += f" TikMatrix refused: {listed(done.refused, '; ')}."
    return summary + _ignored(selection.left_alone)
