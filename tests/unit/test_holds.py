"""Accounts on hold: when they are, what the ledger counts, and what a campaign does not send."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import campaigns
from support.clock import Clock
from support.race import at_once

from reelflow.campaigns.carrying_out import SENDERS, Carried
from reelflow.campaigns.rows import NOW, PlanRow
from reelflow.errors import NothingSent
from reelflow.ledger import Ledger, move_ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.watching import watch_posts
from reelflow.records.alarms import AlarmGroup
from reelflow.records.holds import HOLD_AFTER, Streak
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, PostRequest
from tasks.alarm_messages import message_of
from tasks.upkeep.health import check_ledger

Post = Callable[..., PostRequest]
Videos = Callable[[int], Path]
SERVICE = "https://taisly.test/api"
STATES = {
    "F": PostState.FAILED,
    "R": PostState.REFUSED,
    "S": PostState.SUCCESS,
    "U": PostState.UNCONFIRMED,
    "C": PostState.CANCELLED,
}
EXPIRED = "Instagram session expired"
GONE = Account(id="gone", platform="Threads", name="mara")
"""An account that was disconnected in Taisly a moment ago: it refuses every post to it."""


@pytest.mark.parametrize(
    ("settled", "failures", "held_at"),
    [
        ("", 0, None),
        ("FF", 2, None),
        ("FFF", 3, 3),
        ("RRR", 3, 3),
        ("FRF", 3, 3),
        ("FFSF", 1, None),
        ("FFSFFF", 3, 6),
        ("FUFCF", 3, 5),
        ("FFFF", 4, 3),
        ("FFFS", 3, 3),
        ("FFFSF", 4, 3),
        ("UUU", 0, None),
    ],
)
def test_so_many_failures_in_a_row_are_a_hold(settled: str, failures: int, held_at: float | None) -> None:
    """A success in between counts from 0; what nobody knows does not count; only a release ends a hold."""
    streak = Streak()
    for at, letter in enumerate(settled, 1):
        streak = streak.after(STATES[letter], f"reason {at}", at)

    assert (streak.failures, streak.held_at, streak.is_on_hold) == (failures, held_at, held_at is not None)


def test_a_streak_begins_with_its_first_failure_and_has_the_latest_reason() -> None:
    """The first is what its alarm is known by, the latest is what a person must fix."""
    streak = Streak()
    for at, letter in ((1, "F"), (2, "S"), (3, "F"), (4, "R")):
        streak = streak.after(STATES[letter], f"reason {at}", at)

    assert (streak.since, streak.reason) == (3, "reason 4")


# In the ledger


def settle(ledger: Ledger, post: PostRequest, state: PostState = PostState.FAILED, reason: str = EXPIRED) -> str:
    """Send a post, and record the same outcome at each of its accounts."""
    send_id = ledger.claim(post, service=SERVICE, owner="me", flow_run="run").send_id
    assert send_id
    ledger.begin(send_id, "me")
    ledger.seal(send_id, "me")
    if state is PostState.REFUSED:
        ledger.settle(send_id, state, reason)
        return send_id
    ledger.accepted(send_id, f"h{send_id}")
    ledger.record_outcomes(send_id, [Outcome(account=a, state=state, detail=reason) for a in post.accounts])
    return send_id


def alarms(ledger: Ledger) -> list[AlarmGroup]:
    """The holds that are told now."""
    return [group for group in ledger.claim_alarms() if group.alarms[0].kind == "hold"]


def told(ledger: Ledger) -> list[AlarmGroup]:
    """The same, and they are told."""
    groups = alarms(ledger)
    ledger.alarms_told([alarm for group in groups for alarm in group.alarms])
    return groups


def test_the_ledger_counts_what_fails_in_a_row(ledger_on_each: Ledger, checked: Post) -> None:
    """By account; a success at one of them does not release another."""
    tiktok, instagram, _ = checked().accounts
    for n in range(HOLD_AFTER):
        settle(ledger_on_each, checked(f"both {n}", [tiktok, instagram]))
        if n == 1:
            settle(ledger_on_each, checked("fine", [tiktok]), PostState.SUCCESS)

    held = ledger_on_each.on_hold(SERVICE)

    assert [(hold.account, hold.streak.failures, hold.streak.reason) for hold in held] == [(instagram, 3, EXPIRED)]
    assert (ledger_on_each.on_hold(), ledger_on_each.on_hold("another service")) == (held, [])


def test_a_post_that_is_refused_again_and_again_counts_each_time(ledger_on_each: Ledger, checked: Post) -> None:
    """Its row in the ledger is the same, but each try is a request that Taisly refuses."""
    post = checked("one", checked().accounts[:1])
    for _ in range(HOLD_AFTER):
        settle(ledger_on_each, post, PostState.REFUSED, "Post limit reached (LIMIT)")

    (hold,) = ledger_on_each.on_hold()

    assert (hold.account, hold.streak.reason) == (post.accounts[0], "Post limit reached (LIMIT)")


def test_an_outcome_that_is_read_twice_counts_once(ledger_on_each: Ledger, checked: Post) -> None:
    """Two programs may watch one post."""
    post = checked("one", checked().accounts[:1])
    send_id = settle(ledger_on_each, post)
    for _ in range(HOLD_AFTER):
        failed = Outcome(account=post.accounts[0], state=PostState.FAILED, detail=EXPIRED)
        ledger_on_each.record_outcomes(send_id, [failed])

    assert ledger_on_each.on_hold() == []


def test_a_hold_is_one_alarm_and_a_new_one_after_its_release_is_another(
    ledger_on_each: Ledger, checked: Post, clock: Clock
) -> None:
    """Whatever else fails meanwhile; with what happened, what it means and what to do."""
    ledger, account = ledger_on_each, checked().accounts[:1]
    for n in range(HOLD_AFTER + 2):
        settle(ledger, checked(f"first {n}", account))
        clock.now += 60
    first = told(ledger)
    before = ledger.release_accounts(SERVICE, [account[0].id])
    again = ledger.release_accounts(SERVICE, [account[0].id, "nobody"])
    clock.now += 24 * 3600
    for n in range(HOLD_AFTER):
        settle(ledger, checked(f"second {n}", account))
    second = told(ledger)

    message = message_of(first[0])
    assert [[alarm.subject for alarm in group.alarms] for group in (*first, *second)] == [[account[0].label]] * 2
    assert [hold.streak.failures for hold in before] == [5]
    assert again == []
    assert message.subject == f"reelflow: {account[0].label} on hold"
    assert f"Failed 3 times in a row: {EXPIRED}." in message.body
    assert "Campaigns send nothing more there" in message.body
    assert "`reelflow release`" in message.body


def test_accounts_that_one_cause_holds_are_told_in_one_message(ledger_on_each: Ledger, checked: Post) -> None:
    """A used-up plan hits every account."""
    for n in range(HOLD_AFTER):
        settle(ledger_on_each, checked(f"post {n}"), PostState.REFUSED, "Post limit reached (LIMIT)")

    (group,) = alarms(ledger_on_each)

    assert message_of(group).subject == "reelflow: 3 accounts on hold"


def test_failures_that_are_recorded_at_once_are_all_counted(url: str, checked: Post) -> None:
    """Several programs on several machines: none of them overlooks another, and one alarm is recorded."""
    account = checked().accounts[:1]
    with closing(Ledger(url)) as first:
        first.on_hold()  # opens it

        def fail(n: int) -> None:
            with closing(Ledger(url)) as ledger:
                settle(ledger, checked(f"post {n}", account))

        at_once(6, fail)

        assert [hold.streak.failures for hold in first.on_hold()] == [6]
        assert [len(group.alarms) for group in alarms(first)] == [1]


def test_a_hold_moves_with_the_ledger(ledger_on_each: Ledger, checked: Post, tmp_path: Path) -> None:
    """Else a move would release every account."""
    for n in range(HOLD_AFTER):
        settle(ledger_on_each, checked(f"post {n}", checked().accounts[:1]))
    held = ledger_on_each.on_hold()
    with closing(Ledger(f"sqlite:///{tmp_path / 'moved.db'}")) as moved:
        move_ledger(ledger_on_each, moved, commit=lambda: None)

        assert moved.on_hold() == held


def test_doctor_names_accounts_on_hold(ledger: Ledger, checked: Post) -> None:
    """As a warning, for as long as they are."""
    before = check_ledger(ledger)
    for n in range(HOLD_AFTER):
        settle(ledger, checked(f"post {n}", checked().accounts[:1]))

    found = check_ledger(ledger)

    assert (before.is_warning, found.ok, found.is_warning) == (False, True, True)
    assert f"1 account on hold after failures in a row: {checked().accounts[0].label}" in found.found


# In a campaign


class Campaign(campaigns.Campaign):
    """One whose posts are sent one after another, and watched."""

    def __init__(self, taisly: RateLimitedTaisly, *rows: PlanRow, **form: Any) -> None:
        super().__init__(taisly, *rows, **({"minutes_apart": 0} | form))

    def send(self, *which: Any, **more: Any) -> list[Carried]:
        carried = super().send(*which, **more)
        watch_posts(self.taisly, {send_id for each in carried for send_id in each.send_ids}, seconds=900)
        return carried


def rows_of(videos: Videos, *numbers: int, **changes: Any) -> list[PlanRow]:
    return [campaigns.row(number, videos(number), **({"when": NOW} | changes)) for number in numbers]


def disconnect(taisly: RateLimitedTaisly) -> None:
    """Let an account be known that Taisly does not have any more."""
    taisly.ledger.remember_accounts(taisly.key, [*taisly.connected_accounts(), GONE])


def fail_three(taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, reason: str = EXPIRED) -> None:
    """Three posts that Instagram does not publish."""
    sandbox.fail_next(platform="Instagram", reason=reason, times=3)
    Campaign(taisly, *rows_of(videos, 1, 2, 3)).send()


def test_what_an_account_on_hold_would_get_waits_and_the_others_go_on(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """A row for two accounts goes to the one that is not on hold; the other takes no slot."""
    fail_three(taisly, videos, sandbox)
    campaign = Campaign(taisly, *rows_of(videos, 4, when=None, accounts=("Instagram", "YouTube")))

    checked = campaign.check()
    campaign.send(checked)

    (held,) = checked.held
    assert (held.number, held.hold.account.platform) == (4, "Instagram")
    assert len(sandbox.posts[-1]["platforms"]) == 1
    kept = taisly.ledger.reservations(taisly.service, {draft.video.sha256 for draft in checked.drafts})
    assert [reservation.account.platform for reservation in kept] == ["YouTube"]


def test_released_it_goes_on(taisly: RateLimitedTaisly, videos: Videos, sandbox: Any) -> None:
    """The next run sends what waited; what failed only if a person asks for that."""
    fail_three(taisly, videos, sandbox)
    waiting = rows_of(videos, 1, 2, 3, 4, 5)
    held = Campaign(taisly, *waiting).check()
    released = Campaign(taisly, *waiting, release_accounts=["instagram"])

    checked = released.check()
    released.send(checked)
    failed = Campaign(taisly, *waiting, only="what failed")
    failed.send()

    assert ([h.number for h in held.held], held.posts) == ([4, 5], [])
    assert ([h.account.platform for h in checked.released], checked.held) == (["Instagram"], [])
    captions = sorted(post["caption"] for post in sandbox.posts)
    assert captions == sorted([f"caption {n}" for n in (1, 1, 2, 2, 3, 3, 4, 5)])


def test_a_check_releases_nothing(taisly: RateLimitedTaisly, videos: Videos, sandbox: Any) -> None:
    """It shows what would be sent then."""
    fail_three(taisly, videos, sandbox)

    checked = Campaign(taisly, *rows_of(videos, 4), release_accounts=["all"], dry_run=True).check()

    assert ([post.number for post in checked.posts], checked.held) == ([4], [])
    assert len(taisly.ledger.on_hold()) == 1


def test_a_name_that_cannot_be_released_is_wrong(taisly: RateLimitedTaisly, videos: Videos) -> None:
    """It would be ignored in silence else; one that is not on hold is no mistake."""
    checked = Campaign(taisly, *rows_of(videos, 4), release_accounts=["Nobody"]).check()
    not_held = Campaign(taisly, *rows_of(videos, 4), release_accounts=["YouTube"]).check()

    assert [(problem.number, problem.code) for problem in checked.problems] == [(0, "release")]
    assert (not_held.problems, not_held.released) == ([], [])


def test_an_account_that_is_refused_while_posts_are_sent_stops_at_once(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """At most those that were on their way go on: no more requests are spent on it. Other accounts get theirs."""
    disconnect(taisly)
    refused, fine = rows_of(videos, *range(1, 9), accounts=("Threads",)), rows_of(videos, 9, 10)

    carried = Campaign(taisly, *refused, *fine).send()

    held, tried = [c for c in carried if c.held], sandbox.requests("POST /api/private/post") - len(fine)
    assert HOLD_AFTER <= tried < HOLD_AFTER + SENDERS
    assert (len(held), {each.failure for each in carried}) == (len(refused) - tried, {""})
    assert all(hold.account == GONE for each in held for hold in each.held)
    assert all(not each.send_ids and not each.post.request.accounts for each in held)
    assert {post["caption"] for post in sandbox.posts} == {"caption 9", "caption 10"}


def test_a_hold_that_comes_before_the_upload_is_noticed(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, checked: Post
) -> None:
    """Posts may wait for an hour for the plan: each is looked at again, and goes to its other accounts only."""
    campaign = Campaign(taisly, *rows_of(videos, 4, accounts=("Instagram", "YouTube", "X")))
    plan, once = campaign.check(), [1]
    instagram = next(a for a in plan.posts[0].request.accounts if a.platform == "Instagram")

    def meanwhile() -> None:
        if once:
            once.pop()
            for n in range(HOLD_AFTER):
                send_id = taisly.ledger.claim(checked(f"o {n}", [instagram]), service=taisly.service, owner="o").send_id
                assert send_id
                taisly.ledger.begin(send_id, "o")
                taisly.ledger.settle(send_id, PostState.REFUSED, "No")
            raise NothingSent("Taisly cannot be reached.")

    (carried,) = campaign.send(plan, confirm=meanwhile)

    assert [hold.account for hold in carried.held] == [instagram]
    assert carried.failure == ""
    assert [len(post["platforms"]) for post in sandbox.posts] == [2]


def test_two_runs_at_once_hold_an_account_once(ledger_url: str, videos: Videos, sandbox: Any, clock: Clock) -> None:
    """Two plans for one account that Taisly refuses: both stop, and there is one alarm."""

    def ready(ledger: Ledger, *numbers: int) -> Callable[[], list[Carried]]:
        taisly = sandbox.rate_limited(ledger, clock)
        taisly.sleep = lambda seconds: time.sleep(min(seconds, 0.05))
        campaign = Campaign(taisly, *rows_of(videos, *numbers, accounts=("Threads",)))
        return partial(campaign.send, campaign.check())

    with closing(Ledger(ledger_url)) as one, closing(Ledger(ledger_url)) as other:
        disconnect(sandbox.rate_limited(one, clock))
        sends = [ready(one, *range(1, 7)), ready(other, *range(7, 13))]
        first, second = at_once(2, lambda n: sends[n]())
        assert [len(group.alarms) for group in alarms(one)] == [1]

    carried = [*first, *second]
    assert sandbox.requests("POST /api/private/post") < HOLD_AFTER + 2 * SENDERS
    assert all(bool(each.held) != bool(each.send_ids) for each in carried)
    assert len(carried) == 12


def test_a_scheduled_post_that_fails_days_later_counts(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """Whoever learns it: the campaign's run is long over."""
    clock.drive(sandbox)
    at = datetime.fromtimestamp(clock.now, UTC) + timedelta(hours=1)
    sandbox.fail_next(platform="Instagram", reason=EXPIRED, times=3)
    rows = [campaigns.row(n, videos(n), when=at + timedelta(hours=n)) for n in (1, 2, 3)]
    carried = Campaign(taisly, *rows).send()
    before = taisly.ledger.on_hold()
    clock.sleep(5 * 3600)

    watch_posts(taisly, {send_id for each in carried for send_id in each.send_ids}, seconds=900)

    assert (before, [hold.streak.failures for hold in taisly.ledger.on_hold()]) == ([], [3])


def test_a_post_that_is_out_at_an_account_on_hold_is_reported_as_it_is(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """Another run has sent it in the meantime: it is not on hold, and is not sent again."""
    first, second = (Campaign(taisly, *rows_of(videos, 4)) for _ in range(2))
    checked = second.check()
    first.send()
    fail_three(taisly, videos, sandbox)

    (carried,) = second.send(checked)

    assert (carried.held, len(carried.send_ids), carried.sent_now) == ((), 1, False)
    assert sandbox.requests("POST /api/private/post") == 4
