"""The requests of Taisly's plan: one queue for all runs, and a key that has to rest."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.clock import Clock
from support.quota import take
from support.race import at_once

from blocks import TaislyAccount
from reelflow.errors import Busy
from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.sending import send_post
from reelflow.records.posts import PostRequest
from reelflow.sandbox.catalog import API_KEY
from reelflow.taisly import TaislyClient
from tasks.upkeep.health import check_block

Post = Callable[..., PostRequest]
PLATFORMS = "GET /api/private/platform/platforms"


@pytest.fixture
def starter(sandbox: Any, ledger: Ledger, clock: Clock) -> RateLimitedTaisly:
    """Taisly on the plan with 50 requests an hour."""
    clock.drive(sandbox)
    sandbox.world.plan = "STARTER"
    return sandbox.rate_limited(ledger, clock, plan="STARTER")


def _use_up(taisly: RateLimitedTaisly, requests: int, clock: Clock, *, every: float = 0) -> None:
    for _ in range(requests):
        assert take(taisly.ledger, taisly.key, taisly.per_hour).ticket
        clock.sleep(every)


def test_room_is_given_in_the_order_of_asking(ledger: Ledger, clock: Clock) -> None:
    """Not to whoever happens to ask when some becomes free; who does not ask any more loses its place."""
    for _ in range(3):
        take(ledger, "k", 3)
        clock.sleep(10)
    waiting = ["first", "dead", "third"]
    for waiter in waiting:
        assert not take(ledger, "k", 3, waiter=waiter, patience=7200).ticket

    served = []
    for _ in range(400):
        clock.sleep(10)
        for waiter in ("third", "late", "first"):
            if waiter not in served and take(ledger, "k", 3, waiter=waiter, patience=7200).ticket:
                served.append(waiter)

    assert served == ["first", "third", "late"]


def test_the_wait_that_is_named_counts_those_who_asked_before(ledger: Ledger, clock: Clock) -> None:
    """Each has to wait for a request of its own to fall out of the hour."""
    for _ in range(3):
        take(ledger, "k", 3)
        clock.sleep(100)

    waits = [take(ledger, "k", 3, waiter=str(n), patience=7200).wait for n in range(3)]

    assert waits == pytest.approx([3360, 3460, 3560])


def test_a_run_that_cannot_fit_its_patience_says_at_once_when_it_would(
    starter: RateLimitedTaisly, clock: Clock
) -> None:
    """It does not wait first, and keeps no place in the queue."""
    _use_up(starter, 50, clock)

    with pytest.raises(Busy, match=r"The plan's 50 requests an hour are used up; retry in 61 minutes"):
        starter.take_ticket("publish", 600)

    assert clock.slept[-1] == 0
    assert take(starter.ledger, starter.key, 50, waiter="next", patience=7200).wait == pytest.approx(3660)


def test_the_list_of_accounts_may_use_what_is_free_in_the_plan(starter: RateLimitedTaisly, clock: Clock) -> None:
    """30 of 50 are used: watching has to stop, and a publish does not."""
    _use_up(starter, 30, clock)

    assert starter.choose_accounts(["YouTube"])
    assert starter.copied_accounts() == []


def test_an_older_list_of_accounts_serves_while_the_plan_is_used_up(
    sandbox: Any, starter: RateLimitedTaisly, clock: Clock
) -> None:
    """Nothing about an account changes often; one that it does not have is waited for."""
    starter.choose_accounts(["YouTube"])
    starter.copied_accounts()
    clock.sleep(3000)
    _use_up(starter, 48, clock)

    assert starter.choose_accounts(["TikTok @mara.bakes"])
    assert starter.copied_accounts() == []
    with pytest.raises(Busy):
        starter.choose_accounts(["connected just now"])
    assert sandbox.requests(PLATFORMS) == 1


def test_eighty_posts_of_four_runs_all_go_out_on_the_smallest_plan(
    sandbox: Any, ledger_url: str, checked: Post
) -> None:
    """None is refused while it has the patience; the simulated hours pass for all four together."""
    sandbox.world.plan = "STARTER"
    clock = _SharedClock()
    clock.drive(sandbox)
    # Between two steps of one run the others' sleeps may take minutes: no lease may lapse by that.
    ledgers = [Ledger(ledger_url, clock=clock, lease_seconds=3000) for _ in range(4)]

    def publish(n: int) -> None:
        taisly = sandbox.rate_limited(ledgers[n], clock, plan="STARTER")
        for post in range(20):
            send_post(taisly, checked(f"{n}-{post}"), patience=4 * 3600)

    at_once(4, publish)

    for each in ledgers:
        each.close()
    assert len(sandbox.posts) == 80
    assert sandbox.requests("POST /api/private/post") == 80  # none was answered with 429


class _SharedClock(Clock):
    """A clock of several threads: each sleep moves it on by a part, so that none of them runs ahead of the others."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            super().sleep(seconds / 4)


@pytest.mark.parametrize("wait", [1e9, 1.7e12, "inf", "1e400", "-1e400", "nan", 10**400], ids=str)
def test_a_pause_that_makes_no_sense_does_not_block_the_key_for_good(
    ledger: Ledger, clock: Clock, sandbox: Any, wait: Any
) -> None:
    """30 years, without an end, or a moment in milliseconds: an hour at most, and the true reason is said."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, json={"success": False, "retryAfter": wait})

    client = TaislyClient(API_KEY, sandbox.taisly_url, transport=httpx.MockTransport(answer))
    service = {"api_key": API_KEY, "service": sandbox.taisly_url, "plan": "PRO"}
    with RateLimitedTaisly(client, ledger, sleep=clock.sleep, **service) as taisly:
        with pytest.raises(Busy):
            taisly.history_page(1)
        with pytest.raises(Busy, match=r"Taisly asked for a pause \(429\); retry in (60 minutes|1 minute|60 s)"):
            taisly.history_page(1)
        clock.sleep(3601)
        assert take(ledger, taisly.key, 50).ticket


def test_the_first_success_ends_a_pause(sandbox: Any, ledger: Ledger, clock: Clock) -> None:
    """A person's check asks in any case. One that was on its way before the pause does not end it."""
    taisly = sandbox.rate_limited(ledger, clock)
    early = ledger.count_request(taisly.key)
    clock.sleep(1)
    ledger.block_key(taisly.key, 3600)
    ledger.finish_request(early, succeeded=True)
    assert take(ledger, taisly.key, 50).is_paused
    clock.sleep(1)

    taisly.check_accounts()

    assert take(ledger, taisly.key, 50).ticket


def test_a_check_of_the_connection_counts_its_request(sandbox: Any, ledger: Ledger) -> None:
    """As Taisly counts it."""
    block = TaislyAccount(api_key=API_KEY, base_url=sandbox.taisly_url, plan="PRO")

    found = check_block(block, ledger)

    assert "1 of 1000 requests used in the last hour" in found


def test_a_clock_that_was_set_back_does_not_lock_the_plan(ledger: Ledger, clock: Clock) -> None:
    """Requests, pauses and the reader's lease of the time before count for an hour at most."""
    for _ in range(3):
        take(ledger, "k", 3)
    ledger.block_key("k", 3600)
    ledger.become_reader("k", "dead", 20)
    clock.now -= 2 * 3600

    assert ledger.become_reader("k", "me", 20)[0]
    assert take(ledger, "k", 3).wait <= 3660
    clock.sleep(3661)
    assert take(ledger, "k", 3).ticket


def test_watching_is_kept_a_few_requests_however_many_posts_are_in_line(
    starter: RateLimitedTaisly, clock: Clock
) -> None:
    """Two an hour on the smallest plan: the outcomes of what is out are read."""
    _ = [starter.take_ticket("publish", 0) for _ in range(48)]

    with pytest.raises(Busy):
        starter.take_ticket("publish", 0)

    assert starter.take_ticket("watch", 0)
    assert starter.take_ticket("watch", 0)
    with pytest.raises(Busy):
        starter.take_ticket("watch", 0)


def test_places_in_the_queue_from_before_the_clock_was_set_back_are_given_up(ledger: Ledger, clock: Clock) -> None:
    """Else they would stand in front of everybody for two hours."""
    take(ledger, "k", 1)
    for n in range(3):
        take(ledger, "k", 1, waiter=f"dead {n}", patience=7200)
    clock.now -= 2 * 3600
    assert take(ledger, "k", 1, waiter="me", patience=7200).wait <= 3660

    clock.sleep(3661)

    assert take(ledger, "k", 1, waiter="me", patience=7200).ticket
