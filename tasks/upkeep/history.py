"""Show recent posts and phone tasks from the ledger."""

from reelflow.records.phone_states import TaskState
from reelflow.records.post_states import PostState
from reelflow.upkeep.form import HistoryForm
from reelflow.wording import count
from tasks.artifacts import plain_text, show_markdown, table
from tasks.ledger import open_ledger
from tasks.step import step

DAY = 86400.0


@step("report of {form.days} days")
def show_history(form: HistoryForm) -> str:
    """Show a table of posts and one of phone tasks; returns a one-line summary."""
    ledger = open_ledger()
    since = ledger.now() - form.days * DAY
    posts, tasks = ledger.post_counts(since), ledger.task_counts(since)
    published = sum(number for *_, state, number in posts if state == PostState.SUCCESS)
    completed = sum(number for *_, state, number in tasks if state == TaskState.COMPLETED)
    summary = (
        f"Last {count(form.days, 'day')}: {published} of {count(_total(posts), 'post')} published, "
        f"{completed} of {count(_total(tasks), 'phone task')} completed."
    )
    lines = ["# History", "", summary, ""]
    if posts:
        lines += table(_columns(("Platform", "Account", "Outcome", "Posts"), posts))
    if tasks:
        lines += ["", *table(_columns(("Phone PC", "Script", "Outcome", "Tasks"), tasks))]
    show_markdown(lines, summary, key="history")
    return summary


def _total(rows: list[tuple[str, str, str, int]]) -> int:
    return sum(number for *_, number in rows)


def _columns(names: tuple[str, ...], rows: list[tuple[str, str, str, int]]) -> dict[str, list[str]]:
    return {name: [plain_text(str(row[at])) for row in rows] for at, name in enumerate(names)}
