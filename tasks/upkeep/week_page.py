"""The page of the week as Markdown that both of Prefect's UIs show.

v2 has 690 pixels for it beside its own columns, and puts 28 above and below each picture: hence tables of few columns,
and a poster below the time, so that the text beside it begins at its top.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from reelflow.records.approvals import OpenQuestion
from reelflow.records.phone_states import TaskState
from reelflow.tikmatrix.scripts import JOBS
from reelflow.time_zones import shown
from reelflow.upkeep.week import (
    MOST_FAILED,
    MOST_LISTED,
    MOST_UNCONFIRMED,
    WORDS_IN_ORDER,
    Day,
    Entry,
    Week,
    counted,
    describe_counts,
    local_time,
    nearest,
)
from reelflow.wording import count
from tasks.alarm_messages import ADVICE
from tasks.artifacts import MOST_BYTES, plain_text, table
from tasks.phones import wording as phones_wording
from tasks.phones.waiting import HOW_TO_CANCEL, WaitingPhones
from tasks.upkeep.week_cells import (
    BLANK,
    code_cell,
    day_shown,
    name_cell,
    outcomes_cell,
    post_cell,
    posters_of,
    reasons_cell,
    run_link,
)

MOST_POSTERS = 60
"""Of the posts nearest to now: some 250 KB."""
MOST_OPEN = 25
"""Posts of the days that are unfolded at first: the nearest to today."""
MOST_ROWS = 30
"""Accounts of a table; the others share a row."""
DAYS_OF_A_TABLE = 7
MOST_TABLES = 4
"""Of posts by day and account, the nearest to today; a month."""

TaskCounts = Sequence[tuple[str, str, str, int]]
"""Phone tasks: (host, script, state, how many)."""


def summarize_week(week: Week, phones: Sequence[WaitingPhones] = ()) -> str:
    """What matters, in one line."""
    waits = Counter({word: week.counts[word] for word in ("failed", "refused", "not sent")})
    waits["unconfirmed"] = sum(len(entry.outcomes) for entry in week.unconfirmed)
    told = counted(sum(len(day.entries) for day in week.days), week.counts)
    days = f"{day_shown(week.first)} to {day_shown(week.last)}".replace(BLANK, " ")
    told_waits = [describe_counts(waits)] if waits.total() else []
    if week.questions:
        told_waits.insert(0, f"{count(sum(q.posts for q in week.questions), 'post')} to approve")
    if week.without_client:
        told_waits.append(f"open posts of {count(len(week.without_client), 'deleted client')}")
    waiting = f"Waiting for you: {', '.join(told_waits)}." if told_waits else "Nothing waits for you."
    acting = f" {count(len(phones), 'post')} waiting for the phones' part." if phones else ""
    return f"{days}: {told}. {waiting}{acting}"


def week_page(
    week: Week, tasks: TaskCounts = (), phones: Sequence[WaitingPhones] = (), *, heading: str = "The week"
) -> list[str]:
    """The lines of the page; fewer posts and posters where they would be too many bytes.

    Args:
        week: What it shows.
        tasks: The phone tasks of the past days.
        phones: What waits for the phones.
        heading: Above it.
    """
    lines: list[str] = []
    for share in (1, 2, 4, 16):
        page = _page(week, tasks, phones, MOST_LISTED // share, MOST_POSTERS // share)
        lines = [f"# {plain_text(heading)}", "", *page]
        if sum(len(line.encode()) + 1 for line in lines) <= MOST_BYTES:
            break
    return lines


def _page(week: Week, tasks: TaskCounts, phones: Sequence[WaitingPhones], most: int, posters: int) -> list[str]:
    lines = [f"As of {shown(week.now)}.", ""]  # both UIs show its description above
    if sum(map(len, week.listed(most).values())) < sum(len(day.entries) for day in week.days):
        lines += ["Long days are cut here, and counted in full. `reelflow week` and the CSV file list every post.", ""]
    lines += _waiting(week, most) + _phones(phones)
    lines += _days(week, most, posters)
    return lines + _accounts(week) + _tasks(tasks)


def _waiting(week: Week, most: int) -> list[str]:
    """What a person must decide or fix, and how."""
    if not (week.questions or week.unconfirmed or week.failed or week.without_client):
        return []
    lines = ["## Waiting for you", ""]
    if week.questions:
        lines += ["### To approve", "", ADVICE["run", "WAITING"], "", *_questions(week.questions)]
    if week.unconfirmed:
        lines += ["### Unconfirmed", "", ADVICE["post", "UNCONFIRMED"], ""]
        lines += _waiting_table(week.unconfirmed, min(most, MOST_UNCONFIRMED), with_ids=True)
    if week.without_client:
        lines += ["### Posts of deleted clients", ""]
        lines += [line for sentence in week.without_client for line in (plain_text(sentence), "")]
    failed = [e.only(o for o in e.outcomes if e.word(o) == "failed") for e in week.failed]
    unsent = [e.only(o for o in e.outcomes if e.word(o) != "failed") for e in week.failed]
    for title, advice, entries in (
        ("### Failed", ADVICE["post", "FAILED"], failed),
        ("### Refused or not sent", ADVICE["post", "REFUSED"], unsent),
    ):
        if found := [entry for entry in entries if entry.outcomes]:
            lines += [title, "", advice, "", *_waiting_table(found, min(most, MOST_FAILED), with_ids=False)]
    return lines


def _phones(phones: Sequence[WaitingPhones]) -> list[str]:
    """What the phones are still to do for posts, and how to cancel it."""
    if not phones:
        return []
    rows = phones[:MOST_UNCONFIRMED]
    columns = {
        "Post": [f"{day_shown(local_time(e.published_at).date())}<br>{local_time(e.published_at):%H:%M}" for e in rows],
        "Video": [name_cell(each.engagement.file) for each in rows],
        "What the phones do": [plain_text(each.line) for each in rows],
        "Run": [run_link(each.engagement.run or each.engagement.flow_run) for each in rows],
    }
    lines = ["## Waiting for the phones", "", HOW_TO_CANCEL, "", *table(columns), ""]
    return lines + _and_more(len(phones) - len(rows))


def _questions(questions: Sequence[OpenQuestion]) -> list[str]:
    rows = questions[:MOST_UNCONFIRMED]
    columns = {
        "Posts": [str(question.posts) for question in rows],
        "First due": [shown(question.first) if question.first else "at once" for question in rows],
        "Asked": [shown(question.asked_at) for question in rows],
        "Run": [run_link(question.flow_run) for question in rows],
    }
    return [*table(columns), "", *_and_more(len(questions) - len(rows))]


def _waiting_table(entries: Sequence[Entry], most: int, *, with_ids: bool) -> list[str]:
    rows = entries[:most]
    ids = [f"<br>{code_cell(entry.send.id)}" if with_ids else "" for entry in rows]
    columns = {
        "When": [f"{day_shown(local_time(entry.at).date())}<br>{local_time(entry.at):%H:%M}" for entry in rows],
        f"Video{' and send ID' if with_ids else ''}": [name_cell(e.name) + i for e, i in zip(rows, ids, strict=True)],
        "Where and why": [reasons_cell(entry) for entry in rows],
        "Run": [run_link(entry.send.flow_run) for entry in rows],
    }
    return [*table(columns), "", *_and_more(len(entries) - most)]


def _accounts(week: Week) -> list[str]:
    """All posts by account and outcome, and by account and day."""
    by_account = week.accounts
    if not by_account:
        return []
    labels = sorted(by_account, key=lambda label: -by_account[label].total())[:MOST_ROWS]
    labels.sort(key=str.casefold)
    left = len(by_account) - len(labels)
    rest = sum((c for label, c in by_account.items() if label not in labels), Counter[str]())
    rows = {label: by_account[label] for label in labels} | ({_others(left): rest} if left else {})
    lines = [
        "## By account",
        "",
        *_numbers(rows, {word: word for word in WORDS_IN_ORDER}),
        "",
        "## By day and account",
        "",
    ]
    parts = _parts(week)
    for days in parts:
        numbers = {label: Counter({d.date: d.accounts[label] for d in days}) for label in labels}
        if left:
            all_ = Counter({d.date: d.counts.total() for d in days})
            numbers[_others(left)] = all_ - sum(numbers.values(), Counter[date]())
        title = " to ".join(dict.fromkeys([day_shown(days[0].date), day_shown(days[-1].date)]))
        is_open = len(rows) * len(parts) <= MOST_ROWS
        columns = {d.date: day_shown(d.date).replace(BLANK, "<br>", 1) for d in days}
        lines += _foldable(f"<b>{title}</b>", _numbers(numbers, columns), is_open=is_open)
    return lines


def _numbers(rows: Mapping[str, Counter[Any]], titles: Mapping[Any, str]) -> list[str]:
    """A table of numbers, with a row for all; rows and columns without any are omitted."""
    shown_rows = [(name_cell(label), row) for label, row in rows.items() if row.total()]
    total = sum((row for _, row in shown_rows), Counter[Any]())
    shown_rows += [("**All**", total)] if len(shown_rows) > 1 else []
    columns = {"Account": [name for name, _ in shown_rows], "Posts": [str(row.total()) for _, row in shown_rows]}
    columns |= {title: [str(row[key] or "·") for _, row in shown_rows] for key, title in titles.items() if total[key]}
    return table(columns)


def _parts(week: Week) -> list[list[Day]]:
    """The days with posts in parts of a week, from today on and back: those that are the nearest to today."""

    def number(day: Day) -> int:
        distance = (day.date - week.today).days
        is_single = distance > 0 and day.date == week.last and distance % DAYS_OF_A_TABLE == 0
        return distance // DAYS_OF_A_TABLE - is_single

    parts = {n: list(days) for n, days in groupby(week.days, number)}
    chosen = sorted(parts, key=lambda n: (abs(n), -n))[:MOST_TABLES]
    return [parts[n] for n in sorted(chosen)]


def _days(week: Week, most: int, posters: int) -> list[str]:
    """Today and what comes, then the past days, the latest first; days far away are folded."""
    listed = week.listed(most)
    flat = [entry for entries in listed.values() for entry in entries]
    pictures = posters_of(nearest(flat, week.now, posters))
    opened = _opened(week, listed)
    ahead = [day for day in week.days if day.date >= week.today]
    past = [day for day in week.days if day.date < week.today][::-1]
    lines, later = list[str](), [f"{count(week.later, 'more post')} scheduled after {day_shown(week.last)}.", ""]
    for title, days, more in (("## Today and ahead", ahead, later if week.later else []), ("## Past days", past, [])):
        if days or more:
            lines += [title, ""]
        for day in days:
            if listed[day.date]:
                lines += _of_day(week, day, listed[day.date], pictures, is_open=day.date in opened)
        lines += _and_more(sum(len(day.entries) for day in days if not listed[day.date]), " on other days") + more
    return lines or ["No posts in these days.", ""]


def _opened(week: Week, listed: Mapping[date, Sequence[Entry]]) -> set[date]:
    found, left = set[date](), MOST_OPEN
    for day in sorted(listed, key=lambda day: (abs((day - week.today).days), day < week.today)):
        if left <= 0:
            break
        found.add(day)
        left -= len(listed[day])
    return found


def _of_day(week: Week, day: Day, entries: Sequence[Entry], pictures: Mapping[str, str], *, is_open: bool) -> list[str]:
    named = {0: "Today, ", 1: "Tomorrow, ", -1: "Yesterday, "}.get((day.date - week.today).days, "")
    title = f"<b>{named}{day_shown(day.date)}</b>: {counted(len(day.entries), day.counts)}"
    columns = {
        "Time": [f"{local_time(e.at):%H:%M}{pictures.get(e.send.id, '')}" for e in entries],
        "Post": [post_cell(e) for e in entries],
        "Outcome": [outcomes_cell(e) for e in entries],
        "Run": [run_link(e.send.flow_run) for e in entries],
    }
    lines = [*table(columns), "", *_and_more(len(day.entries) - len(entries))]
    return _foldable(title, lines, is_open=is_open)


def _and_more(number: int, where: str = "") -> list[str]:
    return [f"… and {count(number, 'more post')}{where}", ""] if number > 0 else []


def _foldable(title: str, lines: Sequence[str], *, is_open: bool) -> list[str]:
    """Lines that a click on their title shows or hides; the title is HTML."""
    return [f"<details{' open' if is_open else ''}><summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _others(number: int) -> str:
    return count(number, "other account")


def _tasks(tasks: TaskCounts) -> list[str]:
    """The phone tasks of the past days."""
    if not tasks:
        return []
    done = sum(number for *_, state, number in tasks if state == TaskState.COMPLETED)
    total = sum(number for *_, number in tasks)
    columns = {
        "Phone PC": [plain_text(host) for host, *_ in tasks],
        "Job": [plain_text(JOBS.get(script, script)) for _, script, *_ in tasks],
        "Outcome": [phones_wording.OUTCOME_WORDS[TaskState(state)] for *_, state, _ in tasks],
        "Tasks": [str(number) for *_, number in tasks],
    }
    return ["## Phone tasks", "", f"Past days: {done} of {count(total, 'phone task')} completed.", "", *table(columns)]
