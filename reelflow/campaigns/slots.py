"""Posting slots: the moments at which an account may post, and the first of them that is free. Pure decisions.

A slot is a local wall time in a time zone. It is computed there, and converted to UTC before any arithmetic, so that
"18:30" stays 18:30 when the clocks change. A time that the clocks skip becomes the next minute that exists, and its
moment says so; of one that they repeat, the first counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from reelflow.campaigns.slot_rules import SlotRule
from reelflow.errors import NoSlot
from reelflow.fields import ALL
from reelflow.posts.accounts import label_with_id, plain_name
from reelflow.records.posts import Account
from reelflow.wording import listed

HORIZON_DAYS = 60
"""How far ahead a free slot is looked for: what is planned later than that is a mistake in the slots."""
TAKEN_SECONDS = 300
"""A slot is taken by a post up to this long before or after it: schedulers and people are not exact to the second."""

Week = tuple[tuple[time, ...], ...]
"""The wall times of each day, Monday first."""
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True)
class SlotBook:
    """The posting slots of all accounts.

    Attributes:
        rules: In the order in which they were written.
        zone: Of every time and date here.
        per_slot: Posts of one account at one slot.
        per_day: Posts of one account on one date; 0 for no limit.
        closed: Dates without slots.
        is_paused: Whether nobody takes slots now.
    """

    rules: tuple[SlotRule, ...]
    zone: ZoneInfo
    per_slot: int = 1
    per_day: int = 0
    closed: frozenset[date] = frozenset()
    is_paused: bool = False


@dataclass(frozen=True)
class Moment:
    """When a slot is.

    Attributes:
        at: In UTC.
        wanted: The local wall time of the rule, without a zone.
        is_moved: Whether the clocks skip that time, so that `at` is the next minute that exists.
    """

    at: datetime
    wanted: datetime
    is_moved: bool = False


class _Slot(NamedTuple):
    """A moment, its Unix seconds, and its local date: another than wanted where the clocks skip a whole day."""

    moment: Moment
    seconds: float
    day: date


def rules_of(book: SlotBook, account: Account) -> tuple[SlotRule, ...]:
    """The rules for an account: those that name it; if there are none, those for its platform; else those for all.

    All that name the account count, whichever of its names they use, as `choose_accounts` understands it. One that is
    paused pauses the account. A rule may be for several names with commas.
    """
    by_rank = _by_rank(book, account)
    return tuple(by_rank[min(by_rank)]) if by_rank else ()


def _naming(book: SlotBook, account: Account) -> Iterator[SlotRule]:
    """Every rule that names an account, its platform, or all, whether it counts or not."""
    return (rule for rules in _by_rank(book, account).values() for rule in rules)


def _by_rank(book: SlotBook, account: Account) -> dict[int, list[SlotRule]]:
    own = {plain_name(account.label), plain_name(account.name)} - {"", ALL, plain_name(account.platform)}
    exact = {account.id, label_with_id(account)}
    by_rank: dict[int, list[SlotRule]] = {}
    for rule in book.rules:
        names = [rule.who, *map(str.strip, rule.who.split(","))]
        plain = {plain_name(name) for name in names}
        if own & plain or not exact.isdisjoint(names):
            by_rank.setdefault(0, []).append(rule)
        elif plain_name(account.platform) in plain:
            by_rank.setdefault(1, []).append(rule)
        elif ALL in plain:
            by_rank.setdefault(2, []).append(rule)
    return by_rank


def rules_of_nobody(book: SlotBook, accounts: Sequence[Account]) -> list[str]:
    """Whom rules name that are for none of these accounts: a name with a typing mistake would count in silence."""
    used = {id(rule) for account in accounts for rule in _naming(book, account)}
    return list(dict.fromkeys(rule.who for rule in book.rules if id(rule) not in used))


def slots_after(book: SlotBook, account: Account, after: datetime, *, days: int = HORIZON_DAYS) -> Iterator[Moment]:
    """The slots of an account in order, taken or not; none while it is paused.

    Args:
        book: The posting slots.
        account: Whose slots.
        after: With a time zone; each slot is later than this.
        days: How far ahead.
    """
    return (slot.moment for slot in _slots(book, [account], after, days))


class SlotSearch:
    """Finds slots for many posts, one after another, while nothing that is taken becomes free.

    Each search goes on where the last one for the same accounts ended, so a long plan looks at each slot once.

    Args:
        book: The posting slots.
        after: With a time zone; each slot is later than this.
        fixed: When accounts have posts to which slots keep a distance, in Unix seconds, sorted, by the account's id.
        seconds_apart: That distance.
    """

    def __init__(
        self, book: SlotBook, after: datetime, *, fixed: Mapping[str, Sequence[float]] | None = None,
        seconds_apart: float = 0.0,
    ) -> None:  # fmt: skip
        self._book, self._after = book, after
        self._fixed, self._apart = fixed or {}, seconds_apart
        self._searches: dict[tuple[str, ...], _Search] = {}

    def next_free(self, accounts: Sequence[Account], taken: Mapping[str, Sequence[float]]) -> Moment:
        """The first moment that is a slot of every one of `accounts`, and free for each.

        Args:
            accounts: One, or several that post at the same moment.
            taken: When each account posts already, in Unix seconds, sorted, by its id: it is searched by halves.

        Raises:
            NoSlot: there is none within `HORIZON_DAYS`; it says why.
        """
        key = tuple(account.id for account in accounts)
        search = self._searches.get(key) or self._searches.setdefault(key, self._begin(accounts))
        posts = [taken.get(account.id, ()) for account in accounts]
        while search.slot is not None:
            for each in posts:  # `all(...)` takes twice as long
                if not _is_free(self._book, search.slot, each):
                    break
            else:
                return search.slot.moment
            search.slot = next(search.left, None)
        search.error = search.error or _none_free(self._book, accounts, self._after)
        raise NoSlot(str(search.error), reason=search.error.reason, account_ids=search.error.account_ids)

    def skipped_time(self, accounts: Sequence[Account], at: datetime) -> datetime | None:
        """The local time that the clocks skip and whose slot is at `at`; None if that is no such slot of `accounts`."""
        before = at - _MINUTE
        if before.astimezone(self._book.zone).utcoffset() == at.astimezone(self._book.zone).utcoffset():
            return None
        slot = next(_slots(self._book, accounts, before, days=1), None)
        return slot.moment.wanted if slot and slot.moment.at == at and slot.moment.is_moved else None

    def _begin(self, accounts: Sequence[Account]) -> _Search:
        try:
            _require_rules(self._book, accounts)
        except NoSlot as error:
            return _Search(iter(()), None, error)
        fixed = [self._fixed.get(account.id, ()) for account in accounts]
        slots = _slots(self._book, accounts, self._after, HORIZON_DAYS)
        left = (slot for slot in slots if not any(self._is_close(slot, moments) for moments in fixed))
        return _Search(left, next(left, None))

    def _is_close(self, slot: _Slot, moments: Sequence[float]) -> bool:
        place = bisect_left(moments, slot.seconds)
        return any(abs(at - slot.seconds) < self._apart for at in moments[max(0, place - 1) : place + 1])


@dataclass
class _Search:
    """The slots that some accounts have in common from `slot` on; None once there are no more, or none at all."""

    left: Iterator[_Slot]
    slot: _Slot | None
    error: NoSlot | None = None


def _slots(book: SlotBook, accounts: Sequence[Account], after: datetime, days: int) -> Iterator[_Slot]:
    """The slots that all accounts have in common."""
    if book.is_paused:
        return
    weeks = list(dict.fromkeys(_week(rules_of(book, account)) for account in accounts))
    last, end = after.timestamp(), after.timestamp() + days * _DAY.total_seconds()
    # From yesterday on: where the clocks skip a whole day, its slots move to the next one.
    day = after.astimezone(book.zone).date() - _DAY
    for _ in range(days + 3):
        for slot in _common_slots(book.zone, day, weeks) if day not in book.closed else ():
            if slot.seconds > end:
                return
            if slot.seconds > last and slot.day not in book.closed:
                last = slot.seconds
                yield slot
        day += _DAY


def _week(rules: Sequence[SlotRule]) -> Week:
    if any(rule.is_paused for rule in rules):
        return ((),) * 7
    return tuple(
        tuple(sorted({at for rule in rules if weekday in rule.days for at in rule.times})) for weekday in range(7)
    )


def _common_slots(zone: ZoneInfo, day: date, weeks: Sequence[Week]) -> Sequence[_Slot]:
    first, *others = [_slots_on(zone, day, week[day.weekday()]) for week in weeks]
    if not others:
        return first
    common = set.intersection(*({slot.seconds for slot in each} for each in others))
    return [slot for slot in first if slot.seconds in common]


@lru_cache(maxsize=4096)  # the days of a horizon, for dozens of different schedules
def _slots_on(zone: ZoneInfo, day: date, times: tuple[time, ...]) -> tuple[_Slot, ...]:
    """The slots of a day in order. Where a moved one coincides with another, the other counts."""
    found: dict[datetime, Moment] = {}
    for each in times:
        moment = _moment(zone, datetime.combine(day, each))
        if moment.at not in found or not moment.is_moved:
            found[moment.at] = moment
    return tuple(_Slot(found[at], at.timestamp(), at.astimezone(zone).date()) for at in sorted(found))


def _moment(zone: ZoneInfo, wanted: datetime) -> Moment:
    local = wanted
    while (at := local.replace(tzinfo=zone).astimezone(UTC)).astimezone(zone).replace(tzinfo=None) != local:
        local += _MINUTE  # the clocks skip it
    return Moment(at, wanted, is_moved=local != wanted)


def _is_free(book: SlotBook, slot: _Slot, posts: Sequence[float]) -> bool:
    # The post that would be one too many if it is near: it is `per_slot` places behind the first that may be.
    last = bisect_left(posts, slot.seconds - TAKEN_SECONDS) + book.per_slot - 1
    if last < len(posts) and posts[last] <= slot.seconds + TAKEN_SECONDS:
        return False
    if not book.per_day:
        return True
    start, end = _bounds(book.zone, slot.day)
    return bisect_left(posts, end) - bisect_left(posts, start) < book.per_day


@lru_cache(maxsize=4096)
def _bounds(zone: ZoneInfo, day: date) -> tuple[float, float]:
    """When a local date begins and ends, in Unix seconds: it may have 23 hours, or 25."""
    start, end = (_moment(zone, datetime.combine(each, time())).at.timestamp() for each in (day, day + _DAY))
    return start, end


def _require_rules(book: SlotBook, accounts: Sequence[Account]) -> None:
    """Raise NoSlot for accounts that are paused, or have no slots whatever the date."""
    if book.is_paused:
        words = "cannot take a slot: the posting slots are paused. End the pause, or give the post a time."
        raise _no_slot("paused", accounts, f"{_names(accounts)} {words}")
    rules = {account: rules_of(book, account) for account in accounts}
    if paused := [account for account in accounts if any(rule.is_paused for rule in rules[account])]:
        are = "is" if len(paused) == 1 else "are"
        words = f"{are} paused in the posting slots. End the pause, or give the post a time."
        raise _no_slot("paused", paused, f"{_names(paused)} {words}")
    if unset := [account for account in accounts if not rules[account]]:
        words = f"Add a row such as '{unset[0].label}: Mon-Fri 18:30', or give the post a time."
        raise _no_slot("unset", unset, f"No posting slots are set for {_names(unset)}. {words}")


def _none_free(book: SlotBook, accounts: Sequence[Account], after: datetime) -> NoSlot:
    """Why accounts that have slots get none."""
    each_has_some = all(any(slots_after(book, account, after)) for account in accounts)
    if each_has_some and not any(_slots(book, accounts, after, HORIZON_DAYS)):
        words = "Add the same slot to each, or let each take its own."
        which = f"{_names(accounts)} have no posting slot in common"
        return _no_slot("uncommon", accounts, f"{which} within {HORIZON_DAYS} days. {words}")
    which = f"{_names(accounts)} in common" if len(accounts) > 1 else _names(accounts)
    words = "Add slots, allow more posts per slot or per day, or remove closed dates."
    return _no_slot("full", accounts, f"No posting slot of {which} is free within {HORIZON_DAYS} days. {words}")


def _names(accounts: Sequence[Account]) -> str:
    return listed([account.label for account in accounts])


def _no_slot(reason: str, accounts: Sequence[Account], sentence: str) -> NoSlot:
    return NoSlot(sentence, reason=reason, account_ids=[account.id for account in accounts])
