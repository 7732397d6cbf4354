"""Campaigns without Prefect: what is sent when, exactly once, whatever happens in between."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.campaigns import AwayForSomeTime, Campaign, row
from support.clock import Clock
from support.race import at_once

from reelflow.campaigns.carrying_out import CLAIMED_AT_ONCE, OUTAGE_PAUSE, OUTAGE_SECONDS, SENDERS, Carrier
from reelflow.campaigns.check import check_alone
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.ledger_wait import PAUSES, WAIT_SECONDS
from reelflow.campaigns.placing import LEAD_SECONDS, MARGIN_SECONDS, posts_elsewhere
from reelflow.campaigns.posts import CheckedPlan
from reelflow.campaigns.rows import NOW, Plan, PlanRow, RowProblem
from reelflow.campaigns.slot_rules import read_rules
from reelflow.campaigns.slots import SlotBook, rules_of_nobody
from reelflow.errors import LedgerReplaced, LedgerUnavailable, NothingSent
from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.watching import watch_posts
from reelflow.records.posts import Account, FoundPost
from reelflow.sandbox.catalog import API_KEY
from reelflow.taisly import TaislyClient

INSTAGRAM = Account(id="64f1c0de00000000000000b1", platform="Instagram", name="mara.bakes")
Videos = Callable[[int], Path]


def codes(checked: CheckedPlan) -> list[tuple[int, str]]:
    return [(problem.number, problem.code) for problem in checked.problems]


def test_each_post_is_sent_once_in_its_slot(taisly: RateLimitedTaisly, videos: Videos, sandbox: Any) -> None:
    """Three posts of one account in three slots, the first within two hours."""
    campaign = Campaign(taisly, *(row(n, videos(n)) for n in (1, 2, 3)))

    carried = campaign.send()

    moments = sorted(post["scheduled"] / 1000 for post in sandbox.posts)
    assert [each.failure for each in carried] == ["", "", ""]
    assert [later - moments[0] for later in moments] == [0, 3600, 7200]
    assert 0 < moments[0] - taisly.ledger.now() < 7200


def test_a_row_whose_time_cannot_be_read_takes_no_slot_and_has_one_problem(
    taisly: RateLimitedTaisly, videos: Videos
) -> None:
    """It has a time, although nobody knows which."""
    rows = [row(1, videos(1)), row(2, videos(2))]
    unreadable = RowProblem(1, "when", "time", "The time 'noonish' cannot be read.")
    without = Campaign(taisly, *rows, book=None)
    without.plan = replace(without.plan, problems=(unreadable,))
    with_slots = Campaign(taisly, *rows)
    with_slots.plan = replace(with_slots.plan, problems=(unreadable,))

    assert codes(without.check()) == [(1, "time"), (2, "no_slots")]
    checked = with_slots.check()
    assert codes(checked) == [(1, "time")]
    assert [post.number for post in checked.posts] == [2]
    assert checked.posts[0].request.scheduled_for == Campaign(taisly, rows[1]).check().posts[0].request.scheduled_for


def test_a_slot_that_passes_while_others_are_sent_is_exchanged(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """Just before the upload it is looked at again: the post takes the next free slot, and is not published late."""
    campaign = Campaign(taisly, row(1, videos(1)), row(2, videos(2)))
    checked = campaign.check()
    posts, _ = campaign.placer.place(checked.right_drafts(), dry_run=False)
    first, second = (post.request.scheduled_for for post in posts)
    assert first is not None
    assert second is not None
    clock.now = first.timestamp() - MARGIN_SECONDS / 2
    sandbox.set_clock(clock.now - time.time())

    carried = Carrier(taisly, campaign.placer).carry_out(posts)

    moved = [each.post.request.scheduled_for for each in carried]
    assert moved == [first + timedelta(hours=2), second]
    assert sorted(post["scheduled"] / 1000 for post in sandbox.posts) == sorted(m.timestamp() for m in moved if m)


def test_a_fixed_time_that_passes_is_not_published(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """The past is never 'now'; the row is named, and the others are sent."""
    at = datetime.fromtimestamp(clock.now, UTC) + timedelta(minutes=30)
    campaign = Campaign(taisly, row(1, videos(1), when=at), row(2, videos(2), when=at + timedelta(hours=1)))
    posts, _ = campaign.placer.place(campaign.check().right_drafts(), dry_run=False)
    clock.now = at.timestamp() + 1

    first, second = Carrier(taisly, campaign.placer).carry_out(posts)

    assert "passed before it could be sent" in first.failure
    assert (second.failure, len(sandbox.posts)) == ("", 1)


def test_a_time_that_has_passed_is_wrong_in_a_new_plan_and_skipped_in_one_that_was_begun(
    taisly: RateLimitedTaisly, videos: Videos, clock: Clock
) -> None:
    """After a crash the rest of the week goes on; a plan of last week is a mistake."""
    at = datetime.fromtimestamp(clock.now, UTC) + timedelta(hours=1)
    rows = [row(1, videos(1), when=at), row(2, videos(2), when=at + timedelta(hours=1))]
    new = Campaign(taisly, row(3, videos(3), when=at - timedelta(hours=2)), rows[0]).check()
    Campaign(taisly, rows[0]).send()
    clock.now = at.timestamp() + 7200

    begun = Campaign(taisly, *rows, row(3, videos(3))).check()

    assert codes(new) == [(3, "passed")]
    assert (codes(begun), [known.number for known in begun.known]) == ([], [1])
    assert [(s.number, "has passed" in s.reason) for s in begun.skipped] == [(2, True)]
    assert [post.number for post in begun.posts] == [3]


def test_a_file_that_vanishes_before_it_is_sent_stops_only_its_row(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, tmp_path: Path
) -> None:
    """It was there for the check. Nothing of it is sent, and nothing is left half done."""
    gone = tmp_path / "gone.mp4"
    gone.write_bytes(videos(1).read_bytes())
    campaign = Campaign(taisly, row(1, gone), row(2, videos(2)))
    checked = campaign.check()
    gone.unlink()

    first, second = campaign.send(checked)

    assert "gone.mp4" in first.failure
    assert (second.failure, [post["caption"] for post in sandbox.posts]) == ("", ["caption 2"])
    gone.write_bytes(videos(1).read_bytes())
    assert [each.failure for each in Campaign(taisly, row(1, gone)).send()] == [""]


def test_two_runs_of_one_plan_at_once_send_each_post_once(
    ledger_url: str, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """Two processes with the same plan: every post once, every slot once."""
    rows = [row(n, videos(n)) for n in range(1, 6)]

    def ready(ledger: Ledger) -> Callable[[], list[Any]]:
        taisly = sandbox.rate_limited(ledger, clock)
        taisly.sleep = lambda seconds: time.sleep(min(seconds, 0.05))
        campaign = Campaign(taisly, *rows)
        return partial(campaign.send, campaign.check())

    with closing(Ledger(ledger_url)) as one, closing(Ledger(ledger_url)) as other:
        sends = [ready(one), ready(other)]
        both = at_once(2, lambda n: sends[n]())

    assert {each.failure for carried in both for each in carried} == {""}
    assert sorted(post["caption"] for post in sandbox.posts) == [f"caption {n}" for n in range(1, 6)]
    assert len({post["scheduled"] for post in sandbox.posts}) == 5


def _tomorrow(number: int, videos: Videos, clock: Clock) -> list[PlanRow]:
    """Rows whose times do not pass while they wait."""
    at = datetime.fromtimestamp(clock.now, UTC) + timedelta(days=1)
    return [row(n, videos(n), when=at + timedelta(hours=n)) for n in range(1, number + 1)]


def test_an_outage_that_lasts_is_what_every_row_says(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """However often it was waited for: no row says that its slot has passed, and nothing is tried for ever."""
    campaign, pauses = Campaign(taisly, *_tomorrow(14, videos, clock)), list[float]()
    taisly.sleep = pauses.append

    def away() -> None:
        raise NothingSent("Taisly cannot be reached.")

    carried = campaign.send(confirm=away)

    assert {each.failure.partition(" Nothing was")[0] for each in carried} == {"Taisly cannot be reached."}
    assert (len(sandbox.posts), 2 * OUTAGE_SECONDS / OUTAGE_PAUSE < len(pauses) < 1000) == (0, True)


def test_posts_wait_for_their_upload_with_their_claims_and_are_confirmed_when_claimed(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """So one question does for many of them: a claim is confirmed before its upload, and few uploads run at once."""
    campaign, running, most = Campaign(taisly, *(row(n, videos(n)) for n in range(1, 13))), list[int](), list[int]()
    confirmed, create = list[int](), taisly.create_post

    def upload(*args: Any, **options: Any) -> Any:
        running.append(1)
        most.append(len(running))
        try:
            time.sleep(0.05)
            return create(*args, **options)
        finally:
            running.pop()

    taisly.create_post = upload  # type: ignore[method-assign]
    carried = campaign.send(confirm=lambda: confirmed.append(taisly.ledger.identity().sends))

    assert [each.failure for each in carried] == [""] * 12
    assert (max(most), len(sandbox.posts), len(confirmed)) == (SENDERS, 12, 12)
    assert min(confirmed) >= 1  # each once it is on record


def test_a_ledger_that_was_replaced_stops_the_rest(taisly: RateLimitedTaisly, videos: Videos, sandbox: Any) -> None:
    """Waiting helps nobody: the remaining rows say so, and none is tried."""
    campaign, calls = Campaign(taisly, *(row(n, videos(n)) for n in range(1, 40))), list[int]()

    def confirm() -> None:
        calls.append(1)
        raise LedgerReplaced("Another ledger is used now.")

    carried = campaign.send(confirm=confirm)

    assert {each.failure for each in carried} == {"Another ledger is used now."}
    assert (len(calls) <= CLAIMED_AT_ONCE, sandbox.posts) == (True, [])


def test_posts_wait_for_a_ledger_that_is_away_for_a_moment(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, engine_log: pytest.LogCaptureFixture
) -> None:
    """Whatever of the posts meets it: each is sent once, and the log says what they wait for."""
    campaign, calls = Campaign(taisly, *(row(n, videos(n)) for n in range(1, 7))), itertools.count()

    def confirm() -> None:
        if next(calls) < PAUSES:  # so often may one post alone meet it
            raise LedgerUnavailable("PostgreSQL is restarting.")

    with engine_log.at_level(logging.WARNING, logger="reelflow"):
        carried = campaign.send(confirm=confirm)

    assert {each.failure for each in carried} == {""}
    assert sorted(post["caption"] for post in sandbox.posts) == [f"caption {n}" for n in range(1, 7)]
    assert {text.partition(" The reason: ")[2] for text in engine_log.messages if "wait for the ledger" in text} == {
        "PostgreSQL is restarting."
    }


def test_a_ledger_that_stays_away_stops_the_rest(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """Posts that have been claimed wait for three minutes, and the others are not tried."""
    campaign, confirmed = Campaign(taisly, *_tomorrow(39, videos, clock)), list[str]()

    def confirm() -> None:
        confirmed.append(threading.current_thread().name)
        raise LedgerUnavailable("PostgreSQL is away.")

    carried = campaign.send(confirm=confirm)

    assert {each.failure for each in carried} == {"PostgreSQL is away."}
    assert sandbox.posts == []
    assert max(Counter(confirmed).values()) == PAUSES + 1
    assert len(confirmed) <= CLAIMED_AT_ONCE * (PAUSES + 1)


def test_a_post_waits_three_minutes_for_its_ledger(taisly: RateLimitedTaisly, videos: Videos, clock: Clock) -> None:
    """Of pauses, and no longer."""
    campaign = Campaign(taisly, row(1, videos(1)))

    def confirm() -> None:
        raise LedgerUnavailable("PostgreSQL is away.")

    campaign.send(confirm=confirm)

    assert sum(clock.slept) == WAIT_SECONDS


def test_a_post_that_waited_to_record_its_lost_answer_counts_as_sent_by_this_run(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, ledger: Ledger
) -> None:
    """The second try finds it on record, and would take it for that of an earlier run."""
    sandbox.order_fault("drop_after", "POST", "/api/private/post")
    campaign, lost = Campaign(taisly, row(1, videos(1))), ledger.answer_lost
    failures = iter([LedgerUnavailable("PostgreSQL is restarting.")])

    def answer_lost(send_id: str, reason: str) -> None:
        lost(send_id, reason)
        for failure in failures:
            raise failure

    taisly.ledger.answer_lost = answer_lost  # type: ignore[method-assign]
    (carried,) = campaign.send(flow_run="this run")

    assert (carried.failure, carried.sent_now, len(sandbox.posts)) == ("", True, 1)


@pytest.mark.parametrize(
    ("rows", "refused", "sent"), [(2, 9, 2), (2, 10_000, 0), (30, 10_000, 0)],
    ids=["a moment", "for long", "for long, many at once"],
)  # fmt: skip
def test_taisly_that_cannot_be_reached_is_waited_for(
    ledger: Ledger, clock: Clock, videos: Videos, sandbox: Any, rows: int, refused: int, sent: int
) -> None:
    """Each row is sent once it is back; after minutes the rest is left, and nothing is tried for ever."""
    network = AwayForSomeTime(refused)
    client = TaislyClient(API_KEY, sandbox.taisly_url, transport=network)
    with RateLimitedTaisly(
        client, ledger, api_key=API_KEY, service=sandbox.taisly_url, plan="PRO", sleep=clock.sleep
    ) as taisly:
        carried = Campaign(taisly, *(row(n, videos(n)) for n in range(1, rows + 1))).send()

    assert sum(not each.failure for each in carried) == len(sandbox.posts) == sent
    assert network.tries == refused or network.tries < 500


def test_a_post_whose_answer_was_lost_is_found_and_not_repeated(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """Its row counts as sent, the history tells the rest, and the next run knows it."""
    sandbox.order_fault("drop_after", "POST", "/api/private/post")
    campaign = Campaign(taisly, row(1, videos(1)), row(2, videos(2)))

    carried = campaign.send()
    watch_posts(taisly, {send_id for each in carried for send_id in each.send_ids}, seconds=900)

    assert [each.failure for each in carried] == ["", ""]
    assert [known.outcome.state for known in Campaign(taisly, *campaign.plan.rows).check().known] == ["ACCEPTED"] * 2
    assert sandbox.requests("POST /api/private/post") == len(sandbox.posts) == 2


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"when": NOW}, {"when": NOW}, [(2, "too_close")]),
        ({"when": 60}, {"when": 62}, [(2, "too_close")]),
        ({"when": 60}, {"when": 65}, []),
        ({"when": 60}, {"when": 62, "accounts": ("YouTube",)}, []),
        ({}, {}, []),
    ],
    ids=["both now", "two minutes", "five minutes", "another account", "slots"],
)
def test_posts_that_are_too_close_are_named(
    taisly: RateLimitedTaisly,
    videos: Videos,
    clock: Clock,
    first: dict[str, Any],
    second: dict[str, Any],
    expected: list[tuple[int, str]],
) -> None:
    """Less than five minutes apart on one account is a mistake; slots never are."""

    def at(values: dict[str, Any]) -> dict[str, Any]:
        when = values.get("when")
        moment = datetime.fromtimestamp(clock.now, UTC) + timedelta(minutes=when) if isinstance(when, int) else when
        return values | {"when": moment}

    checked = Campaign(taisly, row(1, videos(1), **at(first)), row(2, videos(2), **at(second))).check()

    assert codes(checked) == expected


def test_a_plan_that_is_run_again_is_not_too_close_to_itself(
    taisly: RateLimitedTaisly, videos: Videos, clock: Clock
) -> None:
    """Its fixed time was tried before, and a slot that another row has is as near as it was when it was chosen."""
    hour = datetime.fromtimestamp((clock.now // 3600 + 2) * 3600, UTC)
    fixed = row(1, videos(1), when=hour - timedelta(minutes=10))
    campaign = Campaign(taisly, fixed, row(2, videos(2)), minutes_apart=60)
    posts, _ = campaign.placer.place(campaign.check().drafts, dry_run=False)
    (timed,) = [post.request for post in posts if post.number == 1]
    taisly.ledger.claim(timed, service=taisly.service, owner="a live run")

    beside_it = campaign.check()
    clock.now += 60
    after_it = campaign.check()
    Campaign(taisly, row(2, videos(2))).send()

    assert codes(beside_it) == codes(after_it) == codes(campaign.check()) == []
    assert [problem.code for problem in Campaign(taisly, fixed, minutes_apart=60).check().problems] == ["too_close"]


def test_accounts_whose_common_slot_passed_are_sent_each_in_its_next(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """They were one post only since their slots were at the same moment."""
    clock.now = clock.now // 86400 * 86400 + 86400 + 10 * 3600
    sandbox.set_clock(clock.now - time.time())
    book = SlotBook(read_rules(["Instagram: daily 12:00, 15:00", "YouTube: daily 12:00, 18:00"]), ZoneInfo("UTC"))
    campaign = Campaign(taisly, row(1, videos(1), accounts=("Instagram", "YouTube")), book=book)
    posts, _ = campaign.placer.place(campaign.check().right_drafts(), dry_run=False)
    clock.now += 2 * 3600
    sandbox.set_clock(clock.now - time.time())

    carried = Carrier(taisly, campaign.placer).carry_out(posts)

    moments = [each.post.request.scheduled_for for each in carried]
    assert (len(posts), [each.failure for each in carried]) == (1, ["", ""])
    assert [f"{moment:%H:%M}" for moment in moments if moment] == ["15:00", "18:00"]
    assert sorted(post["scheduled"] / 1000 for post in sandbox.posts) == [m.timestamp() for m in moments if m]


def test_the_same_video_twice_is_named_unless_it_is_meant(taisly: RateLimitedTaisly, videos: Videos) -> None:
    """For one account only the first is sent: the other row says which one it repeats."""
    rows = [row(1, videos(1)), row(2, videos(1)), row(3, videos(1), repeat=1), row(4, videos(1), accounts=("YouTube",))]

    checked = Campaign(taisly, *rows).check()

    assert codes(checked) == [(2, "twice")]
    assert "Row 1 has the same video" in checked.problems[0].sentence


def test_a_video_that_another_plan_has_scheduled_is_known(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """Without a time it is the same post, whatever plan has it; with another time, the person has to decide."""
    Campaign(taisly, row(1, videos(1))).send()
    later = datetime.fromtimestamp(taisly.ledger.now(), UTC) + timedelta(days=3)

    without_time = Campaign(taisly, row(7, videos(1), caption="other words")).check()
    with_time = Campaign(taisly, row(7, videos(1), when=later)).check()

    assert ([known.number for known in without_time.known], without_time.posts) == ([7], [])
    assert codes(with_time) == [(7, "sent_before")]
    assert "is scheduled for Instagram mara.bakes" in with_time.problems[0].sentence


def test_a_caption_for_an_unknown_platform_is_named(taisly: RateLimitedTaisly, videos: Videos) -> None:
    """`cake.final.txt` beside cake.mp4 is for no platform: it must not be ignored in silence."""
    checked = Campaign(taisly, row(1, videos(1), captions={"final": "words", "x": "short"})).check()

    assert codes(checked) == [(1, "platform")]


def test_slots_that_are_for_nobody_are_told() -> None:
    """A mistyped account has no slots of its own, and would silently take those of its platform."""
    book = SlotBook(read_rules(["Instagram: 9:00", "Instagram mara.bake: 12:00", "all: 18:00"]), ZoneInfo("UTC"))

    assert rules_of_nobody(book, [INSTAGRAM]) == ["Instagram mara.bake"]


def test_accounts_can_share_one_moment(taisly: RateLimitedTaisly, videos: Videos, sandbox: Any) -> None:
    """All accounts of a row at the same time are one post; each in its own slot are several."""
    book = SlotBook(read_rules(["Instagram: daily 9:00, 12:00", "YouTube: daily 12:00, 15:00"]), ZoneInfo("UTC"))

    Campaign(taisly, row(1, videos(1), accounts=("Instagram", "YouTube")), book=book, same_time=True).send()
    Campaign(taisly, row(1, videos(2), accounts=("Instagram", "YouTube")), book=book).send()

    assert sorted(len(post["platforms"]) for post in sandbox.posts) == [1, 1, 2]
    assert {datetime.fromtimestamp(sandbox.posts[0]["scheduled"] / 1000, UTC).hour} == {12}


def test_posts_of_taislys_own_history_take_slots(taisly: RateLimitedTaisly, videos: Videos, sandbox: Any) -> None:
    """A post that somebody scheduled in Taisly itself is not joined by one of ours."""
    at = datetime.fromtimestamp(((taisly.ledger.now() + LEAD_SECONDS) // 3600 + 2) * 3600, UTC)
    sandbox.taisly().create_post(videos(9), [INSTAGRAM.id], "by hand", scheduled=at)
    campaign = Campaign(taisly, row(1, videos(1)), row(2, videos(2)))

    campaign.placer.others = posts_elsewhere(taisly, [INSTAGRAM])

    moments = [post.request.scheduled_for for post in campaign.check().posts]
    assert at not in moments
    assert at - timedelta(hours=1) in moments


def test_the_plan_must_have_room_before_a_fixed_time(
    sandbox: Any, ledger: Ledger, clock: Clock, videos: Videos
) -> None:
    """More posts than the smallest plan sends in an hour: those that would be late are named, with the time."""
    sandbox.world.plan = "STARTER"
    taisly = sandbox.rate_limited(ledger, clock, plan="STARTER")
    soon = datetime.fromtimestamp(clock.now, UTC) + timedelta(minutes=50)
    for _ in range(46):
        ledger.count_request(taisly.key)

    rows = [row(n, videos(n), when=soon + timedelta(seconds=n), accounts=("X",)) for n in (1, 2, 3)]

    checked = Campaign(taisly, *rows, minutes_apart=0).check()

    assert {code for _, code in codes(checked)} == {"no_room"}
    assert checked.seconds == 3600


def test_rows_that_are_wrong_need_no_room(sandbox: Any, ledger: Ledger, clock: Clock, videos: Videos) -> None:
    """They are not sent, so the right ones behind them are in time; nor does one without room keep another from it."""
    sandbox.world.plan = "STARTER"
    taisly = sandbox.rate_limited(ledger, clock, plan="STARTER")
    soon = datetime.fromtimestamp(clock.now, UTC) + timedelta(minutes=50)
    for _ in range(44):
        ledger.count_request(taisly.key)
    rows = [row(n, videos(n), when=soon + timedelta(seconds=n), accounts=("X",)) for n in range(1, 6)]
    for place in (0, 1, 2):
        rows[place] = replace(rows[place], caption="x" * 101)

    checked = Campaign(taisly, *rows, minutes_apart=0).check()

    assert codes(checked) == [(1, "caption"), (2, "caption"), (3, "caption")]
    assert ([post.number for post in checked.right_posts()], checked.seconds) == ([4, 5], 0)


def test_mistyped_accounts_are_looked_up_once(sandbox: Any, ledger: Ledger, clock: Clock, videos: Videos) -> None:
    """They may have been connected just now; but a plan of mistakes must not use up the Taisly plan."""
    taisly = sandbox.rate_limited(ledger, clock, plan="STARTER")
    taisly.choose_accounts(["Instagram"])
    rows = [row(n, videos(1), accounts=(f"TikTok @marra{n % 9}",)) for n in range(1, 61)]

    checked = Campaign(taisly, *rows).check()

    assert codes(checked) == [(n, "accounts") for n in range(1, 61)]
    assert sandbox.requests("GET /api/private/platform/platforms") == 2
    assert max(clock.slept, default=0) == 0


def test_a_row_that_a_repost_rule_would_double_is_named(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """With its cause and what to do; the rules are asked for once."""
    with sandbox.taisly() as client:
        instagram, youtube = (taisly.choose_accounts([name])[0] for name in ("Instagram", "YouTube"))
        client.add_repost(instagram.id, [youtube.id])
    before = sandbox.requests("GET /api/private/reposts")

    checked = Campaign(taisly, row(1, videos(1), accounts=("Instagram", "YouTube")), row(2, videos(2))).check()

    assert codes(checked) == [(1, "repost_rule")]
    assert checked.problems[0].sentence.startswith(f"Taisly would post the video twice to {youtube.label}: a repost")
    assert sandbox.requests("GET /api/private/reposts") == before + 1


def test_a_row_that_the_history_may_have_is_named(taisly: RateLimitedTaisly, videos: Videos, clock: Clock) -> None:
    """A new ledger has looked back: the row says what was found, and how to send it all the same."""
    post = FoundPost(history_id="h1", caption="caption 1", account_ids=(INSTAGRAM.id,), platforms=(), at=clock.now)
    taisly.ledger.store_found(taisly.key, taisly.service, [post])

    checked = Campaign(taisly, row(1, videos(1)), row(2, videos(2))).check()

    assert codes(checked) == [(1, "in_history")]
    assert checked.problems[0].sentence.startswith("Taisly's history has a post with the same caption on Instagram")
    assert checked.problems[0].sentence.endswith("Remove the row; or, to send it all the same, put 1 into its column "
                                                 "'repeat'.")  # fmt: skip


def test_a_plan_is_checked_with_the_fit_that_its_campaign_will_have(clip: Any) -> None:
    """A lying video is right then, if its row does not say otherwise; one that is too long with --too-long trim."""
    plan = Plan("plan", (), (row(1, clip("landscape.mp4")), row(2, clip("landscape.mp4"), fit="off", repeat=1),
                             row(3, clip("long.mp4"))))  # fmt: skip
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)

    def wrong(**form: Any) -> list[int]:
        return [problem.number for problem in check_alone(plan, now, CampaignForm(**form)).problems]

    assert (wrong(), wrong(fit="pad"), wrong(fit="blur", too_long="trim")) == ([1, 2, 3], [2, 3], [2])


def test_a_row_that_does_not_fit_names_its_column(
    taisly: RateLimitedTaisly, clip: Callable[[str], Path], videos: Videos
) -> None:
    """If the plan has it: what the form says is for all rows."""
    rows = (row(1, clip("landscape.mp4")), row(2, videos(1)))
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)

    with_column, without = (
        check_alone(Plan("plan", columns, rows), now).problems[0].sentence
        for columns in (("video", "Fit"), ("video", "caption"))
    )

    assert with_column == without + " For this row alone, put 'pad', 'blur' or 'crop' into its column 'fit'."
    campaign = Campaign(taisly, *rows)
    campaign.plan = replace(campaign.plan, columns=("video", "fit"))
    assert campaign.check().problems[0].sentence == with_column


def test_a_plan_is_checked_without_anybody(videos: Videos, tmp_path: Path) -> None:
    """`reelflow plan check`: what is wrong with files, captions and times, and the same video twice."""
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    rows = (
        row(1, videos(1)),
        row(2, videos(1)),
        row(3, tmp_path / "gone.mp4"),
        row(4, videos(2), when=now - timedelta(days=1)),
        row(5, videos(3), captions={"x": "x" * 101}),
        row(6, videos(4), preview_second=80.0),
    )

    found = check_alone(Plan("plan", (), rows), now)

    assert [(problem.number, problem.code) for problem in found.problems] == [
        (2, "twice"),
        (3, "video"),
        (4, "passed"),
        (5, "caption"),
        (6, "preview_second"),
    ]
    assert "to send it twice, put 1 into the column 'repeat'" in found.problems[0].sentence
