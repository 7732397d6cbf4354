"""Sending when Taisly is busy, a person interrupts, or another run is at it: against the sandbox, with made time."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from support.clock import Clock
from support.early import EarlyAnswers
from support.journal import journal_of

from reelflow.errors import Busy, NothingSent
from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.sending import send_post
from reelflow.posts.watching import watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, PostRequest
from reelflow.sandbox.catalog import API_KEY
from reelflow.taisly import TaislyClient

Post = Callable[..., PostRequest]
POST = "/api/private/post"


@pytest.fixture
def through(sandbox: Any, ledger: Ledger, clock: Clock) -> Iterator[Callable[..., RateLimitedTaisly]]:
    """The sandbox's Taisly through another transport."""
    opened: list[TaislyClient] = []

    def over(transport: httpx.BaseTransport) -> RateLimitedTaisly:
        opened.append(client := TaislyClient(API_KEY, sandbox.taisly_url, transport=transport))
        return RateLimitedTaisly(
            client, ledger, api_key=API_KEY, service=sandbox.taisly_url, plan="PRO", sleep=clock.sleep
        )

    yield over
    for client in opened:
        client.close()


def _states(taisly: Any, post: PostRequest) -> Counter[PostState]:
    return Counter(o.state for o, _ in taisly.ledger.outcomes(post, service=taisly.service))


def _last_reason(taisly: Any, post: PostRequest) -> str:
    ((_, send), *_) = taisly.ledger.outcomes(post, service=taisly.service)
    return str(journal_of(taisly.ledger, send.id)[-1]["reason"])


def _answer(status: int, **body: Any) -> httpx.Response:
    return httpx.Response(status, json={"success": False, "error": "no", **body})


def test_a_429_before_the_upload_was_complete_is_waited_for(
    sandbox: Any, through: Any, checked: Post, clock: Clock
) -> None:
    """Nothing can be out, so the history is not asked."""
    taisly, post = through(EarlyAnswers(_answer(429, retryAfter=20))), checked()

    send_post(taisly, post)

    assert _states(taisly, post) == {PostState.ACCEPTED: 3}
    assert len(sandbox.posts) == 1
    assert clock.passed >= 20
    assert sandbox.requests("GET /api/private/post/history") == 0


def test_a_429_that_outlasts_the_runs_patience_frees_the_post(sandbox: Any, through: Any, checked: Post) -> None:
    taisly, post = through(EarlyAnswers(_answer(429, retryAfter=3600))), checked()

    with pytest.raises(Busy, match="retry in 60 minutes"):
        send_post(taisly, post, patience=60)

    assert _states(taisly, post) == {PostState.CLAIMED: 3}
    assert sandbox.posts == []


def test_a_429_after_the_whole_upload_that_outlasts_the_runs_patience_is_looked_for(
    sandbox: Any, taisly: Any, checked: Post, clock: Clock, engine_log: pytest.LogCaptureFixture
) -> None:
    """Taisly took the post all the same: it is not sent again, which the log says, and found after the rest."""
    clock.drive(sandbox)
    sandbox.order_fault("status_after", "POST", POST, status=429, seconds=3600)
    post = checked()

    send_post(taisly, post, patience=60)
    assert _states(taisly, post) == {PostState.SENDING: 3}
    assert "not send it again: that would take 60 minutes, longer than this run waits" in engine_log.text
    watch_posts(taisly, None, seconds=7200, grace=7200)

    assert _states(taisly, post) == {PostState.SUCCESS: 3}
    assert len(sandbox.posts) == 1


def test_a_429_is_not_repeated_while_the_history_cannot_be_read(
    sandbox: Any, taisly: Any, checked: Post, clock: Clock
) -> None:
    """Whether the post is out is told by a later look."""
    clock.drive(sandbox)
    sandbox.order_fault("status_after", "POST", POST, status=429, seconds=5)
    sandbox.order_fault("drop_after", "GET", "*/history", times=11)
    post = checked()

    send_post(taisly, post)
    assert "429, and the history does not settle it" in _last_reason(taisly, post)
    watch_posts(taisly, None, seconds=1800)

    assert _states(taisly, post) == {PostState.SUCCESS: 3}
    assert len(sandbox.posts) == 1


def test_a_429_is_not_repeated_while_the_history_has_several_posts_that_may_be_it(
    sandbox: Any, taisly: Any, checked: Post
) -> None:
    """It is left to a person, who is told how many."""
    sandbox.order_fault("status_before", "POST", POST, status=429, seconds=5)
    post = checked()
    for _ in range(2):
        sandbox.world.add_post(
            sha256="s", file="f", caption=post.caption, preview=0, accounts=[a.id for a in post.accounts],
            scheduled=None,
        )  # fmt: skip

    send_post(taisly, post)
    assert "429, and the history does not settle it" in _last_reason(taisly, post)
    watch_posts(taisly, None, seconds=1800)

    assert _states(taisly, post) == {PostState.UNCONFIRMED: 3}
    assert "shows 2 posts that could be it" in _last_reason(taisly, post)
    assert sandbox.requests(f"POST {POST}") == 1


def test_ctrl_c_while_the_answer_is_awaited_loses_nothing(
    sandbox: Any, taisly: Any, through: Any, checked: Post, clock: Clock
) -> None:
    """The upload had left: the next run finds its post."""

    def interrupted(request: httpx.Request) -> httpx.Response:
        httpx.post(str(request.url), content=request.content, headers=request.headers, trust_env=False)
        raise KeyboardInterrupt

    post = checked()

    with pytest.raises(KeyboardInterrupt):
        send_post(through(httpx.MockTransport(interrupted)), post)
    assert "answer lost: KeyboardInterrupt" in _last_reason(taisly, post)
    send_post(taisly, post)
    watch_posts(taisly, None, seconds=1800)

    assert _states(taisly, post) == {PostState.SUCCESS: 3}
    assert len(sandbox.posts) == 1


def test_a_run_that_waits_in_vain_for_another_one_sends_nothing(sandbox: Any, taisly: Any, checked: Post) -> None:
    post = checked()
    taisly.ledger.claim(post, service=taisly.service, owner="another run")

    with pytest.raises(NothingSent, match="Another run is still sending this post"):
        send_post(taisly, post, patience=-1)

    assert sandbox.posts == []


def test_an_account_connected_just_now_is_asked_for(sandbox: Any, taisly: Any, ledger: Ledger) -> None:
    """The list of the last ten minutes does not have it yet."""
    ledger.remember_accounts(taisly.key, [Account(id="a", platform="TikTok", name="old")])

    (chosen,) = taisly.choose_accounts(["YouTube"])

    assert chosen.platform == "YouTube"
    assert sandbox.requests("GET /api/private/platform/platforms") == 1
