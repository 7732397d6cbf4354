"""The watcher against the real sandbox, with a clock that the test holds."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reelflow.errors import Busy, NotAllowed, OutcomeUnknown
from reelflow.models import SentPost
from reelflow.sandbox.world import ACCOUNTS
from reelflow.watching import BUSY_PAUSE, Looked, pauses, watch

TIKTOK, _, INSTAGRAM, *_ = [a["id"] for a in ACCOUNTS]


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def post(sandbox: Any, clip: Callable[[str], Path]) -> Callable[..., dict[str, SentPost]]:
    def make(caption: str = "one", **kwargs: Any) -> dict[str, SentPost]:
        accepted = sandbox.taisly().create_post(clip("small.mp4"), [TIKTOK, INSTAGRAM], caption, **kwargs)
        return {accepted.history_id: SentPost(history_id=accepted.history_id, sent_at=datetime.now(UTC))}

    return make


def _watch(sandbox: Any, posts: dict[str, SentPost], clock: Clock, seconds: float = 1800) -> Looked:
    return watch(sandbox.taisly(), posts, seconds=seconds, sleep=clock.sleep, clock=clock)


def test_pauses_grow_to_a_limit() -> None:
    """5 s, 8 s, 13 s … two minutes: 30 looks in the first hour at the most."""
    found = list(itertools.islice(pauses(), 12))

    assert found[:3] == pytest.approx([5, 8, 12.8])
    assert found[-1] == 120
    assert sum(itertools.takewhile(lambda p: p < 120, found)) < 300


def test_one_look_serves_every_post(sandbox: Any, clock: Clock, post: Any) -> None:
    """Twenty posts in flight cost no more reads than one."""
    posts = {}
    for i in range(20):
        posts |= post(str(i))

    looked = _watch(sandbox, posts, clock)

    assert looked.open(posts) == []
    assert sandbox.asked("GET /api/private/post/history") <= 3


def test_a_deadline_leaves_a_post_open(sandbox: Any, clock: Clock, post: Any) -> None:
    """It is not failed: nobody has said so."""
    later = datetime.now(UTC) + timedelta(days=1)
    posts = post(scheduled=later)
    posts = {i: p.model_copy(update={"scheduled_for": later}) for i, p in posts.items()}

    looked = _watch(sandbox, posts, clock, seconds=60)

    assert looked.open(posts) == list(posts)
    assert looked.trouble is None
    assert clock.now == pytest.approx(60)


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("drop_before", {}),
        ("drop_after", {}),
        ("drop_mid_body", {}),
        ("garbage_after", {}),
        ("status_before", {"status": 502}),
        ("status_after", {"status": 500}),
    ],
)
def test_a_look_that_fails_is_tried_again(sandbox: Any, clock: Clock, post: Any, fault: str, more: dict) -> None:
    """The post is out there all the same."""
    posts = post()
    sandbox.fault(fault, "GET", "*/history", times=2, **more)

    looked = _watch(sandbox, posts, clock)

    assert looked.open(posts) == []
    assert looked.trouble is None


def test_a_429_is_waited_for(sandbox: Any, clock: Clock, post: Any) -> None:
    """As long as Taisly asks, or a minute where it does not say."""
    posts = post()
    sandbox.fault("status_before", "GET", "*/history", status=429, seconds=333)

    looked = _watch(sandbox, posts, clock)

    assert looked.open(posts) == []
    assert clock.slept[1] == 333
    assert BUSY_PAUSE == 60


def test_a_revoked_key_ends_the_watch_and_not_the_post(sandbox: Any, clock: Clock, post: Any) -> None:
    """Looking on is of no use; the post is left open and the trouble named."""
    posts = post()
    sandbox.world.data.keys = []

    looked = _watch(sandbox, posts, clock)

    assert looked.open(posts) == list(posts)
    assert isinstance(looked.trouble, NotAllowed)
    assert len(clock.slept) == 1


def test_pages_help_where_the_range_does_not(sandbox: Any, clock: Clock, post: Any) -> None:
    """The unit of the range is not documented; a post that it should have is looked for page by page."""
    posts = post()
    sandbox.http.post("/sandbox/clock", json={"offset": 0})
    for known in sandbox.world.data.posts:
        known.created = 0  # as if Taisly's clock or unit were quite another

    looked = _watch(sandbox, posts, clock)

    assert looked.open(posts) == []


def test_a_clock_five_minutes_off_does_not_lose_a_post(sandbox: Any, clock: Clock, post: Any) -> None:
    """Ours and Taisly's may differ, either way."""
    for offset in (-300, 300):
        sandbox.http.post("/sandbox/clock", json={"offset": offset})
        posts = post(str(offset))
        before = sandbox.asked("GET /api/private/post/history")

        assert _watch(sandbox, posts, clock).open(posts) == []
        assert sandbox.asked("GET /api/private/post/history") - before <= 3


def test_trouble_never_raises(sandbox: Any, clock: Clock, post: Any) -> None:
    """What a service does after the send cannot make the send look failed."""
    posts = post()
    sandbox.fault("drop_after", "GET", "*/history", times=None)

    looked = _watch(sandbox, posts, clock, seconds=100)

    assert isinstance(looked.trouble, OutcomeUnknown)
    assert not isinstance(looked.trouble, Busy)
