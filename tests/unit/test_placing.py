"""Where the posts of a plan get their times, and where a post goes whose slot has passed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.clock import Clock

from reelflow.campaigns.placing import Placer
from reelflow.campaigns.posts import Draft, PlannedPost
from reelflow.campaigns.rows import NOW, PlanRow
from reelflow.campaigns.slot_rules import read_rules
from reelflow.campaigns.slots import SlotBook
from reelflow.ledger import Ledger
from reelflow.records.posts import Account, Video

SERVICE = "http://taisly"
MARA, ADA = Account(id="t1", platform="TikTok", name="@mara"), Account(id="i1", platform="Instagram", name="@ada")
MONDAY = datetime(2026, 7, 6, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _monday(clock: Clock) -> None:
    clock.now = MONDAY.timestamp()


def placer(ledger: Ledger, *rows: str, zone: str = "UTC", closed: frozenset[date] = frozenset(), **more: Any) -> Placer:
    return Placer(ledger, SERVICE, SlotBook(read_rules(rows), ZoneInfo(zone), closed=closed), {}, **more)


def draft(number: int = 1, account: Account = MARA, when: Any = None, caption: str = "one") -> Draft:
    """A row's own video for an account."""
    video = Video(
        path=Path("a.mp4"), sha256=f"{number:064}", size_bytes=1, modified_ns=1, width=1, height=1, duration=9.0
    )  # fmt: skip
    return Draft(PlanRow(number, "a.mp4", caption, when=when), video, account, caption, when)


def times(posts: list[PlannedPost]) -> list[tuple[int, str]]:
    return [(post.number, f"{due:%a %H:%M}" if (due := post.request.scheduled_for) else NOW) for post in posts]


def moved(placer: Placer, post: PlannedPost) -> list[tuple[list[str], str]]:
    """The parts of a post that is moved: their accounts, and the time, or why there is none."""
    return [
        ([account.id for account in part.request.accounts], str(why) if why else times([part])[0][1])
        for part, why in placer.move(post)
    ]


def test_accounts_that_only_coincided_are_moved_each_to_its_own_slot(ledger: Ledger, clock: Clock) -> None:
    """They were one post; they need no slot in common after the first one."""
    closed = frozenset({date(2026, 7, 15) + timedelta(weeks=week) for week in range(12)})
    its = placer(ledger, "TikTok: Wed 12:00; Thu 9:00", "Instagram: Wed 12:00; Fri 15:00", closed=closed)
    (post,), _ = its.place([draft(), draft(account=ADA)], dry_run=False)
    clock.now += 3 * 86400

    assert moved(its, post) == [(["t1"], "Thu 09:00"), (["i1"], "Fri 15:00")]


def test_accounts_that_get_one_slot_again_stay_one_post(ledger: Ledger, clock: Clock) -> None:
    """One request for both."""
    its = placer(ledger, "all: daily 12:00")
    (post,), _ = its.place([draft(), draft(account=ADA)], dry_run=False)
    clock.now += 86400

    assert moved(its, post) == [(["t1", "i1"], "Tue 12:00")]


def test_an_account_without_another_slot_does_not_keep_the_others_from_theirs(ledger: Ledger, clock: Clock) -> None:
    """It is named with the reason."""
    later = frozenset({date(2026, 7, 7) + timedelta(days=day) for day in range(80)})
    open_days = later - {date(2026, 7, 9)}
    its = placer(ledger, "TikTok: daily 12:00", "Instagram: Mon 12:00", closed=open_days)
    (post,), _ = its.place([draft(), draft(account=ADA)], dry_run=False)
    clock.now += 86400

    (mara, when), (ada, why) = moved(its, post)

    assert (mara, when, ada) == (["t1"], "Thu 12:00", ["i1"])
    assert "No posting slot of Instagram @ada" in why


def test_a_post_is_not_moved_to_the_time_of_another_row(ledger: Ledger, clock: Clock) -> None:
    """That one is not sent yet, so the ledger does not know it."""
    its = placer(ledger, "all: daily 12:00")
    fixed = draft(2, when=MONDAY.replace(day=7, hour=12))
    (post, _), _ = its.place([fixed, draft()], dry_run=False)
    clock.now += 6 * 3600

    assert moved(its, post) == [(["t1"], "Wed 12:00")]


def test_a_post_of_now_takes_a_slot_that_is_near(ledger: Ledger, clock: Clock) -> None:
    """Three minutes before noon."""
    clock.now += 3 * 3600 + 57 * 60

    posts, _ = placer(ledger, "all: daily 12:00").place([draft(1, when=NOW), draft(2)], dry_run=True)

    assert times(posts) == [(1, NOW), (2, "Tue 12:00")]


def test_slots_keep_the_distance_from_fixed_times_that_was_asked_for(ledger: Ledger) -> None:
    """Of the same plan; what else the account has takes a slot only within five minutes."""
    drafts = [draft(1, when=MONDAY.replace(hour=8, minute=30)), draft(2), draft(3, ADA)]

    posts, _ = placer(ledger, "all: daily 9:00, 11:00", seconds_apart=3600).place(drafts, dry_run=True)

    assert times(posts) == [(1, "Mon 08:30"), (3, "Mon 09:00"), (2, "Mon 11:00")]


def test_a_fixed_time_gives_up_the_slot_that_the_post_had(ledger: Ledger) -> None:
    """The person wrote a time into the row: its slot is the next post's."""
    its = placer(ledger, "all: daily 12:00")
    its.place([draft(1)], dry_run=False)

    posts, _ = its.place([draft(1, when=MONDAY.replace(hour=18)), draft(2)], dry_run=False)

    assert times(posts) == [(2, "Mon 12:00"), (1, "Mon 18:00")]
    assert ledger.reservations(SERVICE, [draft(1).video.sha256]) == []


def test_a_time_that_does_not_exist_is_said_of_the_post_that_was_to_have_it(ledger: Ledger, clock: Clock) -> None:
    """Not of another account's own 3:00; and again when the plan is run again."""
    clock.now = datetime(2026, 3, 27, 12, tzinfo=UTC).timestamp()
    its = placer(ledger, "TikTok: Sun 2:30", "Instagram: Sun 3:00", zone="Europe/Berlin")

    for _ in range(2):
        posts, _ = its.place([draft(), draft(account=ADA, caption="two")], dry_run=False)
        assert [post.note[:20] for post in posts] == ["02:30 does not exist", ""]
