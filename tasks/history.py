"""Show what the ledger has of the last days."""

from prefect.artifacts import create_markdown_artifact

from reelflow.models import HistoryForm
from tasks.record import open_ledger
from tasks.report import plain_text
from tasks.step import step

DAY = 86400.0


@step("report of {form.days} days")
def show_history(form: HistoryForm) -> str:
    """A table of posts and one of phone tasks; one line that sums them up."""
    ledger = open_ledger()
    posts, tasks = (
        ledger.post_counts(ledger.now() - form.days * DAY),
        ledger.task_counts(ledger.now() - form.days * DAY),
    )
    sent, out = sum(n for *_, n in posts), sum(n for *_, state, n in posts if state == "SUCCESS")
    done = sum(n for *_, state, n in tasks if state == "COMPLETED")
    words = (
        f"In {form.days} days: {out} of {sent} posts published, {done} of {sum(n for *_, n in tasks)} phone tasks "
        "completed."
    )
    lines = ["# History", "", words, ""]
    if posts:
        lines += ["| Platform | Account | Outcome | Posts |", "|---|---|---|---|"]
        lines += [f"| {plain_text(p)} | {plain_text(name)} | {state} | {n} |" for p, name, state, n in posts]
    if tasks:
        lines += ["", "| Phones of | Script | Outcome | Tasks |", "|---|---|---|---|"]
        lines += [f"| {plain_text(host)} | {script} | {state} | {n} |" for host, script, state, n in tasks]
    create_markdown_artifact(key="history", markdown="\n".join(lines), description=words)
    return words
