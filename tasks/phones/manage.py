"""List, stop, delete or retry phone tasks by hand."""

from blocks import TikMatrixHost
from reelflow.errors import PhonesFailed
from reelflow.phones import managing
from reelflow.phones.form import ManageForm
from reelflow.wording import count, listed
from tasks.artifacts import show_markdown
from tasks.ledger import open_ledger
from tasks.phones.report import task_table
from tasks.step import step

_DONE = {"stop": "stopped", "delete": "deleted", "retry": "retried"}


@step("{form.action} phone tasks of {host.key}")
def manage_tasks(host: TikMatrixHost, form: ManageForm) -> str:
    """List, stop, delete or retry tasks; returns a one-line summary.

    Raises:
        InputError: more tasks match than the form allows.
        PhonesFailed: TikMatrix refused the action for some tasks.
        ServiceError: TikMatrix does not answer.
    """
    host.check()
    with host.get_client() as client:
        selection = managing.select_tasks(client, open_ledger(), host.key, form, host.guardrails)
        done = managing.manage_tasks(client, open_ledger(), host.key, form, selection)
    summary = _summarize(form, selection, done)
    show_markdown([summary, "", *task_table(selection.tasks)], summary)
    if done.refused:
        raise PhonesFailed(summary)
    return summary


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
    if selection.left_alone:
        summary += f" Ignored: {listed(selection.left_alone, '; ')}."
    return summary
