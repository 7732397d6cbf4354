"""Which slots an account has, when they are, and which of them is free."""

import random
import re
import time as clock
from bisect import insort
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reelflow.campaigns.slot_rules import read_closed, read_rules
from reelflow.campaigns.slots import HORIZON_DAYS, TAKEN_SECONDS, Moment, SlotBook, SlotSearch, rules_of, slots_after
from reelflow.errors import NoSlot
from reelflow.records.posts import Account

MARA = Account(id="a1", platform="TikTok", name="@mara.bakes")
MARA_PICS = Account(id="a2", platform="Instagram", name="@mara.bakes")
BEN = Account(id="12:3", platform="TikTok", name="@ben")
NAMELESS = Account(id="a4", platform="X")
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
NEAR_CHANGES = [  # the evening before the clocks change
    ("Europe/Berlin", "2026-03-28"),
    ("Europe/Berlin", "2026-10-24"),
    ("America/New_York", "2026-03-07"),
    ("America/New_York", "2026-10-31"),
    ("Australia/Lord_Howe", "2026-04-04"),  # by half an hour
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Asia/Kathmandu", "2026-04-04"),  # never, and 5:45 from UTC
]


def _book(*rows: str, zone: str = "UTC", closed: Sequence[str] = (), **more: Any) -> SlotBook:
    return SlotBook(read_rules(rows), ZoneInfo(zone), closed=read_closed(closed), **more)


def _walls(book: SlotBook, count: int, after: datetime = MONDAY, account: Account = MARA) -> list[str]:
    """The first slots as their zone's clocks show them."""
    moments = [moment for moment, _ in zip(slots_after(book, account, after), range(count), strict=False)]
    return [f"{moment.at.astimezone(book.zone):%a %d %H:%M}" for moment in moments]


def next_free(book: SlotBook, accounts: list[Account], taken: dict[str, list[float]], after: datetime) -> Moment:
    """The slot of one post."""
    return SlotSearch(book, after).next_free(accounts, taken)


def _place(book: SlotBook, accounts: list[Account], count: int, after: datetime = MONDAY) -> list[str]:
    """Where posts go that are planned one after another."""
    taken: dict[str, list[float]] = {account.id: [] for account in accounts}
    search, found = SlotSearch(book, after), []
    for _ in range(count):
        moment = search.next_free(accounts, taken)
        for posts in taken.values():
            insort(posts, moment.at.timestamp())
        found.append(f"{moment.at.astimezone(book.zone):%a %d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("account", "rows", "counting"),
    [
        (MARA, ["all: 1:00"], [0]),
        (MARA, ["all: 1:00", "TikTok: 2:00"], [1]),
        (MARA, ["all: 1:00", "TikTok @mara.bakes: 3:00", "TikTok: 2:00"], [1]),
        (MARA, ["TikTok: 2:00", "tiktok:  2:30", "all: 1:00"], [0, 1]),
        (MARA, ["@mara.bakes: 1:00", "TikTok mara.bakes: 2:00", "a1: 3:00", "all: 1:00"], [0, 1, 2]),
        (MARA, ["TikTok: @MARA.bakes: 1:00", "TikTok: 2:00"], [0]),
        (MARA, ["TikTok @mara.bakes (id a1): 1:00", "TikTok: 2:00"], [0]),
        (MARA, ["A1: 1:00", "All: 2:00"], [1]),
        (MARA, ["Instagram @mara.bakes: 1:00", "Instagram: 2:00", "@mara: 3:00"], []),
        (MARA, ["Instagram, TikTok: 1:00", "all: 2:00"], [0]),
        (MARA, ["TikTok @ben, TikTok @mara.bakes: 1:00", "TikTok: 2:00"], [0]),
        (MARA, ["TikTok: 1:00", "@mara.bakes: paused"], [1]),
        (BEN, ["12:3: 1:00", "TikTok @ben (id 12:3): 2:00", "all: 3:00"], [0, 1]),
        (NAMELESS, ["all: 1:00", "X: 2:00"], [1]),
        (NAMELESS, ["X: 1:00", "a4: 2:00"], [1]),
        (Account(id="a5", platform="TikTok", name="@all"), ["all: 1:00", "TikTok: 2:00"], [1]),
        (Account(id="a6", platform="TikTok", name="TikTok"), ["TikTok: 1:00", "TikTok TikTok: 2:00"], [1]),
    ],
)
def test_the_most_specific_rows_count(account: Account, rows: list[str], counting: list[int]) -> None:
    """The account, by any of its names, over its platform over all; several rows for the same add up."""
    book = _book(*rows)

    assert rules_of(book, account) == tuple(book.rules[place] for place in counting)


def test_slots_are_in_order_and_later_than_the_moment() -> None:
    """Those of all rows, each once; the slot of this very moment is over."""
    book = _book("TikTok: Mon-Fri 12:00 and 18:30", "TikTok: Wed 9:00, 12:00")
    noon = MONDAY.replace(hour=12)

    assert _walls(book, 5, noon) == ["Mon 23 18:30", "Tue 24 12:00", "Tue 24 18:30", "Wed 25 09:00", "Wed 25 12:00"]
    assert _walls(book, 1, noon - timedelta(microseconds=1)) == ["Mon 23 12:00"]


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    """What is later is decided by the moment, not by the clocks."""
    book = _book("all: 12:00", zone="America/New_York")
    after = datetime(2026, 11, 23, 18, tzinfo=ZoneInfo("Europe/Berlin"))  # noon in New York

    assert _walls(book, 1, after) == ["Tue 24 12:00"]


def test_slots_end_after_the_days_that_are_asked_for() -> None:
    """Days of 24 hours from the moment on."""
    book = _book("all: 12:00")

    assert len(list(slots_after(book, MARA, MONDAY))) == HORIZON_DAYS
    assert len(list(slots_after(book, MARA, MONDAY, days=2))) == 2
    assert list(slots_after(book, MARA, MONDAY, days=0)) == []


def test_closed_dates_are_local_dates() -> None:
    """In New York the evening of the 24th is the 25th in UTC already."""
    book = _book("all: 1:00, 23:00", zone="America/New_York", closed=["2026-11-24 to 2026-11-25"])
    after = datetime(2026, 11, 23, 12, tzinfo=book.zone)

    assert _walls(book, 3, after) == ["Mon 23 23:00", "Thu 26 01:00", "Thu 26 23:00"]


@pytest.mark.parametrize(
    "book",
    [
        _book("all: 12:00", is_paused=True),
        _book("TikTok: paused", "all: 12:00"),
        _book("TikTok: 12:00; paused"),
        _book("Instagram: 12:00"),
    ],
    ids=["everything", "the platform", "beside slots", "no rows"],
)
def test_an_account_that_is_paused_or_not_named_has_no_slots(book: SlotBook) -> None:
    """The rows for others do not stand in."""
    assert list(slots_after(book, MARA, MONDAY)) == []


@pytest.mark.parametrize(
    ("zone", "wanted", "at", "is_moved"),
    [
        ("Europe/Berlin", "2026-03-29 01:59", "2026-03-29T00:59Z", False),
        ("Europe/Berlin", "2026-03-29 02:00", "2026-03-29T01:00Z", True),
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:00Z", True),
        ("Europe/Berlin", "2026-03-29 03:00", "2026-03-29T01:00Z", False),
        ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25T00:30Z", False),
        ("Europe/Berlin", "2026-10-25 03:00", "2026-10-25T02:00Z", False),
        ("America/New_York", "2026-03-08 02:15", "2026-03-08T07:00Z", True),
        ("America/New_York", "2026-11-01 01:30", "2026-11-01T05:30Z", False),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03T15:30Z", True),
        ("Australia/Lord_Howe", "2026-10-04 02:30", "2026-10-03T15:30Z", False),
        ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04T14:45Z", False),
        ("Asia/Kathmandu", "2026-04-05 18:30", "2026-04-05T12:45Z", False),
        ("Africa/Cairo", "2026-04-24 00:30", "2026-04-23T22:00Z", True),
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30T10:00Z", True),
    ],
)
def test_a_slot_is_the_local_time_when_the_clocks_change(zone: str, wanted: str, at: str, is_moved: bool) -> None:
    """What they skip is the next minute that exists; of what they repeat, the first counts. Samoa skipped a day."""
    local = datetime.fromisoformat(wanted)
    book = _book(f"all: {local:%H:%M}", zone=zone)

    first = next(slots_after(book, MARA, datetime.fromisoformat(at) - timedelta(hours=1)))

    assert first == Moment(datetime.fromisoformat(at), local, is_moved)
    assert first.at.tzinfo is UTC


def test_slots_that_coincide_are_one() -> None:
    """The one that is meant so, rather than the one that was moved."""
    book = _book("all: 2:15, 2:45, 3:00", zone="Europe/Berlin")
    after = datetime(2026, 3, 29, tzinfo=UTC)

    found = list(slots_after(book, MARA, after, days=2))

    assert [(f"{each.wanted:%d %H:%M}", each.is_moved) for each in found[:2]] == [
        ("29 03:00", False),
        ("30 02:15", False),
    ]


def test_a_day_that_the_clocks_skip_adds_no_second_slot() -> None:
    """Samoa had no 30 December 2011: its noon is the midnight after, which is a slot of its own. That day is closed."""
    book = _book("all: 0:00, 12:00", zone="Pacific/Apia")
    after = datetime(2011, 12, 29, 12, tzinfo=ZoneInfo("Pacific/Apia"))

    assert _walls(book, 3, after) == ["Sat 31 00:00", "Sat 31 12:00", "Sun 01 00:00"]
    closed = _book("all: 12:00", zone="Pacific/Apia", closed=["2011-12-31"])
    assert _walls(closed, 1, after) == ["Sun 01 12:00"]


def test_posts_take_one_slot_after_another() -> None:
    """In the order in which they are planned."""
    book = _book("TikTok: Mon-Fri 12:00 and 18:30")

    assert _place(book, [MARA], 3) == ["Mon 23 12:00", "Mon 23 18:30", "Tue 24 12:00"]


def test_a_slot_takes_as_many_posts_as_it_may() -> None:
    """Of each account."""
    book = _book("TikTok: 12:00 and 18:30", per_slot=2)

    assert _place(book, [MARA], 4) == ["Mon 23 12:00", "Mon 23 12:00", "Mon 23 18:30", "Mon 23 18:30"]


def test_a_day_takes_as_many_posts_as_it_may() -> None:
    """By the local date, also of posts that are in no slot."""
    book = _book("TikTok: 12:00, 18:30, 23:30", zone="America/New_York", per_day=2)
    own = datetime(2026, 11, 24, 0, 30, tzinfo=book.zone).timestamp()

    moment = next_free(book, [MARA], {"a1": [own, own + 3600]}, datetime(2026, 11, 24, tzinfo=book.zone))

    assert _place(book, [MARA], 3, MONDAY.replace(hour=12)) == ["Mon 23 12:00", "Mon 23 18:30", "Tue 24 12:00"]
    assert moment.wanted == datetime.fromisoformat("2026-11-25 12:00")


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-25", 24)])
def test_a_date_has_the_hours_that_it_has(day: str, hours: int) -> None:
    """A post in the last minute of a day of 25 hours is of that day; one that is 25 hours old is not."""
    book = _book("all: 12:00", zone="Europe/Berlin", per_day=1)
    midnight = datetime.fromisoformat(day).replace(tzinfo=book.zone)
    start, end = midnight.timestamp(), midnight.timestamp() + hours * 3600

    def takes_that_day(post: float) -> bool:
        return next_free(book, [MARA], {"a1": [post]}, midnight).wanted.date() == date.fromisoformat(day)

    assert [takes_that_day(post) for post in (start - 1, start, end - 1, end)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("seconds", "is_free"),
    [
        (-TAKEN_SECONDS - 1, True),
        (-TAKEN_SECONDS, False),
        (0, False),
        (TAKEN_SECONDS, False),
        (TAKEN_SECONDS + 1, True),
    ],
)
def test_a_post_near_a_slot_takes_it(seconds: int, is_free: bool) -> None:
    """Five minutes before to five minutes after."""
    book = _book("TikTok: 12:00 and 18:30")
    noon = MONDAY.replace(hour=12)

    moment = next_free(book, [MARA], {"a1": [noon.timestamp() + seconds]}, MONDAY)

    assert (moment.at == noon) is is_free


def test_the_posts_of_other_accounts_take_nothing() -> None:
    """Nor does an account need any posts."""
    book = _book("TikTok: 12:00")
    noon = MONDAY.replace(hour=12)

    assert next_free(book, [MARA], {"a2": [noon.timestamp()]}, MONDAY).at == noon


def test_several_accounts_share_the_first_slot_that_all_have_free() -> None:
    """Whatever else each of them has."""
    book = _book("TikTok: 9:00, 12:00", "Instagram: 12:00, 18:00")
    first, second = (MONDAY.replace(hour=12) + timedelta(days=day) for day in (0, 1))

    assert next_free(book, [MARA, MARA_PICS], {}, MONDAY).at == first
    assert next_free(book, [MARA, MARA_PICS], {"a2": [first.timestamp()]}, MONDAY).at == second
    assert next_free(book, [MARA, BEN], {}, MONDAY).at == MONDAY.replace(hour=9)


def test_several_accounts_share_a_moment_whatever_time_it_was_to_be() -> None:
    """2:30 is 3:00 on the day on which the clocks go forward."""
    book = _book("TikTok: Sun 2:30", "Instagram: Sun 3:00", zone="Europe/Berlin")
    after = datetime(2026, 3, 1, tzinfo=UTC)

    assert next_free(book, [MARA, MARA_PICS], {}, after).at == datetime(2026, 3, 29, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("book", "reason", "ids", "words"),
    [
        (_book("all: 12:00", is_paused=True), "paused", ("a1", "a2"),
         "TikTok @mara.bakes, Instagram @mara.bakes cannot take a slot: the posting slots are paused. End the pause, "
         "or give the post a time."),
        (_book("TikTok: paused", "all: 12:00"), "paused", ("a1",),
         "TikTok @mara.bakes is paused in the posting slots. End the pause, or give the post a time."),
        (_book("all: paused"), "paused", ("a1", "a2"),
         "TikTok @mara.bakes, Instagram @mara.bakes are paused in the posting slots."),
        (_book("TikTok: 12:00"), "unset", ("a2",),
         "No posting slots are set for Instagram @mara.bakes. Add a row such as 'Instagram @mara.bakes: Mon-Fri "
         "18:30', or give the post a time."),
        (_book("TikTok: 12:00", "Instagram: 18:00"), "uncommon", ("a1", "a2"),
         "TikTok @mara.bakes, Instagram @mara.bakes have no posting slot in common within 60 days. Add the same slot "
         "to each, or let each take its own."),
        (_book("TikTok: 12:00", "Instagram: 18:00", closed=["2026-11-01 to 2027-03-01"]), "full", ("a1", "a2"),
         "No posting slot of TikTok @mara.bakes, Instagram @mara.bakes in common is free within 60 days."),
    ],
    ids=["all paused", "one paused", "both paused", "unset", "uncommon", "closed"],
)  # fmt: skip
def test_without_a_slot_it_says_why(book: SlotBook, reason: str, ids: tuple[str, ...], words: str) -> None:
    """And for which account, and what to do."""
    with pytest.raises(NoSlot, match=re.escape(words)) as refused:
        next_free(book, [MARA, MARA_PICS], {}, MONDAY)

    assert (refused.value.reason, refused.value.account_ids) == (reason, ids)


def test_nothing_free_within_the_horizon_is_said() -> None:
    """The last slot of the horizon is given away, and none after it."""
    book = _book("TikTok: 12:00")
    days = [MONDAY.timestamp() + 86400 * day + 43200 for day in range(HORIZON_DAYS)]

    assert next_free(book, [MARA], {"a1": days[:-1]}, MONDAY).at.timestamp() == days[-1]
    with pytest.raises(NoSlot) as refused:
        next_free(book, [MARA], {"a1": days}, MONDAY)

    assert str(refused.value) == (
        "No posting slot of TikTok @mara.bakes is free within 60 days. Add slots, allow more posts per slot or per "
        "day, or remove closed dates."
    )
    assert (refused.value.reason, refused.value.account_ids) == ("full", ("a1",))


def _random_book(chance: random.Random, zone: str, near: date) -> SlotBook:
    times = [f"{chance.randrange(24)}:{chance.choice((0, 1, 15, 30, 45, 59)):02}" for _ in range(chance.randint(1, 9))]
    days = chance.choice(["", "Mon-Fri", "Sat-Mon", "Sun, Tue", "weekends"])
    closed = [f"{near + timedelta(chance.randint(-2, 20))}" for _ in range(chance.randint(0, 3))]
    rows = [f"TikTok: {days} {', '.join(times)}", "TikTok: Sun 1:45, 2:15, 2:30", "all: 5:00"]
    return _book(*rows, zone=zone, closed=closed, per_slot=chance.randint(1, 3), per_day=chance.choice((0, 0, 2, 4)))


def _is_slot(book: SlotBook, local: datetime) -> bool:
    """Whether a wall time is one of the rules, and the first if the clocks repeat it."""
    rules = [rule for rule in book.rules if rule.who == "TikTok" and local.weekday() in rule.days]
    is_of_a_rule = any(local.time() in rule.times for rule in rules)
    return is_of_a_rule and local.date() not in book.closed and local.fold == 0


@pytest.fixture(params=range(6))
def chance(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.param)


@pytest.mark.parametrize(("zone", "near"), NEAR_CHANGES)
def test_slots_are_what_the_clocks_show(zone: str, near: str, chance: random.Random) -> None:
    """Over five days, minute by minute: every wall time of a rule is a slot, and only what the clocks skip is moved."""
    book = _random_book(chance, zone, date.fromisoformat(near))
    start = datetime.fromisoformat(near).replace(tzinfo=book.zone).astimezone(UTC)
    minutes = [start + timedelta(minutes=minute) for minute in range(1, 5 * 1440 + 1)]
    shown = {minute: minute.astimezone(book.zone) for minute in minutes}

    found = list(slots_after(book, MARA, start, days=5))

    assert [m.at for m in found] == sorted({m.at for m in found})
    exact = {m.at for m in found if not m.is_moved}
    assert exact == {minute for minute, local in shown.items() if _is_slot(book, local)}
    walls = {local.replace(tzinfo=None) for local in shown.values()}
    for moved in (m for m in found if m.is_moved):
        assert _is_slot(book, moved.wanted)
        assert moved.wanted not in walls
        assert (moved.at - timedelta(minutes=1)).astimezone(book.zone).replace(tzinfo=None) < moved.wanted
        assert moved.wanted < moved.at.astimezone(book.zone).replace(tzinfo=None)


@pytest.mark.parametrize(("zone", "near"), NEAR_CHANGES)
def test_random_plans_keep_to_the_slots_and_limits(zone: str, near: str, chance: random.Random) -> None:
    """Every post is in a slot that had room for it on a day that had room for it, and no earlier slot had."""
    book = _random_book(chance, zone, date.fromisoformat(near))
    after = datetime.fromisoformat(near).replace(tzinfo=book.zone)
    taken = sorted(after.timestamp() + chance.uniform(0, 9 * 86400) for _ in range(10))
    slots = list(slots_after(book, MARA, after))

    def has_room(moment: Moment) -> bool:
        day = moment.at.astimezone(book.zone).date()
        near_it = sum(abs(post - moment.at.timestamp()) <= TAKEN_SECONDS for post in taken)
        on_its_day = sum(datetime.fromtimestamp(post, book.zone).date() == day for post in taken)
        return near_it < book.per_slot and (not book.per_day or on_its_day < book.per_day)

    for _ in range(30):
        first = next(filter(has_room, slots), None)
        if first is None:
            break
        assert next_free(book, [MARA], {"a1": taken}, after) == first
        insort(taken, first.at.timestamp())

    assert len(taken) > 15


def test_a_long_plan_is_placed_fast() -> None:
    """A thousand posts of one account, each after those before it: each slot is looked at once."""
    book = _book(f"all: {', '.join(f'{hour}:00' for hour in range(24))}", zone="Europe/Berlin")
    start = clock.thread_time()

    found = _place(book, [MARA], 1000)

    assert len(set(found)) == len(found)
    assert clock.thread_time() - start < 0.5  # 0.02 s on slow cores


def test_searches_for_different_accounts_go_on_each_by_itself() -> None:
    """What one account has taken is still free for the next; together they take what is free for both."""
    search, taken = SlotSearch(_book("all: 9:00, 12:00, 15:00"), MONDAY), dict[str, list[float]](a1=[], a2=[])
    found = []
    for accounts in ([MARA], [MARA], [MARA_PICS], [MARA, MARA_PICS], [MARA_PICS]):
        moment = search.next_free(accounts, taken)
        for account in accounts:
            insort(taken[account.id], moment.at.timestamp())
        found.append(f"{moment.at:%H:%M}")

    assert found == ["09:00", "12:00", "09:00", "15:00", "12:00"]


def test_each_post_without_a_slot_is_told_so() -> None:
    """The first finds out that all are taken, the others know."""
    search, taken = SlotSearch(_book("all: Mon 12:00", closed=["2026-11-24 to 2027-02-28"]), MONDAY), {"a1": [0.0]}
    insort(taken["a1"], search.next_free([MARA], taken).at.timestamp())

    for _ in range(2):
        with pytest.raises(NoSlot, match=r"No posting slot of TikTok @mara\.bakes is free"):
            search.next_free([MARA], taken)
