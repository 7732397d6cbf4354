"""Two machines whose clocks are a minute apart, which is three leases, on one ledger."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.clock import RealClock
from support.race import at_once

from reelflow.errors import SentElsewhere
from reelflow.ledger import Ledger
from reelflow.posts.sending import send_post
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest
from tasks.upkeep.health import check_own_clock

Post = Callable[..., PostRequest]
POST = "/api/private/post"
APART = 60.0
POSTS = 8


class ApartClock(RealClock):
    """The world's own time, and so many seconds more or less."""

    def __init__(self, apart: float) -> None:
        super().__init__()
        self.apart = apart

    def __call__(self) -> float:
        return super().__call__() + self.apart


@pytest.fixture(params=[APART, -APART], ids=["ahead", "behind"])
def machines(url: str, sandbox: Any, request: pytest.FixtureRequest) -> Iterator[list[Any]]:
    """One whose clock is right, and one whose clock is not."""
    clocks = [RealClock(), ApartClock(request.param)]
    ledgers = [Ledger(url, clock=clock) for clock in clocks]
    yield [sandbox.rate_limited(ledger, clock) for ledger, clock in zip(ledgers, clocks, strict=True)]
    for ledger in ledgers:
        ledger.close()


def _states(taisly: Any, post: PostRequest) -> set[PostState]:
    return {outcome.state for outcome, _ in taisly.ledger.outcomes(post, service=taisly.service)}


def test_both_send_the_same_posts_at_once(machines: list[Any], sandbox: Any, checked: Post) -> None:
    """Each takes the other's claims for dead, or waits for them; each post is out once all the same."""
    posts = [checked(f"post {number}") for number in range(POSTS)]
    sandbox.order_fault("slow", "POST", POST, seconds=0.2, times=POSTS)

    def send_all(number: int) -> None:
        for post in posts if number else reversed(posts):
            send_post(machines[number], post)

    at_once(2, send_all)

    assert Counter(post["caption"] for post in sandbox.posts) == Counter(post.caption for post in posts)
    assert [_states(machines[0], post) for post in posts] == [{PostState.ACCEPTED}] * POSTS


@pytest.mark.parametrize("first", [0, 1], ids=["the right one", "the wrong one"])
def test_one_begins_in_the_middle_of_the_others_upload(
    machines: list[Any], sandbox: Any, checked: Post, first: int
) -> None:
    """Whoever loses the claim does not send the last piece of its upload."""
    post, begun = checked(), list[str]()

    def begin_too(*_: Any) -> None:
        if not begun:
            begun.append("once")
            try:
                send_post(machines[1 - first], post, patience=1)
                begun.append("sent")
            except SentElsewhere:
                begun.append("waited")

    send_post(machines[first], post, progress=begin_too)

    assert begun in (["once", "sent"], ["once", "waited"])
    assert len(sandbox.posts) == 1
    assert _states(machines[0], post) == {PostState.ACCEPTED}


def test_a_clock_that_is_not_that_of_the_database_is_a_failed_check(machines: list[Any], url: str) -> None:
    """With by how much, and what to do. A file has no clock of its own."""
    found = [each for machine in machines for each in check_own_clock(machine.ledger)]

    if url.startswith("sqlite"):
        assert found == []
        return
    right, wrong = found
    assert (right.ok, right.is_warning, wrong.ok) == (True, False, False)
    assert "60 s" in wrong.found
    assert "Synchronise the clocks of all machines with NTP." in wrong.found


@pytest.mark.parametrize(("ahead", "ok", "warning"), [(1, True, False), (-8, True, True), (90, False, False)])
def test_the_clock_of_the_prefect_server_is_compared_too(ledger: Ledger, ahead: float, ok: bool, warning: bool) -> None:
    """A few seconds are a warning; longer than a lease is a failed check."""
    (found,) = check_own_clock(ledger, ahead)

    assert (found.ok, found.is_warning) == (ok, warning)
    assert ("Prefect server" in found.found) is True
