"""The side doors to a second post: against the sandbox, with histories and answers that mislead."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from support.clock import Clock

from reelflow.ledger import Ledger
from reelflow.posts.sending import send_post
from reelflow.posts.watching import watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest

Post = Callable[..., PostRequest]
POST = "/api/private/post"
CAPTION = "Bread & salt\nfrom the baker's own oven, every day  "


def _states(taisly: Any, post: PostRequest) -> Counter[PostState]:
    return Counter(o.state for o, _ in taisly.ledger.outcomes(post, service=taisly.service))


MISLEADING: dict[str, dict[str, Any]] = {
    "as it is": {},
    "three minutes stale": {"stale_seconds": 180},
    "captions trimmed": {"caption": "trimmed"},
    "captions with other line ends": {"caption": "crlf"},
    "captions escaped": {"caption": "escaped"},
    "captions cut": {"caption": "cut"},
    "no captions": {"caption": "none"},
    "no results": {"without": ["result"]},
    "no platforms": {"without": ["platforms"]},
    "no results and platforms": {"without": ["result", "platforms"]},
    "no dates": {"without": ["date"]},
    "only documented fields": {"without": ["date", "description", "platforms", "scheduled"]},
    "entries that cannot be read": {"odd_entries": True},
}


@pytest.mark.parametrize(
    ("style", "offset"), list(zip(MISLEADING.values(), itertools.cycle([1800, 0, -1800]), strict=False)), ids=MISLEADING
)
def test_a_429_after_the_post_was_stored_is_not_sent_again(
    sandbox: Any, taisly: Any, checked: Post, clock: Clock, style: dict, offset: int
) -> None:
    """Whatever the history does to the post, and half an hour off: one post, known to be out or left to a person."""
    clock.drive(sandbox, ahead=offset)
    sandbox.style_history(**style)
    sandbox.order_fault("status_after", "POST", POST, status=429, seconds=5)
    post = checked(CAPTION)

    send_post(taisly, post)
    watch_posts(taisly, None, seconds=700)

    assert sandbox.requests(f"POST {POST}") == 1
    without = style.get("without", ())
    known = PostState.ACCEPTED if "result" in without else PostState.SUCCESS
    assert _states(taisly, post) == {PostState.UNCONFIRMED if "date" in without else known: 3}


def test_a_429_after_the_whole_upload_is_sent_again_only_after_the_grace_period(
    sandbox: Any, taisly: Any, checked: Post, clock: Clock
) -> None:
    """Nothing was stored, and a readable history has nothing that may be it: once more, ten minutes later."""
    sandbox.order_fault("status_before", "POST", POST, status=429, seconds=5)
    post = checked()

    send_post(taisly, post)

    assert clock.passed >= 600
    assert _states(taisly, post) == {PostState.ACCEPTED: 3}
    assert len(sandbox.posts) == 1


@pytest.mark.parametrize(
    "status", [302, 403, 404, 408, 409, 425, 429, 500, 502, 503, "refusal_with_id", "garbage_after"]
)
def test_an_answer_that_only_looks_like_a_refusal_is_looked_for(
    sandbox: Any, taisly: Any, checked: Post, status: int | str
) -> None:
    """The post was stored: the next run with the same parameters does not send it again."""
    fault = {"fault": status} if isinstance(status, str) else {"fault": "status_after", "status": status}
    sandbox.order_fault(method="POST", path=POST, **fault)
    post = checked()

    send_post(taisly, post)
    send_post(taisly, post)
    watch_posts(taisly, None, seconds=1800)

    assert sandbox.requests(f"POST {POST}") == 1
    assert _states(taisly, post) == {PostState.SUCCESS: 3}


@pytest.mark.parametrize("seconds_before", [20, 120])
def test_a_twin_that_somebody_made_by_hand_is_not_taken_for_ours(
    sandbox: Any, taisly: Any, ledger: Ledger, checked: Post, clock: Clock, seconds_before: int
) -> None:
    """The same caption and accounts, made just before; ours was never stored: a person is asked."""
    clock.drive(sandbox, ahead=1800)
    post = checked()
    twin = sandbox.world.add_post(
        sha256="s", file="f", caption=post.caption, preview=0, accounts=[a.id for a in post.accounts], scheduled=None
    )
    twin.created -= seconds_before * 1000
    sandbox.order_fault("status_before", "POST", POST, status=502)

    send_post(taisly, post)
    watch_posts(taisly, None, seconds=1800)

    assert _states(taisly, post) == {PostState.UNCONFIRMED: 3}
    ((outcome, send), *_) = ledger.outcomes(post, service=taisly.service)
    assert send.history_id is None
    assert "shows 1 post that could be it" in outcome.detail
