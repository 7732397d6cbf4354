"""A ledger that is new, emptied or older than it was looks into the history before its first sends."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.clock import Clock

from reelflow.errors import DuplicatePost, ServiceError
from reelflow.ledger import Ledger
from reelflow.posts.looking_back import check_found, look_back
from reelflow.posts.sending import send_post
from reelflow.records.posts import DAY, PostRequest

Post = Callable[..., PostRequest]
HISTORY = "GET /api/private/post/history"
CAPTION = "Bread & salt\nfrom the baker's own oven"


@pytest.fixture
def lost(sandbox: Any, ledger_url: str, clock: Clock, checked: Post) -> PostRequest:
    """A post that was sent from another ledger."""
    clock.drive(sandbox)
    other = Ledger(ledger_url.replace("ledger.db", "other.db"), clock=clock)
    post = checked(CAPTION)
    send_post(sandbox.rate_limited(other, clock), post)
    other.close()
    return post


def _check(taisly: Any, post: PostRequest) -> None:
    look_back(taisly, DAY)
    check_found(taisly.ledger, post, service=taisly.service)


@pytest.mark.parametrize(
    "style",
    [
        {},
        {"caption": "trimmed"},
        {"caption": "crlf"},
        {"caption": "escaped"},
        {"caption": "cut"},
        {"without": ["platforms"]},
        {"without": ["result"]},
        {"without": ["date"]},
        {"without": ["platforms", "result", "date"]},
        {"odd_entries": True},
    ],
    ids=str,
)
def test_what_another_ledger_has_sent_is_refused(sandbox: Any, taisly: Any, lost: PostRequest, style: dict) -> None:
    """However the history shows it: with what was found where, and the way on."""
    sandbox.style_history(**style)
    taisly.ledger.require_look_back()

    with pytest.raises(DuplicatePost, match="Taisly's history has a post with the same caption on TikTok") as caught:
        _check(taisly, lost)

    assert "which this ledger does not know" in str(caught.value)
    assert "'Send again on purpose' to 1" in str(caught.value)
    check_found(taisly.ledger, lost.model_copy(update={"repeat": 1}), service=taisly.service)


def test_it_looks_once_and_only_if_it_has_to(
    sandbox: Any, taisly: Any, lost: PostRequest, engine_log: pytest.LogCaptureFixture
) -> None:
    """One request for each key, and the log says what it found; a ledger that knows everything asks nothing."""
    look_back(taisly, DAY)
    assert sandbox.requests(HISTORY) == 0
    taisly.ledger.require_look_back()

    look_back(taisly, DAY)
    look_back(taisly, DAY)

    assert sandbox.requests(HISTORY) == 1
    assert "It shows 1 post that this ledger does not know." in engine_log.text
    assert taisly.ledger.requests_in_last_hour(taisly.key) == 1
    assert not taisly.ledger.identity().is_looking_back


def test_other_posts_are_not_refused(taisly: Any, lost: PostRequest, checked: Post, clock: Clock) -> None:
    """Another caption, no caption, another account, and the same caption a day later."""
    three = lost.accounts
    taisly.ledger.require_look_back()
    sent = checked("sent from here", accounts=three[:1])

    _check(taisly, checked("another"))
    _check(taisly, checked(""))
    send_post(taisly, sent)
    _check(taisly, sent)
    other = three[0].model_copy(update={"id": "f" * 24, "name": "@other"})
    _check(taisly, checked(CAPTION, accounts=[other]))
    clock.sleep(DAY + 60)
    _check(taisly, lost)


def test_what_is_scheduled_is_found(sandbox: Any, taisly: Any, clock: Clock, ledger_url: str, checked: Post) -> None:
    """However far in the future: a post for the same time is refused, one a month before is not."""
    clock.drive(sandbox)
    due = datetime.fromtimestamp(clock.now, UTC) + timedelta(days=30)
    other = Ledger(ledger_url.replace("ledger.db", "other.db"), clock=clock)
    post = checked(CAPTION, scheduled_for=due)
    send_post(sandbox.rate_limited(other, clock), post)
    other.close()
    taisly.ledger.require_look_back()

    _check(taisly, checked(CAPTION))
    with pytest.raises(DuplicatePost, match=f"{due:%Y-%m-%d %H:%M} UTC"):
        _check(taisly, post)


def test_nothing_is_sent_while_the_history_cannot_be_read(sandbox: Any, taisly: Any, lost: PostRequest) -> None:
    """The next run looks again."""
    taisly.ledger.require_look_back()
    sandbox.order_fault("status_before", "GET", "*/history", status=503)

    with pytest.raises(ServiceError):
        look_back(taisly, DAY)

    assert taisly.ledger.has_to_look_back(taisly.key)
