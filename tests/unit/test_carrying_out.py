"""Posts of a campaign that meet something while others are sent."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from support.campaigns import AwayForSomeTime, Campaign, row
from support.clock import Clock

from reelflow.campaigns.carrying_out import OUTAGE_PAUSE, Carried, Carrier
from reelflow.campaigns.ledger_wait import PAUSES, WAIT_SECONDS
from reelflow.campaigns.placing import PostOptions
from reelflow.errors import LedgerReplaced, LedgerUnavailable
from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.sending import send_post
from reelflow.records.posts import Account, PostRequest
from reelflow.sandbox.catalog import API_KEY
from reelflow.taisly import TaislyClient

INSTAGRAM = Account(id="64f1c0de00000000000000b1", platform="Instagram", name="mara.bakes")
Videos = Callable[[int], Path]


def test_nothing_is_uploaded_once_the_run_was_stopped(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """Not by a post either that had its turn before, and waits since Taisly was busy."""
    rests, told, confirmed = threading.Event(), threading.Event(), list[int]()
    sandbox.order_fault("status_before", "POST", "/api/private/post", status=429, seconds=20)

    def sleep(seconds: float) -> None:
        rests.set()
        assert told.wait(30)
        clock.sleep(seconds)

    def confirm() -> None:
        confirmed.append(1)
        if len(confirmed) > 1:
            assert rests.wait(30)
            raise LedgerReplaced("Another ledger is used now.")

    def tell(place: int, parts: Sequence[Carried]) -> None:
        told.set()

    taisly.sleep = sleep
    carried = Campaign(taisly, row(1, videos(1)), row(2, videos(2))).send(confirm=confirm, on_carried=tell)

    assert [each.failure for each in carried] == ["Another ledger is used now."] * 2
    assert (sandbox.posts, sandbox.requests("POST /api/private/post")) == ([], 1)


def test_a_post_that_another_run_is_sending_stops_no_other(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """It is no outage either, which would be waited for."""
    campaign = Campaign(taisly, row(1, videos(1)), row(2, videos(2)))
    campaign.placer.options = PostOptions(patience=-1)
    posts, _ = campaign.placer.place(campaign.check().right_drafts(), dry_run=False)
    taisly.ledger.claim(posts[0].request, service=taisly.service, owner="another run")

    first, second = Carrier(taisly, campaign.placer).carry_out(posts)

    assert first.failure.startswith("Another run is still sending this post.")
    assert (second.failure, len(sandbox.posts), OUTAGE_PAUSE in clock.slept) == ("", 1, False)


def test_what_was_sent_is_reported_although_another_run_holds_the_rest(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """A part of the post is out, and is watched; only the other one was not sent."""
    campaign = Campaign(taisly, row(1, videos(1), accounts=("Instagram", "YouTube")), same_time=True)
    campaign.placer.options = PostOptions(patience=-1)
    (post,), _ = campaign.placer.place(campaign.check().right_drafts(), dry_run=False)
    only_one = post.request.model_copy(update={"accounts": post.request.accounts[:1]})
    taisly.ledger.claim(only_one, service=taisly.service, owner="another run")

    sent, left = Carrier(taisly, campaign.placer).carry_out([post])

    assert ([a.platform for a in sent.post.request.accounts], sent.failure, sent.sent_now) == (["YouTube"], "", True)
    assert len(sent.send_ids) == len(sandbox.posts) == 1
    assert [a.platform for a in left.post.request.accounts] == ["Instagram"]
    assert left.failure.startswith("Another run is still sending this post.")


def test_a_post_that_another_run_has_sent_in_its_slot_is_reported(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """Although that slot has passed when this run comes to it."""
    campaign = Campaign(taisly, row(1, videos(1)))
    posts, _ = campaign.placer.place(campaign.check().right_drafts(), dry_run=False)
    (sent,) = Carrier(taisly, campaign.placer).carry_out(posts)
    clock.now += 4 * 3600

    (carried,) = Carrier(taisly, campaign.placer).carry_out(posts)

    assert (carried.failure, carried.send_ids, carried.sent_now) == ("", sent.send_ids, False)
    assert len(sandbox.posts) == 1


def test_a_post_waits_for_the_ledger_that_gives_it_its_next_slot(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """Its own slot passed, and PostgreSQL restarts just when it is to take another one."""
    campaign = Campaign(taisly, row(1, videos(1)))
    posts, _ = campaign.placer.place(campaign.check().right_drafts(), dry_run=False)
    reserve, failures = taisly.ledger.reserve, iter([LedgerUnavailable("PostgreSQL is restarting.")])
    clock.now += 4 * 3600

    def restarting(*args: Any, **options: Any) -> Any:
        for failure in failures:
            raise failure
        return reserve(*args, **options)

    taisly.ledger.reserve = restarting  # type: ignore[method-assign]
    (carried,) = Carrier(taisly, campaign.placer).carry_out(posts)

    assert (carried.failure, len(sandbox.posts), clock.slept[0]) == ("", 1, WAIT_SECONDS / PAUSES)


def _never(*_: Any, **__: Any) -> None:
    raise LedgerUnavailable("PostgreSQL is restarting.")


def test_a_post_whose_lost_answer_cannot_be_recorded_is_not_said_to_be_unsent(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """It is out; its run watches it, and nobody is told to start it again."""
    sandbox.order_fault("drop_after", "POST", "/api/private/post")
    taisly.ledger.answer_lost = _never  # type: ignore[method-assign]

    carried = Campaign(taisly, row(1, videos(1))).send(flow_run="this run")

    assert [(each.failure, len(each.send_ids), each.sent_now) for each in carried] == [("", 1, True)]
    assert len(sandbox.posts) == 1


def test_a_post_that_may_be_out_is_not_said_to_be_unsent_while_the_ledger_stays_away(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """Nothing can be read of it, or recorded."""
    outcomes = taisly.ledger.outcomes
    sandbox.order_fault("drop_after", "POST", "/api/private/post")

    def goes_away(*_: Any, **__: Any) -> None:
        for name in ("claim", "claimable", "outcomes", "sends", "on_hold", "answer_lost"):
            setattr(taisly.ledger, name, _never)
        _never()

    taisly.ledger.answer_lost = goes_away  # type: ignore[method-assign]
    campaign = Campaign(taisly, row(1, videos(1)))
    carried = campaign.send(flow_run="this run")
    ((_, send),) = outcomes(carried[0].post.request, service=taisly.service)

    assert [(each.failure, each.send_ids, each.sent_now) for each in carried] == [("", {send.id}, True)]
    assert len(sandbox.posts) == 1


def test_a_post_that_may_be_out_is_not_said_to_be_unsent_if_the_run_ends_as_it_waits(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """Only the other one is, which ended the run."""
    waits, told, confirmed = threading.Event(), threading.Event(), itertools.count()
    sandbox.order_fault("drop_after", "POST", "/api/private/post")
    taisly.ledger.answer_lost = _never  # type: ignore[method-assign]

    def sleep(seconds: float) -> None:
        waits.set()
        assert told.wait(30)

    def confirm() -> None:
        if next(confirmed):
            assert waits.wait(30)
            raise LedgerReplaced("Another ledger is used now.")

    def tell(place: int, parts: Sequence[Carried]) -> None:
        told.set()

    taisly.sleep = sleep
    campaign = Campaign(taisly, row(1, videos(1)), row(2, videos(2)))
    carried = campaign.send(flow_run="this run", confirm=confirm, on_carried=tell)

    assert sorted((each.failure, len(each.send_ids)) for each in carried) == [
        ("", 1),
        ("Another ledger is used now.", 0),
    ]
    assert len(sandbox.posts) == 1


def test_a_row_without_accounts_asks_nobody(ledger: Ledger, clock: Clock, videos: Videos, sandbox: Any) -> None:
    """Taisly may be away: the row says what is wrong with it all the same."""
    away = httpx.MockTransport(_refuse)
    client = TaislyClient(API_KEY, sandbox.taisly_url, transport=away)
    with RateLimitedTaisly(
        client, ledger, api_key=API_KEY, service=sandbox.taisly_url, plan="PRO", sleep=clock.sleep
    ) as taisly:
        ledger.remember_accounts(taisly.key, [INSTAGRAM])
        checked = Campaign(taisly, row(1, videos(1)), accounts=[]).check()

    assert [(problem.number, problem.code) for problem in checked.problems] == [(1, "accounts")]


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("Connection refused")


def test_the_wait_for_its_turn_takes_no_patience_from_a_post(
    ledger: Ledger, clock: Clock, sandbox: Any, checked: Callable[..., PostRequest]
) -> None:
    """A Taisly that is away for a moment is waited for as long as the post was given, from its turn on."""
    client = TaislyClient(API_KEY, sandbox.taisly_url, transport=AwayForSomeTime(1))
    with RateLimitedTaisly(
        client, ledger, api_key=API_KEY, service=sandbox.taisly_url, plan="PRO", sleep=clock.sleep
    ) as taisly:
        # Between two tries are 2 s, for which the wait would leave no room; a busy machine has 3 s more for the rest.
        result = send_post(taisly, checked(), patience=5, on_claimed=lambda _: time.sleep(3.2))

    assert (result.sent_now, len(sandbox.posts)) == (True, 1)
