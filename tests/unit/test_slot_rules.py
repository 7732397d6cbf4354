"""Posting slots as people write them, and what is said of a row that cannot be read."""

import re
from datetime import date, time

import pytest

from reelflow.campaigns.slot_rules import LONGEST_CLOSURE, SLOT_ROW, SlotRule, read_closed, read_rules
from reelflow.errors import InputError

DAILY = frozenset(range(7))
READABLE = [
    "TikTok @mara: Mon-Fri 12:00 and 18:30",
    "TikTok @mara: Mon 12:00; Sat 10:00",
    "TikTok: @mara: Mon 12:00",
    "TikTok @mara (id 12:3): Mon 12:00",
    "TikTok: paused",
    "all:12:00",
    "@7: 9 am",
    "",
    "   ",
]


def _days(text: str) -> str:
    (rule,) = read_rules([f"all: {text} 12:00"])
    return "".join(str(day) for day in sorted(rule.days))


def _times(text: str) -> list[str]:
    (rule,) = read_rules([f"all: Mon {text}"])
    return [f"{each:%H:%M}" for each in rule.times]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Mon", "0"),
        ("MONDAY", "0"),
        ("Mondays", "0"),
        ("Mon-Fri", "01234"),
        ("Mon – Fri", "01234"),
        ("Mon to Fri", "01234"),
        ("monday-friday", "01234"),
        ("Sat-Mon", "056"),
        ("Wed-Wed", "2"),
        ("Mon, Wed, Fri", "024"),
        ("Mon, Wed and Fri", "024"),
        ("Tues & Thurs", "13"),
        ("Mon.-Wed.", "012"),
        ("Mon-Wed, Sat", "0125"),
        ("daily", "0123456"),
        ("every day", "0123456"),
        ("every Monday at", "0"),
        ("weekdays", "01234"),
        ("weekends", "56"),
        ("Mon-Fri:", "01234"),
        ("Mon-Fri,", "01234"),
        ("", "0123456"),
    ],
)
def test_days_are_names_ranges_and_lists(text: str, days: str) -> None:
    """In any case; a range may go over the end of the week; without days it is every day."""
    assert _days(text) == days


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("12:00", ["12:00"]),
        ("9:05", ["09:05"]),
        ("18:30, 12:00", ["12:00", "18:30"]),
        ("12:00 and 18:30", ["12:00", "18:30"]),
        ("9:00, 12:00, and 18:30", ["09:00", "12:00", "18:30"]),
        ("12:00 & 12:00", ["12:00"]),
        ("00:00, 23:59", ["00:00", "23:59"]),
        ("6:30 pm", ["18:30"]),
        ("6:30PM, 9am", ["09:00", "18:30"]),
        ("6:30 p.m.", ["18:30"]),
        ("12:15 am", ["00:15"]),
        ("12 pm", ["12:00"]),
    ],
)
def test_times_are_sorted_and_each_is_there_once(text: str, times: list[str]) -> None:
    """With 24 hours, or am and pm."""
    assert _times(text) == times


@pytest.mark.parametrize(
    ("row", "who"),
    [
        ("TikTok @mara.bakes: Mon 12:00", "TikTok @mara.bakes"),
        ("  TikTok   @mara :Mon 12:00", "TikTok @mara"),
        ("TikTok: @mara: Mon 12:00", "TikTok: @mara"),
        ("TikTok: mara: 12:00", "TikTok: mara"),
        ("TikTok (id 12:3): Mon 12:00", "TikTok (id 12:3)"),
        ("TikTok: Mon-Fri: 12:00", "TikTok"),
        ("Mara, from Berlin: 12:00", "Mara, from Berlin"),
        ("12:30: 18:00", "12:30"),
    ],
)
def test_the_account_ends_at_the_colon_before_the_schedule(row: str, who: str) -> None:
    """It may have a colon of its own, and so may a time."""
    assert {rule.who for rule in read_rules([row])} == {who}


def test_each_schedule_of_a_row_is_a_rule() -> None:
    """For the same account; a pause is one, too."""
    found = read_rules(["", "@mara: Mon 12:00; Sat, Sun 10:00;", "TikTok: Paused"])

    assert found == (
        SlotRule("@mara", frozenset({0}), (time(12),)),
        SlotRule("@mara", frozenset({5, 6}), (time(10),)),
        SlotRule("TikTok", frozenset(), (), is_paused=True),
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("TikTok Mon 12:00", "has no ':' between the account and its times. Write a colon and a space after the "
         "account: TikTok: Mon 12:00."),
        ("Mon 12:00", "Name an account, a platform or 'all' first: all: Mon 12:00."),
        ("TikTok Monday", "Write it like this: TikTok @mara: Mon-Fri 12:00 and 18:30."),
        (": Mon 12:00", "has nothing before the ':'."),
        ("TikTok:", "has no times."),
        ("TikTok: ;", "has no times."),
        ("TikTok: Mon", "has no times for 'Mon'."),
        ("TikTok: Mon 12:00; Tue", "has no times for 'Tue'."),
        ("TikTok: sometimes", "'sometimes' is not a day."),
        ("TikTok: Mon-Frx 12:00", "'mon-frx' is not a day."),
        ("TikTok: Mon-Frx: 12:00", "'mon-frx' is not a day."),
        ("TikTok: Mon- 12:00", "'mon-' is not a day."),
        ("TikTok: Mon 24:00", "'24:00' is not a time."),
        ("TikTok: Mon 12:60", "'12:60' is not a time."),
        ("TikTok: @mara: Mon 25:00", "'25:00' is not a time."),
        ("TikTok: Mon 18", "'18' is not a time."),
        ("TikTok: Mon 18.30", "'18.30' is not a time."),
        ("TikTok: Mon 13:00 pm", "'13:00 pm' is not a time."),
        ("TikTok: Mon 0:30 am", "'0:30 am' is not a time."),
        ("TikTok: Mon 12:00:00", "'12:00:00' is not a time."),
        ("TikTok: Mon 12:00-14:00", "'12:00-14:00' is not a time."),
        ("TikTok: Mon 12:00, Tue 13:00", "Write a semicolon before other days: Mon 12:00; Tue 18:30."),
        ("TikTok: Mon: 12:00, Tue: 13:00", "Write a semicolon before other days"),
        ("TikTok: Mon 12:00; Xyz: 13:00", "'xyz' is not a day."),
        ("TikTok: Mon paused", "'paused' is not a day."),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_named_with_what_to_do(row: str, words: str) -> None:
    """Never taken for the slots of an account with a strange name."""
    with pytest.raises(InputError, match=re.escape(words)) as refused:
        read_rules(["all: 12:00", row])

    assert str(refused.value).startswith(f"Row 2 of the slots ({row!r}) ")


@pytest.mark.parametrize("row", READABLE)
def test_the_blocks_schema_takes_each_row_that_can_be_read(row: str) -> None:
    """A form that checks the pattern refuses no good row."""
    read_rules([row])

    assert re.search(SLOT_ROW, row)


@pytest.mark.parametrize("row", ["TikTok Mon 12:00", "TikTok", "TikTok:", "TikTok:  ", ": Mon 12:00"])
def test_the_blocks_schema_refuses_a_row_without_its_account_or_times(row: str) -> None:
    assert re.search(SLOT_ROW, row) is None


@pytest.mark.parametrize(
    ("rows", "dates"),
    [
        ([], []),
        (["", " 2026-12-24 "], ["2026-12-24"]),
        (["2026-12-30 to 2027-01-01"], ["2026-12-30", "2026-12-31", "2027-01-01"]),
        (["2026-12-24 - 2026-12-25"], ["2026-12-24", "2026-12-25"]),
        (["2026-12-24–2026-12-24"], ["2026-12-24"]),
        (["2026-12-24, 2026-12-31", "2026-12-24"], ["2026-12-24", "2026-12-31"]),
    ],
)
def test_closed_dates_are_dates_and_ranges(rows: list[str], dates: list[str]) -> None:
    """Both ends of a range are closed."""
    assert sorted(read_closed(rows)) == [date.fromisoformat(each) for each in dates]


def test_a_range_of_a_year_may_be_closed() -> None:
    """A leap year, at that."""
    assert len(read_closed(["2028-01-01 to 2028-12-31"])) == LONGEST_CLOSURE


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("24/12/2026", "cannot be read. Write it like this: 2026-12-24, or 2026-12-24 to 2026-12-26."),
        ("03/04/2026", "cannot be read."),
        ("20261224", "cannot be read."),
        ("2026-02-30", "cannot be read."),
        ("24 Dec", "cannot be read."),
        ("2026-12-24 to", "cannot be read."),
        ("2026-12-24 to 2026-12-25 to 2026-12-26", "cannot be read."),
        ("2026-12-26 to 2026-12-24", "ends before it begins."),
        ("2026-12-24 to 2027-12-26", "closes 368 days; 366 are allowed. Check the year, or pause the slots."),
        ("0001-01-01 to 9999-12-31", "closes 3652059 days"),
    ],
)
def test_a_closed_date_that_cannot_be_read_is_named(row: str, words: str) -> None:
    """None is guessed: 03/04 is two dates."""
    with pytest.raises(InputError, match=re.escape(words)) as refused:
        read_closed(["2026-01-01", row])

    assert str(refused.value).startswith(f"Row 2 of the closed dates ({row!r}) ")


def test_a_row_may_be_as_long_as_a_full_week_and_a_longer_one_is_divided() -> None:
    """Each hour of each day, written out; nothing of it is cut."""
    hours = ", ".join(f"{hour}:00" for hour in range(24))
    week = "; ".join(f"{day} {hours}" for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))
    dates = ", ".join(f"2026-{month:02}-{day:02}" for month in (10, 12) for day in range(1, 32))

    assert [len(rule.times) for rule in read_rules([f"TikTok @mara.bakes.every.day: {week}"])] == [24] * 7
    assert len(read_closed([dates])) == 62
    with pytest.raises(InputError, match=r"^Row 1 of the slots .* has more than 2000 characters. Divide it") as error:
        read_rules([f"all: {week}; {week}"])
    assert len(str(error.value)) < 500
    with pytest.raises(InputError, match=r"^Row 2 of the closed dates .* has more than 2000 characters"):
        read_closed(["", f"{dates}, {dates}, {dates}"])
