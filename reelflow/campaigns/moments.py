"""When a row of a campaign plan is published, as people and spreadsheets write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from reelflow.campaigns.rows import NOW
from reelflow.errors import InputError
from reelflow.posts.schedule import read_time
from reelflow.time_zones import in_zone
from reelflow.wording import one_line

DateFormat = Literal["refused", "day/month/year", "month/day/year"]
"""The order of a date's numbers where the separator does not tell it; "refused" if nobody has said it."""
DATE_FORMAT_LABEL = "Dates like 03/04/2026"
"""What the form calls the choice of a `DateFormat`."""
YEARS = range(2000, 2100)
"""A date in another year is a mistake, and its moment may not fit any clock."""

_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)(.*)")
_UNDECLARED = re.compile(
    r"(?:[a-z]{3,9}\.?,? +)?(\d{1,2})([/-])(\d{1,2})(?:\2(\d{4}|\d{2}))?(?!\d|[/-])(.*)", re.IGNORECASE
)
"""With slashes or hyphens, the day comes first in one half of the world and the month in the other."""
_TIME = re.compile(r"\d[:.]\d|T\d{2}", re.IGNORECASE)


@dataclass(frozen=True)
class Wrong:
    """What keeps a time from being read: a word for programs, and a sentence."""

    code: str
    sentence: str


When = datetime | Literal["now"] | None


def read_when(value: Any, zone: ZoneInfo, date_format: DateFormat, now: datetime) -> tuple[When, list[Wrong]]:
    """When a row is published: a moment in UTC, `NOW`, or None for the next free slot; and what is wrong with it.

    A moment in the past is none of these mistakes: the row may have been sent then.

    Args:
        value: A text, or what a form or a program makes of one.
        zone: That of a time without one; of a time that comes twice, when the clocks go back, it is the first.
        date_format: Of dates such as 03/04/2026.
        now: It gives the year where there is none.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None, []
    if isinstance(value, str) and value.strip().casefold() == NOW:
        return NOW, []
    here = now.astimezone(zone)
    if isinstance(value, datetime):
        return _moment(value, zone, str(value))
    if isinstance(value, date):
        return None, [_without_time(value.isoformat(), here)]
    if not isinstance(value, str):
        return None, [Wrong("wrong_type", f"{one_line(str(value), 60)!r} is not a time. {_write(here)}")]
    return _read(" ".join(value.split()), zone, date_format, here)


def _read(text: str, zone: ZoneInfo, date_format: DateFormat, here: datetime) -> tuple[When, list[Wrong]]:
    if match := _UNDECLARED.fullmatch(text):
        if date_format == "refused":
            return None, [Wrong("undeclared_date", _undeclared(text, here, has_time=bool(_TIME.search(match[5]))))]
        spelled = _day_first(match, date_format)
    elif match := _YEAR_FIRST.fullmatch(text):
        spelled = f"{match[1]}-{int(match[2]):02}-{int(match[3]):02}{match[4]}"
    else:
        spelled = text
    try:
        found = read_time(spelled, here)
    except InputError as error:
        if _is_date(spelled, here):
            return None, [_without_time(text, here)]
        if spelled == text:
            return None, [Wrong("time", error.message)]
        order = f" as {date_format}" if date_format != "refused" else ""
        return None, [Wrong("time", f"The time {one_line(text, 60)!r} cannot be read{order}. {_write(here)}")]
    return _moment(found, zone, text)


def _moment(when: datetime, zone: ZoneInfo, text: str) -> tuple[When, list[Wrong]]:
    if when.year not in YEARS:
        return None, [Wrong("time", f"The year of {one_line(text, 60)!r} cannot be meant. Correct it.")]
    if when.tzinfo is None:
        try:
            when = in_zone(when.replace(fold=0), zone.key)
        except InputError as error:
            return None, [Wrong("no_such_time", error.message)]
    return when.astimezone(UTC), []


def _day_first(match: re.Match[str], date_format: DateFormat) -> str:
    """A date whose order is known, as `read_time` reads it."""
    first, _, second, year, rest = match.groups()
    day, month = (first, second) if date_format == "day/month/year" else (second, first)
    whole_year = f"20{year}" if year and len(year) == 2 else year or ""
    return f"{day}.{month}.{whole_year}{rest}"


def _is_date(text: str, here: datetime) -> bool:
    """Whether a text is a whole date, with nothing wrong but that its time is missing."""
    try:
        read_time(f"{text.rstrip(',')} 12:00", here)
    except InputError:
        return False
    return True


def _without_time(text: str, here: datetime) -> Wrong:
    return Wrong(
        "date_without_time",
        f"{one_line(text, 60)!r} is a date without a time. Add the time, such as {_sample(here)}, or leave it empty "
        "for the next free slot.",
    )


def _undeclared(text: str, here: datetime, *, has_time: bool) -> str:
    said = f"{one_line(text, 60)!r} is in a format that has the day first in some countries and the month in others"
    if not has_time:
        return f"{said}, and has no time. Write it such as {_sample(here)}."
    return f"{said}. Write it such as {_sample(here)}, or set '{DATE_FORMAT_LABEL}' for the whole plan."


def _write(here: datetime) -> str:
    return f"Write the date and the time, such as {_sample(here)}."


def _sample(here: datetime) -> str:
    return f"{here + timedelta(days=1):%Y-%m-%d} 18:00"
