"""Tidy the ledger, and show what was removed and what is kept."""

from reelflow.records.retention import LedgerSize, Leftover, kept_since
from reelflow.time_zones import DAY
from reelflow.upkeep.form import TidyForm
from reelflow.wording import count
from tasks.artifacts import show_markdown, table
from tasks.ledger import open_ledger
from tasks.step import Retry, step

_LEFTOVERS = {
    Leftover.JOURNAL: ("events", "the journal of posts whose outcome is known"),
    Leftover.ALARMS: ("alarms", "alarms that were told"),
    Leftover.APPROVALS: ("approvals", "approved posts of runs that have ended"),
    Leftover.SLOTS: ("reservations", "slots that passed without a post"),
    Leftover.FOUND_POSTS: ("found_posts", "posts found in Taisly's history, a year ago or more"),
    Leftover.PHONE_REQUESTS: ("phone_requests", "requests to TikMatrix that created nothing"),
    Leftover.API_REQUESTS: ("api_requests", "requests with Taisly keys that are not used any more"),
    Leftover.PICTURES: ("sends", "what videos look like, a year after they were published"),
    Leftover.PHONE_SETTINGS: ("phone_requests", "settings of finished phone tasks"),
}
"""The table of each, and what it is."""
_KEPT = {
    "destinations": "what was sent where: no post is sent twice",
    "sends": "the same, with captions",
    "phone_actions": "what each account did: no account comments twice on a post",
    "phone_tasks": "how phone tasks ended, and their numbers",
    "phone_requests": "what was requested of phones",
    "engagements": "what phones did for posts: not done twice",
    "reservations": "slots of posts that were sent: no campaign sends them twice",
    "approvals": "what you dropped; questions that are open",
    "found_posts": "what refuses the same caption",
    "events": "the journal since then, and of open posts",
    "alarms": "alarms since then, and those not told yet",
    "holds": "accounts that failed, or are on hold",
    "api_keys": "which key replaced which",
}
"""What the rows that are left are needed for."""


@step("tidy the ledger", retry=Retry.LEDGER)
def tidy(form: TidyForm) -> str:
    """Remove what is old and not needed, and show a report; returns a one-line summary.

    Raises:
        LedgerUnavailable: the ledger cannot be used, or was replaced meanwhile. What was removed stays removed.
    """
    ledger = open_ledger()
    before = ledger.size()
    found = ledger.tidy(form.keep_days, dry_run=form.dry_run)
    after = before if form.dry_run else ledger.size()
    summary = summarize(found, after, dry_run=form.dry_run)
    show_markdown(report(found, before, after, form), summary)
    return summary


def summarize(found: dict[Leftover, int], after: LedgerSize, *, dry_run: bool) -> str:
    """One sentence: how many rows, and how large the ledger is now."""
    removed = sum(rows for what, rows in found.items() if not what.is_emptied)
    emptied = sum(found.values()) - removed
    if dry_run:
        return f"Dry run: {count(removed, 'row')} would be removed and {emptied} shortened. Nothing was changed."
    return f"{count(removed, 'row')} removed, {emptied} shortened. The ledger has {_megabytes(after)}."


def report(found: dict[Leftover, int], before: LedgerSize, after: LedgerSize, form: TidyForm) -> list[str]:
    """What was removed from which table, and what is left in each."""
    shown = {what: rows for what, rows in found.items() if rows}
    said = ("would be shortened", "would be removed") if form.dry_run else ("shortened", "removed")
    lines = ["Not needed any more:", ""]
    if shown:
        lines += table({
            "Table": [f"`{_LEFTOVERS[what][0]}`" for what in shown],
            "What": [_LEFTOVERS[what][1] for what in shown],
            "Older than": [_age(what, form.keep_days) for what in shown],
            "Rows": [f"{rows:,} {said[0] if what.is_emptied else said[1]}" for what, rows in shown.items()],
        })  # fmt: skip
    else:
        lines.append("There is nothing to remove.")
    kept = {name: after.rows[name] for name in _KEPT if after.rows.get(name)}
    lines += ["", "Kept:", "", *table({
        "Table": [f"`{name}`" for name in kept],
        "Rows": [f"{rows:,}" for rows in kept.values()],
        "Needed for": [_KEPT[name] for name in kept],
    })] if kept else []  # fmt: skip
    size = f"The ledger has {_megabytes(after)}."
    return [*lines, "", size if form.dry_run else f"{size} Before: {_megabytes(before)}."]


def _age(what: Leftover, days: int) -> str:
    """From when on it is removed: some of it is kept for longer than the form says, or not as long."""
    return count(round(-kept_since(what, days, 0.0) / DAY), "day")


def _megabytes(size: LedgerSize) -> str:
    """How large it is, and how much of that is free, where the database tells that."""
    text = f"{size.total_bytes / 1e6:,.1f} MB"
    return text if size.free_bytes is None else f"{text}, {size.free_bytes / 1e6:,.1f} MB of them free for new rows"
