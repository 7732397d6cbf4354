"""The week as files for other programs: CSV for spreadsheets, iCalendar (RFC 5545) for calendars."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from reelflow.errors import InputError
from reelflow.records.clients import for_client
from reelflow.records.posts import without_quotes
from reelflow.upkeep.form import WeekForm
from reelflow.upkeep.week import Entry, Week, local_time
from reelflow.wording import one_line
from reelflow.written_files import neutral_cell, replace_file

COLUMNS = (
    "time", "video", "caption", "account", "outcome", "reason", "link", "send ID", "history ID", "run", "client",
)  # fmt: skip
EVENT_MINUTES = 15
"""How long an event of the calendar takes: a post takes none, and would not be seen."""
LONGEST_TEXT = 10_000
"""Characters of a line of a caption."""
LINE_BYTES = 75
"""The longest line of a calendar file, without its end (RFC 5545, section 3.1)."""


def check_files(form: WeekForm) -> None:
    """Refuse files that are certainly a mistake, before anything is read: another name would replace, say, a video.

    Raises:
        InputError: a name has another ending.
    """
    for field, title, ending in (("csv", "Save as CSV", ".csv"), ("ics", "Save as calendar", ".ics")):
        name = without_quotes(getattr(form, field))
        if name and Path(name).suffix.lower() != ending:
            raise InputError(f"{title}: {one_line(name)!r} must end in {ending}. Nothing was written.")


def write_files(form: WeekForm, week: Week) -> list[Path]:
    """Write the files that the form names; those that were written. Each is replaced at once, or left as it was.

    Raises:
        InputError: a name has another ending, or the file cannot be written.
    """
    check_files(form)
    wanted = ((form.csv, csv_of), (form.ics, calendar_of))
    return [replace_file(Path(without_quotes(name)), make(week)) for name, make in wanted if without_quotes(name)]


def csv_of(week: Week) -> str:
    """One row for each post and account, every post; with a byte order mark, by which Excel knows that it is UTF-8."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    for entry in week.entries:
        send = entry.send
        for outcome in entry.outcomes:
            cells = (
                local_time(entry.at).isoformat(timespec="seconds"), send.file_name, send.caption,
                outcome.account.label, entry.word(outcome), outcome.detail, outcome.link or "", send.id,
                send.history_id or "", send.flow_run or "", send.client,
            )  # fmt: skip
            rows.writerow(map(neutral_cell, cells))
    return "\ufeff" + out.getvalue()


def calendar_of(week: Week) -> str:
    """One event for each post, every post."""
    head = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//reelflow//week//EN", "CALSCALE:GREGORIAN")
    lines = [*head, *(line for entry in week.entries for line in _event(entry, week.now)), "END:VCALENDAR"]
    return "".join(f"{_fold(line)}\r\n" for line in lines)


def _event(entry: Entry, now: float) -> Iterator[str]:
    send = entry.send
    platforms = ", ".join(dict.fromkeys(o.account.platform for o in entry.outcomes))
    told = [
        f"{o.account.label}: {entry.word(o)}{f' ({o.detail})' if o.detail else ''}{f' {o.link}' if o.link else ''}"
        for o in entry.outcomes
    ]
    caption = [one_line(line, LONGEST_TEXT) for line in send.caption.splitlines()]
    yield "BEGIN:VEVENT"
    yield f"UID:{send.id}@reelflow"
    yield f"DTSTAMP:{_utc(now)}"
    yield f"DTSTART:{_utc(entry.at)}"
    yield f"DURATION:PT{EVENT_MINUTES}M"
    yield f"SUMMARY:{_escape(for_client(send.client, f'{platforms}: {send.file_name}'))}"
    yield f"DESCRIPTION:{_escape(chr(10).join([*caption, *([''] if caption else []), *told]))}"
    yield f"STATUS:{_status(entry)}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _status(entry: Entry) -> str:
    """CANCELLED if it is out nowhere for certain, TENTATIVE while it is not known."""
    words = set(entry.counts)
    if words <= {"cancelled", "refused", "not sent"}:
        return "CANCELLED"
    return "TENTATIVE" if words & {"open", "unconfirmed"} else "CONFIRMED"


def _utc(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M%SZ}"


def _escape(text: str) -> str:
    for character in "\\;,":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", "\\n")


def _fold(line: str) -> str:
    """A line in pieces of at most 75 bytes; each further one begins with a blank. No character is cut in two."""
    pieces, size = [""], 0
    for character in line:
        length = len(character.encode())
        if size + length > LINE_BYTES:
            pieces.append(" ")
            size = 1
        pieces[-1] += character
        size += length
    return "\r\n".join(pieces)
