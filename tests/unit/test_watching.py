"""The one reader of the history against the real sandbox, with a clock that the test holds."""

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from support.clock import Clock

from reelflow.errors import Busy, NotAllowed, OutcomeUnknown
from reelflow.ledger import Ledger
from reelflow.posts.sending import send_post
from reelflow.posts.watching import WatchResult, read_outcomes, watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, PostRequest
from reelflow.sandbox.catalog import API_KEY
from reelflow.taisly import TaislyClient
from reelflow.taisly.wire import ConnectedAccount, HistoryItem

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


def test_the_pauses_grow_to_two_minutes(taisly: Any, sent: Any, clock: Clock, sandbox: Any) -> None:
    """5 s, 8 s, 13 s … at most 30 looks an hour."""
    taisly.ledger.lease_seconds = 600  # the reader sends no heartbeat between its looks: each sleep is a pause
    ids = sent()
    sandbox.order_fault("status_before", "GET", "*/history", status=503, times=None)

    _follow(taisly, ids, seconds=3600)

    assert clock.slept[:3] == pytest.approx([5, 8, 12.8], abs=0.01)
    assert max(clock.slept) <= 120


def test_a_watch_that_others_wait_for_ends_early(taisly: Any, sent: Any, sandbox: Any, clock: Clock) -> None:
    """It asks at once, and then every 12 to 18 s; who reads the history later finds the outcomes."""
    asked = list[float]()
    sandbox.order_fault("status_before", "GET", "*/history", status=503, times=None)
    ids = sent()
    clock.slept.clear()

    def others_wait() -> bool:
        asked.append(sum(clock.slept))
        return len(asked) == 5

    watched = watch_posts(taisly, ids, seconds=1800, stop_early=others_wait)

    assert watched.stopped_early
    assert asked[0] == 0
    assert all(after - before >= 12 for before, after in itertools.pairwise(asked))
    assert sum(clock.slept) < 150
    assert {state.in_flight for state in _states(taisly.ledger, ids)} == {True}
    sandbox.clear_faults()
    _follow(taisly, None)
    assert set(_states(taisly.ledger, ids)) == {PostState.SUCCESS}


def test_whoever_finishes_posts_finds_the_outcomes_of_all_that_were_handed_over(
    taisly: Any, ledger: Ledger, sent: Any, sandbox: Any
) -> None:
    """However many, with few reads of the history; what failed is an alarm."""
    sandbox.fail_next(platform="Instagram", reason="Too dark")
    ids = [i for n in range(60) for i in sent(str(n))]
    before = sandbox.requests(HISTORY)

    finished = _follow(taisly, None, seconds=120)

    states = Counter(_states(ledger, ids))
    assert states == {PostState.SUCCESS: 3 * 60 - 1, PostState.FAILED: 1}
    assert len(finished.news) == 3 * 60
    assert sandbox.requests(HISTORY) - before <= 30  # what the smallest plan may use for checks in an hour
    assert [alarm.reason for group in ledger.claim_alarms() for alarm in group.alarms] == ["Too dark"]


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


def test_a_deadline_leaves_a_post_open(taisly: Any, ledger: Ledger, sent: Any, clock: Clock, sandbox: Any) -> None:
    """It is not failed: nobody has said so."""
    ids = sent()
    sandbox.order_fault("status_before", "GET", "*/history", status=503, times=None)
    before = clock.passed

    _follow(taisly, ids, seconds=60)

    assert set(_states(ledger, ids)) == {PostState.ACCEPTED}
    assert clock.passed - before == pytest.approx(60, abs=5)


@pytest.mark.parametrize("own", [True, False], ids=["its own run", "finishing"])
def test_a_scheduled_post_is_not_waited_for_before_its_time(
    taisly: Any, ledger: Ledger, sent: Any, clock: Clock, sandbox: Any, own: bool
) -> None:
    """Its run ends at once, and so does one that finishes open posts: no request is spent. At its time it is read."""
    ids = sent(scheduled_for=datetime.now(UTC) + timedelta(minutes=5))
    before = clock.passed

    early = _follow(taisly, ids if own else None, seconds=60)

    assert (clock.passed - before, sandbox.requests(HISTORY), early.news) == (0, 0, [])
    clock.sleep(330)
    sandbox.advance_clock(330)
    assert [o.state for _, o in _follow(taisly, None, seconds=60).news] == [PostState.SUCCESS] * 3


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


def test_a_429_is_waited_for_by_everybody(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, clock: Clock, engine_log: pytest.LogCaptureFixture
) -> None:
    """As long as Taisly asks; no request of any run goes out before. Each pause is logged once."""
    ids = sent()
    sandbox.order_fault("status_before", "GET", "*/history", status=429, seconds=333, times=2)

    _follow(taisly, ids)

    assert set(_states(ledger, ids)) == {PostState.SUCCESS}
    assert clock.passed >= 666
    assert sandbox.requests(HISTORY) <= 5
    assert engine_log.text.count("Taisly's history cannot be read for now") == 2


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
    with pytest.raises(Busy, match="The 30 requests an hour that may be used for checks are used up"):
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
    ledger.remember_accounts(taisly.key, [Account(id="of another one", platform="X")])

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


def test_pages_are_searched_back_to_the_time_of_the_post(sandbox: Any, taisly: Any, ledger: Ledger, sent: Any) -> None:
    """Where the range shows nothing at all; no further, since every page is a request."""
    ids = sent()
    world = sandbox.world
    world.data.posts.clear()
    for n in range(40):
        world.add_post(sha256="s", file="f", caption=str(n), preview=0, accounts=[], scheduled=None).created = 1

    assert read_outcomes(taisly) == []

    assert set(_states(ledger, ids)) == {PostState.ACCEPTED}
    assert sandbox.requests(HISTORY) == 1 + 1


def test_a_post_that_was_deleted_at_taisly_is_left_to_a_person_after_an_hour(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any
) -> None:
    """It does not stay open for ever, it is told, and looking for it costs two requests a look at most."""
    ids = sent()
    sandbox.world.data.posts.clear()

    assert _follow(taisly, ids, seconds=3000).news == []
    assert set(_states(ledger, ids)) == {PostState.ACCEPTED}
    followed = _follow(taisly, ids, seconds=3600)

    assert [o.state for _, o in followed.news] == [PostState.UNCONFIRMED] * 3
    assert set(_states(ledger, ids)) == {PostState.UNCONFIRMED}
    assert followed.news[0][1].detail == "Taisly accepted the post, but its history no longer shows it"
    assert sandbox.requests(HISTORY) <= 2 * 45


def test_a_post_without_an_outcome_is_left_to_a_person_after_a_day(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, clock: Clock
) -> None:
    """Counted from the first look: a pause of two days in which nobody looked is no reason."""
    ids = sent()
    for destination in sandbox.world.data.posts[0].destinations:
        destination.reads_left = 10**9
    clock.sleep(2 * 86400)

    assert read_outcomes(taisly) == []
    clock.sleep(86400 + 1)

    assert {o.state for _, o in read_outcomes(taisly)} == {PostState.UNCONFIRMED}
    assert set(_states(ledger, ids)) == {PostState.UNCONFIRMED}


def test_an_account_that_was_disconnected_does_not_keep_a_post_open(
    sandbox: Any, taisly: Any, ledger: Ledger, checked: Post, clock: Clock
) -> None:
    """With one of its accounts left, a lost answer is looked for as usual; with none, a person is asked after a day."""
    post = checked()
    sandbox.order_fault("drop_after", "POST", "*/post", times=2)
    send_post(taisly, post)
    send_post(taisly, checked("alone", accounts=post.accounts[:1]))
    ledger.remember_accounts(taisly.key, post.accounts[1:])

    _follow(taisly, None, seconds=1800)
    lonely = checked("alone", accounts=post.accounts[:1])
    states = {o.state for o, _ in ledger.outcomes(post, service=taisly.service)}
    assert states == {PostState.SUCCESS}
    clock.sleep(86400)
    told = read_outcomes(taisly)

    assert [(o.state, o.account.id) for _, o in told] == [(PostState.UNCONFIRMED, post.accounts[0].id)]
    ((outcome, _),) = ledger.outcomes(lonely, service=taisly.service)
    assert "no longer connected" in outcome.detail


def test_a_post_of_a_key_that_is_no_longer_used_does_not_stay_open(
    taisly: Any, ledger: Ledger, checked: Post, clock: Clock
) -> None:
    """The block was deleted with its post still open; another key's checks leave it to a person after a week."""
    gone = Account(id="gone", platform="X")
    ledger.remember_accounts("the key of a deleted block", [gone])
    post = checked(accounts=[gone])
    send_id = ledger.claim(post, service=taisly.service, owner="o").send_id or ""
    ledger.begin(send_id, "o")
    ledger.seal(send_id, "o")
    ledger.answer_lost(send_id, "lost")

    states = []
    for _ in range(10):
        clock.sleep(86_400)
        read_outcomes(taisly)
        states += [o.state for o, _ in ledger.outcomes(post, service=taisly.service)]

    assert states[5] is PostState.SENDING
    assert states[-1] is PostState.UNCONFIRMED


def test_a_look_that_comes_late_does_not_give_up_what_another_has_found(
    sandbox: Any, taisly: Any, ledger: Ledger, checked: Post, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it read a stale history, another reader has adopted the post."""
    clock.drive(sandbox)
    post = checked()
    sandbox.order_fault("drop_after", "POST", "*/post")
    send_post(taisly, post)
    clock.sleep(700)
    ((_, send), *_) = ledger.outcomes(post, service=taisly.service)
    ledger.note_shown([], [send])
    clock.sleep(100)

    with monkeypatch.context() as patch:

        def read_stale(*_: object) -> list[HistoryItem]:
            patch.undo()
            read_outcomes(taisly)
            patch.setattr(taisly, "history_page", lambda page: [])
            return []

        patch.setattr(taisly, "history_between", read_stale)
        told = read_outcomes(taisly)

    assert PostState.UNCONFIRMED not in {o.state for _, o in told}
    assert {o.state for o, _ in ledger.outcomes(post, service=taisly.service)} == {PostState.ACCEPTED}


def test_an_account_without_a_name_is_still_one() -> None:
    """A null says no more than a field that is missing; another field may have the name."""
    account = ConnectedAccount.model_validate({"id": "a", "platform": "X", "displayName": None, "name": "mara"})

    assert account.display_name == "mara"


def test_a_clock_that_is_thousands_of_years_off_is_none(sandbox: Any) -> None:
    """Outcomes are read as from a service that tells no time."""
    date = "Fri, 31 Dec 9999 23:59:59 GMT"
    network = httpx.HTTPTransport()

    def answer(request: httpx.Request) -> httpx.Response:
        response = network.handle_request(request)
        response.read()
        return httpx.Response(200, headers={"Date": date}, content=response.content)

    with TaislyClient(API_KEY, sandbox.taisly_url, transport=httpx.MockTransport(answer)) as client:
        client.platforms()

        assert client.clock_ahead is None
    network.close()


def test_an_entry_that_cannot_be_read_costs_no_outcome(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, checked: Post, engine_log: pytest.LogCaptureFixture
) -> None:
    """No id, null, a result of nulls, a caption that is an object: skipped, counted and logged."""
    sandbox.style_history(odd_entries=True)
    ids = sent()
    sandbox.order_fault("drop_after", "POST", "*/post")
    ids += sent("two")

    _follow(taisly, ids)

    assert set(_states(ledger, ids)) == {PostState.SUCCESS}
    assert "4 entries without an ID" in engine_log.text


@pytest.mark.parametrize("status", [302, 403, 404, 408, 425])
def test_one_odd_answer_does_not_end_a_watch(sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, status: int) -> None:
    """A proxy or a captive portal answers for a moment; the post is out there all the same."""
    ids = sent()
    sandbox.order_fault("status_before", "GET", "*/history", status=status, times=2)

    _follow(taisly, ids)

    assert set(_states(ledger, ids)) == {PostState.SUCCESS}


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_a_clock_that_is_set_while_a_run_waits_neither_hangs_nor_ends_it(
    sandbox: Any, ledger_url: str, clock: Clock, checked: Post, jump: int
) -> None:
    """Two hours back or forward between two looks: the watch ends with its outcomes, within its own time."""
    wall = Clock()
    ledger = Ledger(ledger_url, clock=wall)
    taisly = sandbox.rate_limited(ledger, clock)
    post = checked()
    sandbox.style_history(stale_seconds=10**6)
    send_post(taisly, post)

    def pass_time(seconds: float) -> None:
        wall.now += seconds
        if clock.passed > 30 and len(clock.slept) % 1000 < 999 and not jumped:
            jumped.append(True)
            wall.now += jump
            sandbox.style_history()

    jumped: list[bool] = []
    clock.on_sleep = pass_time
    watch_posts(taisly, None, seconds=900)

    states = {o.state for o, _ in ledger.outcomes(post, service=taisly.service)}
    ledger.close()
    assert jumped
    assert states == {PostState.SUCCESS}
    assert clock.passed < 900


def test_one_look_at_a_bad_moment_ends_no_post(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, clock: Clock
) -> None:
    """After hours of watching, or of a pause, the history does not show it once: it is looked for again."""
    ids = sent()
    for destination in sandbox.world.data.posts[0].destinations:
        destination.reads_left = 5
    read_outcomes(taisly)
    clock.sleep(4200)
    sandbox.style_history(stale_seconds=10**6)
    sandbox.order_fault("drop_after", "POST", "*/post")
    ids += sent("lost")
    clock.sleep(4200)

    assert read_outcomes(taisly) == []
    sandbox.style_history()
    _follow(taisly, ids[:1])

    assert _states(ledger, ids[:1]) == [PostState.SUCCESS] * 3
    assert _states(ledger, ids[1:]) != [PostState.UNCONFIRMED] * 3


def test_the_posts_of_another_key_are_its_own_business(
    sandbox: Any, taisly: Any, ledger: Ledger, sent: Any, clock: Clock
) -> None:
    """Two Taisly accounts with one ledger: neither gives up the posts of the other."""
    ids = sent()
    ledger.remember_accounts("the other key", taisly.choose_accounts(["all"]))
    ledger.remember_accounts(taisly.key, [Account(id="mine", platform="X")])

    for _ in range(3):
        clock.sleep(86_400)
        assert read_outcomes(taisly) == []

    assert set(_states(ledger, ids)) == {PostState.ACCEPTED}
