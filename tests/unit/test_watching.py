"""The one reader of the history against the real sandbox, with a clock that the test holds."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.clock import Clock

from reelflow.errors import Busy, NotAllowed, OutcomeUnknown
from reelflow.ledger import Ledger
from reelflow.posts.sending import send_post
from reelflow.posts.watching import WatchResult, read_outcomes, watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest

HISTORY = "GET /api/private/post/history"
Post = Callable[..., PostRequest]


@pytest.fixture
def sent(taisly: Any, checked: Post) -> Callable[..., list[str]]:
    """Send a post; its send ids."""

    def send(caption: str = "one", **changes: Any) -> list[str]:
        post = checked(caption, **changes)
        send_post(taisly, post)
        return sorted({s.id for _, s in taisly.ledger.outcomes(post, service=taisly.service)})

    return send


def _states(ledger: Ledger, ids: list[str]) -> list[PostState]:
    return [o.state for _, found in ledger.sends(ids) for o in found]


def _follow(taisly: Any, ids: list[str] | None, seconds: float = 1800) -> WatchResult:
    taisly.sleep.__self__.slept.clear()
    return watch_posts(taisly, ids, seconds=seconds)


def test_a_post_is_followed_to_its_outcomes(taisly: Any, ledger: Ledger, sent: Any, sandbox: Any) -> None:
    """News is told once, with links, and is on record."""
    sandbox.fail_next(platform="Instagram", reason="Too dark")
    ids = sent()

    followed = _follow(taisly, ids)

    told = {o.account.platform: (o.state, o.detail or o.link) for _, o in followed.news}
    assert told["Instagram"] == (PostState.FAILED, "Too dark")
    assert told["TikTok"][0] is PostState.SUCCESS
    assert told["TikTok"][1].startswith("https://")
    assert sorted(_states(ledger, ids)) == [PostState.FAILED, PostState.SUCCESS, PostState.SUCCESS]
    assert followed.trouble is None


def test_the_pauses_grow_to_two_minutes(taisly: Any, sent: Any, clock: Clock) -> None:
    """5 s, 8 s, 13 s … at most 30 looks an hour."""
    taisly.ledger.lease_seconds = 600  # the reader sends no heartbeat between its looks: each sleep is a pause
    ids = sent(scheduled_for=datetime.now(UTC) + timedelta(minutes=5))

    _follow(taisly, ids, seconds=3600)

    assert clock.slept[:3] == pytest.approx([5, 8, 12.8], abs=0.01)
    assert max(clock.slept) <= 120


def test_one_look_serves_every_post(sandbox: Any, taisly: Any, ledger: Ledger, sent: Any) -> None:
    """Twenty posts in flight cost no more reads than one."""
    ids = [i for n in range(20) for i in sent(str(n))]

    _follow(taisly, ids)

    assert set(_states(ledger, ids)) == {PostState.SUCCESS}
    assert sandbox.requests(HISTORY) <= 3


def test_a_second_run_takes_its_news_from_the_ledger(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, clock: Clock
) -> None:
    """While another run reads, this one does not; when the reader has gone, it takes over."""
    ids = sent()
    ledger.become_reader(taisly.key, "another run", 30)

    _follow(taisly, ids, seconds=20)

    assert sandbox.requests(HISTORY) == 0
    _follow(taisly, ids, seconds=60)
    assert set(_states(ledger, ids)) == {PostState.SUCCESS}


def test_a_reader_that_died_is_replaced_after_its_lease(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, clock: Clock
) -> None:
    """As soon as any dead run: nobody waits a minute for news that nobody reads."""
    ids = sent()
    ledger.become_reader(taisly.key, "killed", ledger.lease_seconds)
    before = clock.passed

    _follow(taisly, ids, seconds=300)

    assert set(_states(ledger, ids)) == {PostState.SUCCESS}
    assert clock.passed - before < ledger.lease_seconds + 40


def test_a_deadline_leaves_a_post_open(taisly: Any, ledger: Ledger, sent: Any, clock: Clock) -> None:
    """It is not failed: nobody has said so. A post for tomorrow is not even looked for."""
    ids = sent(scheduled_for=datetime.now(UTC) + timedelta(days=1))
    before = clock.passed

    followed = _follow(taisly, ids, seconds=60)

    assert set(_states(ledger, ids)) == {PostState.ACCEPTED}
    assert followed.trouble is None
    assert clock.passed - before == pytest.approx(60)


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("drop_before", {}),
        ("drop_after", {}),
        ("drop_mid_body", {}),
        ("garbage_after", {}),
        ("status_before", {"status": 502}),
        ("status_before", {"status": 503}),
        ("status_after", {"status": 500}),
    ],
)
def test_a_look_that_fails_is_tried_again(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, fault: str, more: dict
) -> None:
    """The post is out there all the same."""
    ids = sent()
    sandbox.order_fault(fault, "GET", "*/history", times=2, **more)

    followed = _follow(taisly, ids)

    assert set(_states(ledger, ids)) == {PostState.SUCCESS}
    assert followed.trouble is None


def test_a_429_is_waited_for_by_everybody(sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, clock: Clock) -> None:
    """As long as Taisly asks; no request of any run goes out before."""
    ids = sent()
    sandbox.order_fault("status_before", "GET", "*/history", status=429, seconds=333)

    _follow(taisly, ids)

    assert set(_states(ledger, ids)) == {PostState.SUCCESS}
    assert clock.passed >= 333
    assert sandbox.requests(HISTORY) <= 5


def test_a_revoked_key_ends_the_watch_and_not_the_post(sandbox: Any, taisly: Any, ledger: Ledger, sent: Any) -> None:
    """Looking on is of no use; the post is left open and the trouble named."""
    ids = sent()
    sandbox.world.data.keys = []

    followed = _follow(taisly, ids)

    assert set(_states(ledger, ids)) == {PostState.ACCEPTED}
    assert isinstance(followed.trouble, NotAllowed)


def test_pages_help_where_the_range_does_not(sandbox: Any, taisly: Any, ledger: Ledger, sent: Any) -> None:
    """The unit of the range is not documented; a post that it should have is looked for page by page."""
    ids = sent()
    for known in sandbox.world.data.posts:
        known.created = 0  # as if Taisly's clock or unit were quite another

    _follow(taisly, ids)

    assert set(_states(ledger, ids)) == {PostState.SUCCESS}


@pytest.mark.parametrize("offset", [-300, 300])
def test_a_clock_five_minutes_off_does_not_lose_a_post(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, offset: int
) -> None:
    """Ours and Taisly's may differ, either way."""
    sandbox.set_clock(offset)
    ids = sent()

    _follow(taisly, ids)

    assert set(_states(ledger, ids)) == {PostState.SUCCESS}
    assert sandbox.requests(HISTORY) <= 3


def test_trouble_never_raises(sandbox: Any, taisly: Any, sent: Any) -> None:
    """What a service does after the send cannot make the send look failed."""
    ids = sent()
    sandbox.order_fault("drop_after", "GET", "*/history", times=None)

    followed = _follow(taisly, ids, seconds=100)

    assert isinstance(followed.trouble, OutcomeUnknown)


def test_reading_leaves_the_plan_room_to_send(sandbox: Any, ledger: Ledger, clock: Clock, checked: Post) -> None:
    """On the smallest plan reading stops at 30 requests an hour, and a post can still be sent."""
    starter = sandbox.rate_limited(ledger, clock, plan="STARTER")
    post = checked(scheduled_for=datetime.now(UTC) + timedelta(minutes=1))
    send_post(starter, post)
    for _ in range(40):
        try:
            starter.history_page(1)
        except Busy:
            break

    assert sandbox.requests(HISTORY) == 29  # and one post
    with pytest.raises(Busy, match="No requests to Taisly are free"):
        read_outcomes(starter)
    send_post(starter, checked("another"))
    assert len(sandbox.posts) == 2


def test_a_key_that_cannot_be_asked_for_its_accounts_is_trouble_and_no_error(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any
) -> None:
    """A finisher on another machine, with Taisly away: it waits, says so, and leaves everything open."""
    ids = sent()
    sandbox.order_fault("drop_after", "GET", "*", times=None)

    followed = _follow(taisly, None, seconds=60)

    assert isinstance(followed.trouble, OutcomeUnknown)
    assert set(_states(ledger, ids)) == {PostState.ACCEPTED}


def test_posts_of_another_taisly_account_are_left_alone(sandbox: Any, taisly: Any, ledger: Ledger, sent: Any) -> None:
    """This key cannot see them, and so must not judge them."""
    ids = sent()
    only_x = taisly.choose_accounts(["X"])
    ledger.remember_accounts(taisly.key, only_x)

    _follow(taisly, None, seconds=60)

    assert sandbox.requests(HISTORY) == 0
    assert set(_states(ledger, ids)) == {PostState.ACCEPTED}


def test_a_post_that_joins_others_is_looked_for_with_them(sandbox: Any, taisly: Any, sent: Any, clock: Clock) -> None:
    """A look that is due soon is not put off for it, and none is added."""
    taisly.ledger.lease_seconds = 600
    ids = sent()
    taisly.ledger.plan_next_look(taisly.key, clock.now + 7, 5)

    _follow(taisly, ids, seconds=8)

    assert clock.slept[0] == pytest.approx(7, abs=0.01)
    assert sandbox.requests(HISTORY) == 1


def test_a_post_that_the_history_no_longer_shows_stays_open(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any
) -> None:
    """Looked for by time, and then on the newest three pages; one that is deleted in Taisly is never judged."""
    ids = sent()
    world = sandbox.world
    world.data.posts.clear()
    for n in range(40):
        world.add_post(sha256="s", file="f", caption=str(n), preview=0, accounts=[], scheduled=None).created = 0

    assert read_outcomes(taisly) == []

    assert set(_states(ledger, ids)) == {PostState.ACCEPTED}
    assert sandbox.requests(HISTORY) == 1 + 3
