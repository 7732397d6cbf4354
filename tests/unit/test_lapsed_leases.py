"""Runs whose lease lapsed (a suspended laptop, a ledger away, a clock that was set) and that come back later.

Whatever another run or a person has done meanwhile, they must send nothing beside it.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clock import Clock

from reelflow.errors import ClaimLost, DuplicatePost, LedgerUnavailable
from reelflow.ledger import Ledger, move_ledger
from reelflow.posts.cleanup import resolve_post
from reelflow.posts.form import ResolveForm
from reelflow.posts.sending import send_post
from reelflow.posts.watching import read_outcomes, watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest

Post = Callable[..., PostRequest]
POST = "/api/private/post"
SUSPENDED = 25.0
"""Seconds; longer than a lease."""


def _states(taisly: Any, post: PostRequest) -> set[PostState]:
    return {o.state for o, _ in taisly.ledger.outcomes(post, service=taisly.service)}


def _once(act: Callable[[], object]) -> Callable[..., None]:
    """Call `act` the first time only."""
    done: list[int] = []

    def call(*args: Any) -> None:
        if not done:
            done.append(1)
            act()

    return call


def test_a_post_that_another_run_adopts_during_the_wait_after_a_429_is_not_sent_again(
    sandbox: Any, taisly: Any, ledger: Ledger, checked: Post, clock: Clock
) -> None:
    """It was stored all the same; the watcher of another run has found it first."""
    clock.drive(sandbox)
    sandbox.order_fault("status_after", "POST", POST, status=429, seconds=5)
    sandbox.style_history(stale_seconds=30)
    post, go_on = checked(), clock.on_sleep

    def suspend_and_watch() -> None:
        clock.now += SUSPENDED
        read_outcomes(taisly)

    meddle = _once(suspend_and_watch)
    clock.on_sleep = lambda seconds: (go_on(seconds), meddle() if clock.passed > 40 else None)

    send_post(taisly, post)
    watch_posts(taisly, None, seconds=1800)

    assert _states(taisly, post) == {PostState.SUCCESS}
    assert sandbox.requests(f"POST {POST}") == 1


def test_a_post_that_a_person_resolves_during_the_wait_after_a_429_is_not_sent_again(
    sandbox: Any, taisly: Any, ledger: Ledger, checked: Post, clock: Clock
) -> None:
    """It was taken for unconfirmed while the run slept, and a person has seen it on the platform."""
    sandbox.order_fault("status_before", "POST", POST, status=429, seconds=5)
    post = checked()

    def suspend_and_resolve() -> None:
        clock.now += 7200
        for _ in range(2):
            read_outcomes(taisly)
            clock.now += 60
        ((_, send), *_) = ledger.outcomes(post, service=taisly.service)
        resolve_post(ledger, send.id, ResolveForm(send_id=send.id, answer="published"))

    clock.on_sleep = _once(suspend_and_resolve)

    send_post(taisly, post)

    assert _states(taisly, post) == {PostState.SUCCESS}
    assert sandbox.requests(f"POST {POST}") == 1


@pytest.mark.parametrize("by", [SUSPENDED, 7200], ids=["suspended", "clock set forward"])
def test_a_run_that_comes_back_sends_nothing_beside_one_with_a_corrected_caption(
    sandbox: Any, taisly: Any, checked: Post, clock: Clock, by: float
) -> None:
    """The corrected post has another key, so the first run's claim is taken away with it."""
    post = checked()

    def suspend_and_send_corrected() -> None:
        clock.now += by
        send_post(taisly, post.model_copy(update={"caption": "corrected"}))

    with pytest.raises(DuplicatePost, match="with the caption 'corrected'"):
        send_post(taisly, post, progress=_once(suspend_and_send_corrected))

    assert [p["caption"] for p in sandbox.posts] == ["corrected"]


def test_a_send_that_seals_while_a_watcher_takes_it_for_dead_is_not_released(
    sandbox: Any, taisly: Any, ledger: Ledger, checked: Post, clock: Clock
) -> None:
    """Its answer is lost, too: it is looked for, and not claimed by the next run."""
    post = checked()
    sandbox.order_fault("drop_after", "POST", POST)

    def suspend_until_taken_for_dead() -> None:
        clock.now += SUSPENDED

    send_post(taisly, post, progress=_once(suspend_until_taken_for_dead))
    ((_, send), *_) = ledger.outcomes(post, service=taisly.service)
    ledger.release_dead(send.id, "a watcher that looked before the seal")
    send_post(taisly, post)
    watch_posts(taisly, None, seconds=1800)

    assert _states(taisly, post) == {PostState.SUCCESS}
    assert sandbox.requests(f"POST {POST}") == 1


@pytest.mark.parametrize("settled", ["accepted", "released", "published"])
def test_nothing_is_begun_or_sealed_that_was_settled_meanwhile(
    ledger: Ledger, checked: Post, clock: Clock, settled: str
) -> None:
    """By a watcher or a person; whoever had the claim hears of it at its next step."""
    send_id = ledger.claim(checked(), service="s", owner="me").send_id
    assert send_id is not None
    ledger.begin(send_id, "me")
    clock.sleep(SUSPENDED)
    if settled == "accepted":
        ledger.accepted(send_id, "h1")
    elif settled == "released":
        ledger.release_dead(send_id, "no heartbeat")
    else:
        ledger.settle(send_id, PostState.UNCONFIRMED, "lost")
        ledger.settle(send_id, PostState.SUCCESS, "by a person")

    for step in (ledger.begin, ledger.seal, ledger.renew):
        with pytest.raises(ClaimLost):
            step(send_id, "me")
    with pytest.raises(ClaimLost):
        ledger.release_claim(send_id, "not sent", owner="me")


def test_a_seal_and_a_takeover_at_the_same_moment_do_not_both_succeed(url: str, checked: Post) -> None:
    """The takeover begins when the lease has lapsed; the seal of the one that comes back waits, and then fails."""
    clock = Clock()
    mine, other = Ledger(url, clock=clock), Ledger(url, clock=clock)
    post = checked()
    send_id = mine.claim(post, service="s", owner="me").send_id
    assert send_id is not None
    mine.begin(send_id, "me")
    clock.now += SUSPENDED
    sealed: list[bool] = []

    def seal() -> None:
        try:
            mine.seal(send_id, "me")
            sealed.append(True)
        except ClaimLost:
            sealed.append(False)

    thread = threading.Thread(target=seal)
    look = other._locked

    def look_and_let_the_other_try(*args: Any) -> Any:
        row = look(*args)
        thread.start()
        thread.join(0.5)
        return row

    other._locked = look_and_let_the_other_try  # type: ignore[method-assign]
    claim = other.claim(post.model_copy(update={"accounts": post.accounts[:1]}), service="s", owner="other")
    thread.join(60)
    assert not thread.is_alive()

    assert (claim.send_id is not None, sealed) == (True, [False])
    mine.close()
    other.close()


def test_a_dead_runs_claim_does_not_outlive_a_clock_that_was_set_back(
    sandbox: Any, taisly: Any, ledger: Ledger, checked: Post, clock: Clock
) -> None:
    """Its lease seems to end in two hours: the next run takes over all the same."""
    post = checked()
    ledger.claim(post, service=taisly.service, owner="killed")
    clock.now -= 2 * 3600

    send_post(taisly, post)

    assert len(sandbox.posts) == 1


@pytest.fixture
def elsewhere(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """Where a ledger is moved to."""
    found = Ledger(f"sqlite:///{tmp_path / 'elsewhere.db'}", clock=clock)
    yield found
    found.close()


def test_a_run_that_comes_back_after_a_move_sends_nothing(
    sandbox: Any, ledger_on_each: Ledger, elsewhere: Ledger, checked: Post, clock: Clock
) -> None:
    """Its lease had lapsed, so the ledger was moved; the next run has taken the post over in the new one."""
    post = checked()

    def suspend_and_move() -> None:
        clock.now += SUSPENDED
        move_ledger(ledger_on_each, elsewhere, commit=lambda: None)
        send_post(sandbox.rate_limited(elsewhere, clock), post)

    with pytest.raises(LedgerUnavailable, match=r"was replaced by .*elsewhere.db"):
        send_post(sandbox.rate_limited(ledger_on_each, clock), post, progress=_once(suspend_and_move))

    assert len(sandbox.posts) == 1


def test_nothing_is_begun_in_a_ledger_that_was_moved(
    ledger_on_each: Ledger, elsewhere: Ledger, checked: Post, clock: Clock
) -> None:
    """Whoever had the claim; what phones do is in test_phone_leases.py."""
    ledger = ledger_on_each
    send_id = ledger.claim(checked(), service="s", owner="me").send_id
    assert send_id is not None
    clock.sleep(SUSPENDED)
    move_ledger(ledger, elsewhere, commit=lambda: None)

    for step in (ledger.begin, ledger.renew):
        with pytest.raises(LedgerUnavailable, match="was replaced by"):
            step(send_id, "me")


def test_what_is_heard_of_a_post_after_a_move_is_recorded_and_said(
    sandbox: Any,
    ledger_on_each: Ledger,
    elsewhere: Ledger,
    checked: Post,
    clock: Clock,
    engine_log: pytest.LogCaptureFixture,
) -> None:
    """The post is out: its ID is not lost in silence, and the new ledger finds it in the history by itself."""
    clock.drive(sandbox)
    taisly, post = sandbox.rate_limited(ledger_on_each, clock), checked()
    create, ids = taisly.create_post, []

    def create_and_move(*args: Any, **kwargs: Any) -> Any:
        answer = create(*args, **kwargs)
        ids.append(answer.history_id)
        clock.sleep(SUSPENDED)
        move_ledger(ledger_on_each, elsewhere, commit=lambda: None)
        return answer

    taisly.create_post = create_and_move
    send_post(taisly, post)
    new = sandbox.rate_limited(elsewhere, clock)
    send_post(new, post)
    watch_posts(new, None, seconds=1800)

    assert _states(new, post) == {PostState.SUCCESS}
    assert _states(taisly, post) == {PostState.ACCEPTED}
    assert f"accepted by Taisly: history ID {ids[0]}" in engine_log.text
    assert "elsewhere.db, which finds the post in Taisly's history" in engine_log.text
    assert len(sandbox.posts) == 1
