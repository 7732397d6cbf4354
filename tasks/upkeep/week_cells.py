"""The cells of the page of the week: a post, its outcomes, its poster, and names and days that do not break."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from reelflow.records.posts import Outcome
from reelflow.upkeep.week import MOST_ACCOUNTS, Entry, is_alarming
from reelflow.video.kept_poster import kept_poster
from reelflow.wording import one_line
from tasks.artifacts import code_span, link, picture, plain_text

LONGEST_CAPTION, LONGEST_REASON, LONGEST_NAME, LONGEST_LINK = 120, 160, 60, 300
"""Characters."""
POSTER_WIDTH = 45
"""Pixels on the page; the picture has half as many again, for sharp screens."""
CHANGED_SECONDS = 300.0
"""By so much may the clock of a network drive be ahead, before its video counts as changed since it was posted."""
RUN = "../../runs/flow-run/"
"""The way to a run from every page of the UI that shows an artifact, in both UIs and under any address."""
BLANK = "\N{NO-BREAK SPACE}"
"""Within a name or a date: v2 breaks lines of a table wherever it can."""
_ID = re.compile(r"[0-9a-fA-F-]{36}")


def post_cell(entry: Entry) -> str:
    """The name of its video, its caption, and the ID that cancels it while it is scheduled."""
    caption = plain_text(one_line(entry.send.caption, LONGEST_CAPTION))
    parts = [f"**{name_cell(entry.name)}**", caption]
    if entry.is_scheduled and entry.send.history_id:
        parts.append(f"History ID {code_cell(entry.send.history_id)}")
    return "<br>".join(filter(None, parts))


def outcomes_cell(entry: Entry) -> str:
    """A line for each outcome, with its accounts as links to the post, and the reason where it is one to look at."""
    lines = []
    for word, outcomes in entry.by_word().items():
        if is_alarming(word):
            lines.append(f"**{word}**: {reasons_cell(entry.only(outcomes))}")
        else:
            lines.append(f"{word}: {_listed(map(_account, outcomes))}")
    return "<br>".join(lines)


def reasons_cell(entry: Entry) -> str:
    """A line for each reason, with its accounts."""
    found: dict[str, list[str]] = {}
    for outcome in entry.outcomes:
        found.setdefault(one_line(outcome.detail, LONGEST_REASON), []).append(name_cell(outcome.account.label))
    lines = [f"{_listed(who)}{f': {plain_text(why)}' if why else ''}" for why, who in found.items()]
    return "<br>".join(_with_more(lines))


def _account(outcome: Outcome) -> str:
    if outcome.link and len(outcome.link) <= LONGEST_LINK:
        return link(outcome.link, one_line(outcome.account.label, LONGEST_NAME)).replace(" ", BLANK)
    return name_cell(outcome.account.label)


def _listed(accounts: Iterable[str]) -> str:
    """Two on a line: v1 breaks no line of a table."""
    found = _with_more(accounts)
    return ",<br>".join(", ".join(found[n : n + 2]) for n in range(0, len(found), 2))


def _with_more(texts: Iterable[str]) -> list[str]:
    found = list(texts)
    return found[:MOST_ACCOUNTS] + ([f"{len(found) - MOST_ACCOUNTS} more"] if len(found) > MOST_ACCOUNTS else [])


def posters_of(entries: Sequence[Entry]) -> dict[str, str]:
    """The posters of those posts, by send; a video that several posts share is read once."""
    found = dict[str, str]()
    for entry in entries:
        send = entry.send
        before = (send.sealed_at or send.claimed_at) + CHANGED_SECONDS
        if jpeg := kept_poster(Path(send.file), sha256=send.sha256, changed_before=before):
            found[send.id] = picture(jpeg, POSTER_WIDTH)
    return found


def run_link(run: str | None) -> str:
    """A link to a run by its ID; empty if it is none."""
    run = run or ""
    return f"[run]({RUN}{run})" if _ID.fullmatch(run) else ""


def name_cell(text: str) -> str:
    """A name from outside, cut, as plain text that does not break."""
    return plain_text(one_line(text, LONGEST_NAME)).replace(" ", BLANK)


def code_cell(text: str) -> str:
    """An ID, to be copied."""
    return code_span(text, LONGEST_NAME)


def day_shown(day: date) -> str:
    """A date in a few letters that do not break: Thu 26 Nov."""
    return f"{day:%a}{BLANK}{day.day}{BLANK}{day:%b}"
