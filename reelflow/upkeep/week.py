"""The posts of the past and the coming days, and what waits for a person: values made from the ledger's records.

What is listed is cut, so that a page of 1,000 posts can still be read and loaded; what is counted is never cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property

from reelflow.records.approvals import OpenQuestion
from reelflow.records.clients import for_client
from reelflow.records.post_states import ALARMING, WORDS, PostState, SendStatus, is_alive, word_of
from reelflow.records.posts import Outcome, Send, SendRecord
from reelflow.time_zones import DAY, shown_zone
from reelflow.upkeep.form import WeekForm
from reelflow.wording import count

MOST_OF_A_DAY = 20
"""Posts that a day lists: more than a person looks through."""
MOST_LISTED = 450
"""Posts that all days together list, those nearest to now: every day of three weeks lists as many as it may."""
MOST_UNCONFIRMED = 30
"""Unconfirmed posts that are listed for a person: each needs a decision."""
MOST_FAILED = 10
"""Failed posts that are listed for a person; as many that were refused or not sent."""
MOST_ACCOUNTS = 8
"""Accounts that one post names for one outcome."""

WORDS_IN_ORDER = (
    "published", "scheduled", "open", "unconfirmed", "failed", "refused", "not sent", "cancelled",
)  # fmt: skip
"""Every word of `word_of`, as counts list them."""


@dataclass(frozen=True)
class Entry:
    """One post, with its outcome at each account.

    Attributes:
        send: As the ledger has it.
        outcomes: At its accounts.
        is_scheduled: Whether its time has not come.
        is_at_work: Whether a live run is sending it.
    """

    send: Send
    outcomes: tuple[Outcome, ...]
    is_scheduled: bool
    is_at_work: bool

    @property
    def at(self) -> float:
        """When it was or is to be published, in Unix seconds."""
        return self.send.published_at

    @cached_property
    def counts(self) -> Counter[str]:
        """Its accounts by outcome."""
        return Counter(self.word(outcome) for outcome in self.outcomes)

    def word(self, outcome: Outcome) -> str:
        """The outcome at one account in a word; "open" while a run is about to send it."""
        if outcome.state is PostState.CLAIMED and self.is_at_work:
            return WORDS[PostState.SENDING]
        return word_of(outcome.state, is_scheduled=self.is_scheduled)

    @property
    def name(self) -> str:
        """Its video, with the client in front where that needs a name."""
        return for_client(self.send.client, self.send.file_name)

    def who(self, outcome: Outcome) -> str:
        """The account, with its client in front where that needs a name."""
        return for_client(self.send.client, outcome.account.label)

    def by_word(self) -> dict[str, list[Outcome]]:
        """Its accounts by outcome, in the order in which counts list them."""
        return {word: found for word in WORDS_IN_ORDER if (found := [o for o in self.outcomes if self.word(o) == word])}

    def only(self, outcomes: Iterable[Outcome]) -> Entry:
        """The same post with some of its accounts."""
        return Entry(self.send, tuple(outcomes), self.is_scheduled, self.is_at_work)


@dataclass(frozen=True)
class Day:
    """The posts of one day in the time zone that people read, in the order of their times."""

    date: date
    entries: tuple[Entry, ...]

    @cached_property
    def counts(self) -> Counter[str]:
        """Its publications (a post at one account each) by outcome."""
        return _sum(entry.counts for entry in self.entries)

    @cached_property
    def accounts(self) -> Counter[str]:
        """Its publications by account."""
        return Counter(entry.who(outcome) for entry in self.entries for outcome in entry.outcomes)


@dataclass(frozen=True)
class Week:
    """The posts of some days.

    Attributes:
        now: Unix seconds: one moment for everything in it.
        today: The day of this moment.
        first: The first day.
        last: The last day.
        days: Those that have posts, in order.
        unconfirmed: Posts whose fate a person must find out, however old, with these accounts only; the oldest first.
        failed: Those of these days that failed, were refused or not sent, with these accounts only; the nearest to now
            first.
        later: How many posts are scheduled after the last day.
        questions: Runs that wait for a person's approval, the most urgent first.
        without_client: A sentence for each client whose block was deleted while posts of it are open.
    """

    now: float
    today: date
    first: date
    last: date
    days: tuple[Day, ...]
    unconfirmed: tuple[Entry, ...]
    failed: tuple[Entry, ...]
    later: int
    questions: tuple[OpenQuestion, ...] = ()
    without_client: tuple[str, ...] = ()

    @property
    def entries(self) -> Iterator[Entry]:
        """Every post of these days, in the order of their times."""
        return (entry for day in self.days for entry in day.entries)

    @cached_property
    def counts(self) -> Counter[str]:
        """Publications (a post at one account each) by outcome."""
        return _sum(day.counts for day in self.days)

    @cached_property
    def accounts(self) -> dict[str, Counter[str]]:
        """Publications by account and outcome; accounts in the order of the alphabet."""
        found: dict[str, Counter[str]] = {}
        for entry in self.entries:
            for outcome in entry.outcomes:
                found.setdefault(entry.who(outcome), Counter())[entry.word(outcome)] += 1
        return dict(sorted(found.items(), key=lambda item: item[0].casefold()))

    def listed(self, most: int = MOST_LISTED) -> dict[date, list[Entry]]:
        """The posts that a page lists, by day: of each day and of all days those nearest to now."""
        of_days = [e for day in self.days for e in nearest(day.entries, self.now, MOST_OF_A_DAY)]
        kept = {entry.send.id for entry in nearest(of_days, self.now, most)}
        return {day.date: [entry for entry in day.entries if entry.send.id in kept] for day in self.days}


def nearest(entries: Sequence[Entry], now: float, most: int) -> list[Entry]:
    """So many posts whose time is the nearest to now, in the order of their times."""
    chosen = sorted(entries, key=lambda entry: abs(entry.at - now))[:most]
    return sorted(chosen, key=lambda entry: entry.at)


def begin_of(form: WeekForm, now: float) -> float:
    """The first moment of the first day in the time zone that people read, in Unix seconds."""
    first = _date_of(now) - timedelta(days=form.days_back)
    return datetime.combine(first, time.min, shown_zone()).timestamp()


def records_since(form: WeekForm, now: float) -> float:
    """From when on the ledger's records are needed: a post may be sent hours after its run claimed it."""
    return begin_of(form, now) - DAY


def make_week(
    records: Sequence[SendRecord],
    form: WeekForm,
    now: float,
    questions: Sequence[OpenQuestion] = (),
    without_client: Sequence[str] = (),
) -> Week:
    """The week around now.

    Args:
        records: What the ledger has since `records_since`, and whatever is unconfirmed.
        form: How many days.
        now: Unix seconds.
        questions: Runs that wait for a person's approval.
        without_client: A sentence for each deleted client with open posts.
    """
    entries = sorted((_entry(send, outcomes, now) for send, outcomes in records), key=lambda e: (e.at, e.send.id))
    today = _date_of(now)
    first, last = today - timedelta(days=form.days_back), today + timedelta(days=form.days_ahead)
    by_date: dict[date, list[Entry]] = {}
    for entry in entries:
        by_date.setdefault(_date_of(entry.at), []).append(entry)
    days = tuple(Day(day, tuple(found)) for day, found in by_date.items() if first <= day <= last)
    shown = [entry for day in days for entry in day.entries]
    return Week(
        now=now,
        today=today,
        first=first,
        last=last,
        days=days,
        unconfirmed=_with(entries, "unconfirmed"),
        failed=_with(sorted(shown, key=lambda e: abs(e.at - now)), "failed", "refused", "not sent"),
        later=sum(len(found) for day, found in by_date.items() if day > last),
        questions=tuple(questions),
        without_client=tuple(without_client),
    )


def describe_counts(counts: Counter[str]) -> str:
    """Numbers with their words: "3 published, 1 failed"; empty where there are none."""
    return ", ".join(f"{counts[word]} {word}" for word in WORDS_IN_ORDER if counts[word])


def counted(posts: int, counts: Counter[str]) -> str:
    """Posts, and what became of them at their accounts: "2 posts (by account: 3 published, 1 failed)"."""
    told = describe_counts(counts)
    by = "" if counts.total() == posts else "by account: "
    return f"{count(posts, 'post')}{f' ({by}{told})' if told else ''}"


def is_alarming(word: str) -> bool:
    """Whether an outcome is one that a person should see at once."""
    return word in {WORDS[state] for state in ALARMING} | {WORDS[PostState.CLAIMED]}


def local_time(moment: float) -> datetime:
    """A moment in the time zone that people read."""
    return datetime.fromtimestamp(moment, shown_zone())


def _sum(counters: Iterable[Counter[str]]) -> Counter[str]:
    total = Counter[str]()
    for each in counters:
        total.update(each)
    return total


def _date_of(moment: float) -> date:
    return local_time(moment).date()


def _entry(send: Send, outcomes: Sequence[Outcome], now: float) -> Entry:
    status = send.status(now)
    return Entry(send, tuple(outcomes), status is SendStatus.SCHEDULED, is_alive(send.lease_until, now))


def _with(entries: Iterable[Entry], *words: str) -> tuple[Entry, ...]:
    """Those that have one of these outcomes, with the accounts that have it."""
    found = ((entry, [o for o in entry.outcomes if entry.word(o) in words]) for entry in entries)
    return tuple(entry.only(outcomes) for entry, outcomes in found if outcomes)
