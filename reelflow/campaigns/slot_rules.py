"""Read the posting slots that people write: "TikTok @mara: Mon-Fri 12:00 and 18:30", and the dates without posts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta

from reelflow.errors import InputError
from reelflow.wording import one_line

SLOT_ROW = r"^\s*$|^\s*(?=[^\s:]).*(\D:|:\D).*\S"
"""What a row of the slots looks like, for the JSON schema of the block; `read_rules` says what is wrong with it."""
LONGEST_CLOSURE = 366
"""Days of one range of closed dates: a longer one is a mistyped year, or a pause."""
LONGEST_ROW = 2000
"""Characters of one row: a time for each hour of the week, day by day, has 1200."""

_EXAMPLE = "TikTok @mara: Mon-Fri 12:00 and 18:30"
_HOW_TO_WRITE = f"Write it like this: {_EXAMPLE}."
_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = {spelling: number for number, name in enumerate(_NAMES) for spelling in (name[:3], name, f"{name}s")}
_NUMBERS |= {"tues": 1, "thur": 3, "thurs": 3}
_EVERY_DAY, _WEEKDAYS, _WEEKEND = frozenset(range(7)), frozenset(range(5)), frozenset((5, 6))
_DAYS = {
    **{spelling: frozenset((number,)) for spelling, number in _NUMBERS.items()},
    **dict.fromkeys(("daily", "day", "everyday"), _EVERY_DAY),
    **dict.fromkeys(("weekday", "weekdays"), _WEEKDAYS),
    **dict.fromkeys(("weekend", "weekends"), _WEEKEND),
}
_FILLERS = {"and", "at", "each", "every", "on"}
_PAUSED = {"pause", "paused"}
_SEPARATOR = re.compile(r"(?<!\d):|:(?!\d)")
"""The colon of a time, or of an id such as 12:3, stands between digits and separates nothing."""
_24_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_12_HOURS = re.compile(r"(1[0-2]|0?[1-9])(?::([0-5]\d))? ?([ap])\.?m\.?")
_TIME_WITHIN = re.compile(r"\d:\d\d")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class SlotRule:
    """The slots that one schedule of a row gives to those whom the row is for.

    Attributes:
        who: An account, a platform or "all", as written.
        days: 0 is Monday; none if it is paused.
        times: Local wall times, sorted; none if it is paused.
        is_paused: Whether they take no slots at all.
    """

    who: str
    days: frozenset[int]
    times: tuple[time, ...]
    is_paused: bool = False


def read_rules(rows: Sequence[str]) -> tuple[SlotRule, ...]:
    """The rules of rows such as "TikTok @mara: Mon-Fri 12:00 and 18:30; Sat 10:00"; one for each schedule.

    Days are names, ranges and lists of them, "daily", "weekdays" or "weekends"; without any, the times are for every
    day. Times have 24 hours, or am and pm. "paused" in place of days and times pauses. Empty rows are ignored.

    Raises:
        InputError: a row cannot be read; it names the row.
    """
    found: list[SlotRule] = []
    for number, row in enumerate(rows, 1):
        try:
            if line := _line(row):
                found += _read_row(line)
        except InputError as error:
            raise InputError(f"Row {number} of the slots ({one_line(row)!r}) {error}") from None
    return tuple(found)


def read_closed(rows: Sequence[str]) -> frozenset[date]:
    """The dates of rows such as "2026-12-24" or "2026-12-24 to 2026-12-26"; a row may have several with commas.

    Raises:
        InputError: a row cannot be read, or a range is longer than a year; it names the row. 24/12/2026 is not read:
            03/04/2026 would be two dates.
    """
    found: set[date] = set()
    for number, row in enumerate(rows, 1):
        try:
            for part in filter(None, map(str.strip, _line(row).split(","))):
                found.update(_read_dates(part))
        except InputError as error:
            raise InputError(f"Row {number} of the closed dates ({one_line(row)!r}) {error}") from None
    return frozenset(found)


def _line(row: str) -> str:
    if len(line := one_line(row, LONGEST_ROW + 1)) > LONGEST_ROW:
        raise InputError(f"has more than {LONGEST_ROW} characters. Divide it into two rows.")
    return line


def _read_row(row: str) -> list[SlotRule]:
    """The rules of a row, whose account may have a colon of its own: "TikTok: @mara: Mon 12:00"."""
    splits = [(row[: found.start()].strip(), row[found.end() :].strip()) for found in _SEPARATOR.finditer(row)]
    if not splits:
        raise InputError(f"has no ':' between the account and its times. {_with_colon(row)}")
    problem = None
    for who, schedules in splits:
        inner = who.removeprefix(splits[0][0])
        if problem is not None and _is_schedule(inner):
            break  # not part of a name: "Mon: 12:00, Tue: 13:00" must not be the slots of "Mon: 12:00, Tue"
        if not who:
            raise InputError(f"has nothing before the ':'. Name an account, a platform or 'all'. {_HOW_TO_WRITE}")
        try:
            return [SlotRule(who, *read) for read in _read_schedules(schedules)]
        except InputError as error:
            problem = error
    assert problem is not None  # noqa: S101 - there was at least one split
    raise problem


def _is_schedule(inner: str) -> bool:
    """Whether what stands after the first colon was meant as days or times, though it cannot be read as such."""
    first = re.match(r"[^\W\d_]+", inner.lstrip(": ").casefold())
    return ";" in inner or bool(_TIME_WITHIN.search(inner)) or (first is not None and first[0] in _DAYS)


def _with_colon(row: str) -> str:
    """What to change in a row without a colon: most often it is missing after the account."""
    if _can_be_read(row):
        return f"Name an account, a platform or 'all' first: all: {one_line(row)}."
    words = row.split(" ")
    for end in range(1, len(words)):
        who, schedules = " ".join(words[:end]), " ".join(words[end:])
        if _can_be_read(schedules):
            return f"Write a colon and a space after the account: {one_line(f'{who}: {schedules}')}."
    return _HOW_TO_WRITE


def _can_be_read(schedules: str) -> bool:
    try:
        return bool(_read_schedules(schedules))
    except InputError:
        return False


def _read_schedules(text: str) -> list[tuple[frozenset[int], tuple[time, ...], bool]]:
    parts = [part.strip() for part in text.split(";") if part.strip()]
    if not parts:
        raise InputError(f"has no times. {_HOW_TO_WRITE}")
    return [_read_schedule(part) for part in parts]


def _read_schedule(text: str) -> tuple[frozenset[int], tuple[time, ...], bool]:
    """Days, times, and whether it is a pause."""
    plain = re.sub(r"\s*[-‐‑–—]\s*", "-", text.casefold())
    if plain in _PAUSED:
        return frozenset(), (), True
    first = re.search(r"\d", plain)
    split = first.start() if first else len(plain)
    days = _read_days(plain[:split].rstrip(" :,"))
    if not first:
        raise InputError(f"has no times for {one_line(text)!r}. {_HOW_TO_WRITE}")
    return days, _read_times(plain[split:]), False


def _read_days(text: str) -> frozenset[int]:
    """The days that are named; all of them if none is."""
    joined = text.replace(".", "").replace(" to ", "-")
    names = [name for name in re.split(r"[\s,&]+", joined) if name and name not in _FILLERS]
    return frozenset(day for name in names for day in _days_of(name)) or _EVERY_DAY


def _days_of(name: str) -> Iterator[int]:
    if name in _DAYS:
        yield from _DAYS[name]
        return
    first, _, last = name.partition("-")
    if first not in _NUMBERS or last not in _NUMBERS:
        raise InputError(
            f"cannot be read: {one_line(name)!r} is not a day. Days are Mon, Tue, Wed, Thu, Fri, Sat and Sun, or "
            f"ranges such as Mon-Fri, or 'daily', 'weekdays' or 'weekends'. {_HOW_TO_WRITE}"
        )
    yield from ((_NUMBERS[first] + step) % 7 for step in range((_NUMBERS[last] - _NUMBERS[first]) % 7 + 1))


def _read_times(text: str) -> tuple[time, ...]:
    return tuple(sorted({_read_time(each) for each in re.split(r"\s*(?:,|\band\b|&)\s*", text.strip()) if each}))


def _read_time(text: str) -> time:
    if match := _24_HOURS.fullmatch(text):
        return time(int(match[1]), int(match[2]))
    if match := _12_HOURS.fullmatch(text):
        return time(int(match[1]) % 12 + (12 if match[3] == "p" else 0), int(match[2] or 0))
    follows = re.search(r"[^\W\d_]+", text)
    if follows and follows[0] in _DAYS:
        raise InputError(
            f"cannot be read at {one_line(text)!r}. Write a semicolon before other days: Mon 12:00; Tue 18:30."
        )
    raise InputError(
        f"cannot be read: {one_line(text)!r} is not a time. Write times as 18:30 or 6:30 pm, with a comma or 'and' "
        "between them."
    )


def _read_dates(text: str) -> list[date]:
    first, to, last = re.sub(r"\s+(?:to|-)\s+|\s*–\s*", "|", text).partition("|")
    try:
        start, end = _read_date(first), _read_date(last if to else first)
    except ValueError:
        raise InputError("cannot be read. Write it like this: 2026-12-24, or 2026-12-24 to 2026-12-26.") from None
    length = (end - start).days + 1
    if length < 1:
        raise InputError("ends before it begins. Write the earlier date first.")
    if length > LONGEST_CLOSURE:
        raise InputError(f"closes {length} days; {LONGEST_CLOSURE} are allowed. Check the year, or pause the slots.")
    return [start + timedelta(days) for days in range(length)]


def _read_date(text: str) -> date:
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)
