"""When a post is published."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from reelflow.errors import InputError, TimePassed
from reelflow.time_zones import in_zone, read_zone, shown, shown_zone
from reelflow.wording import duration, one_line

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ISO = re.compile(
    r"\d{4}-?\d{2}-?\d{2}[T ](?:[01]\d|2[0-3]):\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-](?:0\d|1[0-4]):?[0-5]\d)?",
    re.IGNORECASE,
)
"""ISO 8601 as far as it has one meaning: elsewhere "18.30" is 18 hours and 0.3 of one, and "09-17" is an offset."""
_DAY_MONTH = re.compile(
    r"(?:([a-z]{3})[a-z]*,? +)?(\d{1,2})(?:\. ?|[ -](?=[a-z]))(\d{1,2}|[a-z]{3,9})\.?(?:[ -]?(\d{4}))?,?(?: +at)? +"
    r"(\d{1,2}):(\d{2})(?::(\d{2}))?",
    re.IGNORECASE,
)
"""A day, a month and a time as people write them, with or without the year: "27 Nov 18:00", "27.11.2026 18:00".

Between two numbers only a dot says that the day comes first: 03-04 is two dates.
"""
_MONTH_DAY = re.compile(
    r"(?:([a-z]{3})[a-z]*,? +)?([a-z]{3,9})\.? +(\d{1,2})(?:,? +(\d{4}))?,?(?: +at)? +(\d{1,2}):(\d{2})(?::(\d{2}))?",
    re.IGNORECASE,
)
"""The same with the month first, as a word: "Nov 27 18:00", "November 27, 2026 18:00"."""
_CLOCK = re.compile(r"(?<=[ T])(\d{1,2})([:.])(\d{2})(?:\2(\d{2}))?(?: ?([ap])\.?m\.?)?$", re.IGNORECASE)
"""The time of day at the end, as spreadsheets write it, too: "9:05:00", "6:00:00 PM", "18.30"."""


def publishing_time(when: datetime | str | None, time_zone: str, now: datetime) -> datetime | None:
    """`when` in UTC; a time without a zone is in `time_zone`, or in the one in which times are shown.

    Raises:
        InputError: it cannot be read, an unknown zone, a time that does not exist there, or one in the past.
    """
    if isinstance(when, str):
        when = read_time(when, now.astimezone(read_zone(time_zone) if time_zone else shown_zone()))
    if when is None:
        return None
    if when.tzinfo is None:
        when = in_zone(when, time_zone or shown_zone().key)
    moment = when.astimezone(UTC)
    if moment <= now:
        raise InputError(
            f"The time {shown(moment)} is {_age(now - moment)} in the past. "
            "Choose a later one, or leave it empty to publish now."
        )
    return moment


def check_time(due: datetime | None, now: float, margin: float = 0.0) -> None:
    """Raise TimePassed if the moment of a post has passed, or does within `margin` seconds: the past is never "now"."""
    if due is not None and due.timestamp() < now + margin:
        raise TimePassed(f"Its time, {shown(due)}, passed before it could be sent, so it was not. Give it a later one.")


def read_time(text: str, now: datetime) -> datetime:
    """A date and time as people write it; without a zone unless it names an offset.

    Only what has one meaning on every day is taken: "tomorrow" would be another post when the run is started again, and
    03/04 is two dates.

    Args:
        text: "2026-11-27 18:00", "27 Nov 18:00", "27.11.2026 18.00", "Nov 27, 6:00 PM", or ISO 8601 with an offset.
        now: In the reader's time zone. A date without a year is the one that is nearest to it, so that a plan that is
            started again after that day does not mean the next year.

    Raises:
        InputError: it is none of those.
    """
    text = " ".join(text.split())
    what = f"The time {one_line(text)!r} cannot be read." if text else "The time is empty."
    refused = InputError(f"{what} Write the date and the time, such as {now + timedelta(days=1):%Y-%m-%d} 18:00.")
    text = _CLOCK.sub(_of_24_hours, text)
    try:
        if _ISO.fullmatch(text):  # a date alone has no time, and midnight is a guess
            return datetime.fromisoformat(text)
    except ValueError:
        raise refused from None
    if match := _DAY_MONTH.fullmatch(text):
        weekday, day, month, year, hour, minute, second = match.groups()
    elif match := _MONTH_DAY.fullmatch(text):
        weekday, month, day, year, hour, minute, second = match.groups()
    else:
        raise refused
    years = [int(year)] if year else range(now.year - 1, now.year + 2)
    rest = _month(month), int(day), int(hour), int(minute), int(second or 0)
    found = min(_existing(years, rest), key=lambda each: abs(each - now.replace(tzinfo=None)), default=None)
    if found is None:
        raise refused
    if weekday and weekday.lower() != _WEEKDAYS[found.weekday()]:
        raise InputError(f"{found.day} {found:%B %Y} is a {found:%A}, not a {text.split()[0].rstrip(',')}.")
    return found


def _existing(years: Iterable[int], rest: tuple[int, int, int, int, int]) -> Iterator[datetime]:
    """A month, day, hour, minute and second in those of the years that have it."""
    for year in years:
        with contextlib.suppress(ValueError):
            yield datetime(year, *rest)  # noqa: DTZ001


def _of_24_hours(clock: re.Match[str]) -> str:
    """A time of day with two digits for its hour; one that no clock with am and pm shows is left as it is."""
    hour, half = int(clock[1]), (clock[5] or "").lower()
    if half and not 1 <= hour <= 12:
        return clock[0]
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return f"{hour:02}:{clock[3]}" + (f":{clock[4]}" if clock[4] else "")


def _month(text: str) -> int:
    """The number of a month; 0 if there is none such."""
    if text.isdigit():
        return int(text)
    return _MONTHS.index(text[:3].lower()) + 1 if text[:3].lower() in _MONTHS else 0


def _age(time: timedelta) -> str:
    return duration(time) if time >= timedelta(minutes=1) else "less than a minute"
