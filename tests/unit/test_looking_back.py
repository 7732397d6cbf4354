"""A ledger that is new, emptied or older than it was looks into the history before its first sends."""

import contextlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from support.clock import Clock

from reelflow.errors import DuplicatePost, ServiceError
from reelflow.ledger import Ledger
from reelflow.posts.looking_back import MOST_PAGES, check_found, look_back
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.sending import send_post
from reelflow.records.posts import PostRequest
from reelflow.sandbox.catalog import ACCOUNTS, API_KEY
from reelflow.taisly import TaislyClient
from reelflow.time_zones import DAY, shown

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
    with pytest.raises(DuplicatePost, match=re.escape(shown(due))):
        _check(taisly, post)


def test_nothing_is_sent_while_the_history_cannot_be_read(sandbox: Any, taisly: Any, lost: PostRequest) -> None:
    """The next run looks again."""
    taisly.ledger.require_look_back()
    sandbox.order_fault("status_before", "GET", "*/history", status=503)

    with pytest.raises(ServiceError):
        look_back(taisly, DAY)

    assert taisly.ledger.has_to_look_back(taisly.key)


def _add_posts(sandbox: Any, number: int) -> None:
    """Posts that somebody made by hand, the newest of all."""
    for n in range(number):
        sandbox.world.add_post(
            sha256="s", file="f", caption=f"by hand {n}", preview=0, accounts=[ACCOUNTS[-1]["id"]], scheduled=None
        )


@pytest.mark.parametrize("newer", [9, 10, 25])
def test_a_service_that_ignores_the_range_is_read_page_by_page(
    sandbox: Any, taisly: Any, lost: PostRequest, clock: Clock, newer: int
) -> None:
    """Its answer looks as if there were ten posts; back to the time that is asked for, and no further."""
    clock.now += 2 * DAY
    clock.drive(sandbox)
    _add_posts(sandbox, 30)
    clock.sleep(DAY - 3600)
    _add_posts(sandbox, newer)
    sandbox.style_history(ignores_range=True)
    taisly.ledger.require_look_back()

    look_back(taisly, DAY)

    assert len(taisly.ledger.found_posts(taisly.service)) >= 30 + newer
    assert sandbox.requests(HISTORY) <= 2 + (30 + newer) // 10
    assert not taisly.ledger.has_to_look_back(taisly.key)
    check_found(taisly.ledger, lost, service=taisly.service)


@pytest.mark.parametrize("pages", ["all different", "all the same"])
def test_a_history_that_has_no_end_is_not_said_to_be_read(
    sandbox: Any, taisly: Any, lost: PostRequest, engine_log: pytest.LogCaptureFixture, pages: str
) -> None:
    """Nothing is sent then, unless it is on purpose; and the next run reads again."""
    _add_posts(sandbox, MOST_PAGES * 10)
    sandbox.style_history(ignores_range=True)
    taisly.ledger.require_look_back()
    if pages == "all the same":
        read = taisly.history_page
        taisly.history_page = lambda page, *more: read(1, *more)

    with pytest.raises(DuplicatePost, match=r"cannot be read far enough back.*'Send again on purpose' to 1"):
        look_back(taisly, DAY)

    assert sandbox.requests(HISTORY) == (1 + MOST_PAGES if pages == "all different" else 3)
    assert taisly.ledger.has_to_look_back(taisly.key)
    assert "was read" not in engine_log.text


def test_it_looks_back_although_the_same_video_is_never_refused(
    sandbox: Any, taisly: Any, clock: Clock, ledger_url: str, checked: Post, lost: PostRequest
) -> None:
    """The same post is one post however the block is set: what is out, and what is scheduled."""
    due = datetime.fromtimestamp(clock.now, UTC) + timedelta(days=30)
    later = checked("later", scheduled_for=due, duplicate_seconds=0)
    other = Ledger(ledger_url.replace("ledger.db", "third.db"), clock=clock)
    send_post(sandbox.rate_limited(other, clock), later)
    other.close()
    taisly.ledger.require_look_back()

    look_back(taisly, 0)

    for post in (later, lost.model_copy(update={"duplicate_seconds": 0})):
        with pytest.raises(DuplicatePost, match="Taisly's history has a post with the same caption"):
            check_found(taisly.ledger, post, service=taisly.service)


def test_a_clock_that_is_known_only_after_the_first_answer_is_followed(
    sandbox: Any, taisly: Any, lost: PostRequest, clock: Clock
) -> None:
    """This machine's is 20 hours ahead: the range that was asked for first was too short."""
    _add_posts(sandbox, 3)
    sandbox.world.data.posts[0].created -= 8 * 3600 * 1000
    clock.now += 20 * 3600
    taisly.ledger.require_look_back()

    with pytest.raises(DuplicatePost, match="Taisly's history has a post with the same caption"):
        _check(taisly, lost)


@pytest.mark.parametrize(
    "date",
    ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"],
)
@pytest.mark.parametrize("created", [None, 253402300799000, -62135596800000, 1])
def test_dates_that_make_no_sense_are_no_error(
    sandbox: Any, taisly: Any, lost: PostRequest, clock: Clock, date: str, created: int | None
) -> None:
    """Neither the service's clock nor a post's time; a post that may be the same is still refused."""
    network = httpx.HTTPTransport()

    def answer(request: httpx.Request) -> httpx.Response:
        found = network.handle_request(request)
        body = [found.read(), found.json()][1]
        for item in body["data"]:
            item.update({} if created is None else {"date": created, "scheduled": created})
        return httpx.Response(found.status_code, json=body, headers={"Date": date})

    by_way = httpx.MockTransport(answer)
    with network, TaislyClient(API_KEY, sandbox.taisly_url, transport=by_way, clock=clock) as client:
        odd = RateLimitedTaisly(
            client, taisly.ledger, api_key=API_KEY, service=sandbox.taisly_url, plan="PRO", sleep=clock.sleep
        )
        for _ in range(2):  # the second time its clock is known
            odd.ledger.require_look_back()
            look_back(odd, DAY)
        for due in (None, datetime(9999, 12, 31, tzinfo=UTC)):
            with contextlib.suppress(DuplicatePost):
                check_found(odd.ledger, lost.model_copy(update={"scheduled_for": due}), service=odd.service)
        with pytest.raises(DuplicatePost):
            check_found(odd.ledger, lost, service=odd.service)
