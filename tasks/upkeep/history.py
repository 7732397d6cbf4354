"""Show recent posts and phone tasks from the ledger."""

from collections.abc import Mapping
from typing import Any

from reelflow.records.phone_states import TaskState
from reelflow.records.post_states import PostState
from reelflow.tikmatrix.scripts import JOBS
from reelflow.time_zones import DAY
from reelflow.upkeep.form import HistoryForm
from reelflow.wording import count
from tasks.artifacts import plain_text, show_markdown, table
from tasks.ledger import open_ledger
from tasks.phones import wording as phones_wording
from tasks.posts import wording as posts_wording
from tasks.step import Retry, step


@step("report of {form.days} days", retry=Retry.LEDGER)
def show_history(form: HistoryForm) -> str:
    """Show a table of publications (a post on one account each) and one of phone tasks; returns a one-line summary."""
    ledger = open_ledger()
    since = ledger.now() - form.days * DAY
    posts = ledger.post_counts(since)
    tasks = [
        (host, JOBS.get(script, script), state, number) for host, script, state, number in ledger.task_counts(since)
    ]
    published = sum(number for *_, state, number in posts if state == PostState.SUCCESS)
    completed = sum(number for *_, state, number in tasks if state == TaskState.COMPLETED)
    summary = (
        f"Last {count(form.days, 'day')}: {published} of {count(_total(posts), 'publication')} succeeded, "
        f"{completed} of {count(_total(tasks), 'phone task')} completed."
    )
    lines = ["# History", "", summary, ""]
    if posts:
        lines += table(_columns(("Platform", "Account", "Outcome", "Publications"), posts, posts_wording.OUTCOME_WORDS))
    if tasks:
        lines += ["", *table(_columns(("Phone PC", "Job", "Outcome", "Tasks"), tasks, phones_wording.OUTCOME_WORDS))]
    show_markdown(lines, summary, key="history")
    return summary


def _total(rows: list[tuple[str, str, str, int]]) -> int:
    return sum(number for *_, number in rows)


def _columns(
    names: tuple[str, ...], rows: list[tuple[str, str, str, int]], words: Mapping[Any, str]
) -> dict[str, list[str]]:
    cells = [(plain_text(of), plain_text(who), words[state], str(number)) for of, who, state, number in rows]
    return dict(zip(names, map(list, zip(*cells, strict=True)), strict=True))
