"""Sending once, against the real sandbox with every fault it knows; the clock is the test's."""

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.clock import Clock, RealClock
from support.quota import take
from support.race import at_once

from reelflow.errors import (
    Busy,
    ClaimLost,
    InputError,
    LedgerUnavailable,
    NotAllowed,
    NothingSent,
    OutcomeUnknown,
    Refused,
    TimePassed,
    UnreadableAnswer,
)
from reelflow.ledger import Ledger
from reelflow.posts.matching import HistoryMatcher
from reelflow.posts.sending import AfterSend, send_post, what_happened
from reelflow.posts.watching import read_outcomes, watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest, Send, Video
from reelflow.taisly.wire import AcceptedPost, HistoryItem
from tasks.posts.wording import detail_of

Post = Callable[..., PostRequest]
POST = "POST /api/private/post"


@pytest.mark.parametrize(
    ("result", "sealed", "seen"),
    [
        (AcceptedPost(history_id="h"), True, AfterSend.ACCEPTED),
        (NothingSent("refused"), False, AfterSend.NOT_SENT),
        (NothingSent("refused"), True, AfterSend.UNKNOWN),
        (InputError("an odd address"), True, AfterSend.UNKNOWN),
        (Busy("429"), False, AfterSend.BUSY),
        (Busy("429"), True, AfterSend.BUSY),
        (Refused("no", by_service=True), True, AfterSend.REFUSED),
        (Refused("302"), True, AfterSend.UNKNOWN),
        (NotAllowed("401", by_service=True), True, AfterSend.REFUSED),
        (NotAllowed("403 of a proxy"), True, AfterSend.UNKNOWN),
        (NotAllowed("401"), False, AfterSend.REFUSED),
        (OutcomeUnknown("500"), True, AfterSend.UNKNOWN),
        (OutcomeUnknown("500"), False, AfterSend.NOT_SENT),
        (UnreadableAnswer("<html>"), True, AfterSend.UNKNOWN),
        (InputError("changed"), False, AfterSend.NOT_SENT),
        (ClaimLost("taken"), False, AfterSend.NOT_SENT),
        (LedgerUnavailable("full"), False, AfterSend.NOT_SENT),
        (KeyboardInterrupt(), True, AfterSend.UNKNOWN),
        (MemoryError(), True, AfterSend.UNKNOWN),
        (MemoryError(), False, AfterSend.NOT_SENT),
    ],
    ids=lambda v: repr(v)[:40],
)
def test_what_was_seen_decides_what_may_follow(result: Any, sealed: bool, seen: AfterSend) -> None:
    """Row by row: what is certain not to be out may be repeated, and nothing else."""
    assert what_happened(result, sealed=sealed) is seen


@pytest.fixture
def large(clip: Callable[[str], Path], checked: Post) -> Video:
    """A video larger than the buffers between client and service: a connection cut early is seen to be."""
    path = clip("large.mp4")
    stat = path.stat()
    return checked().video.model_copy(
        update={"path": path, "size_bytes": stat.st_size, "modified_ns": stat.st_mtime_ns}
    )


def _states(taisly: Any, post: PostRequest) -> Counter[PostState]:
    return Counter(o.state for o, _ in taisly.ledger.outcomes(post, service=taisly.service))


def _finish(taisly: Any, seconds: float = 1800) -> None:
    watch_posts(taisly, None, seconds=seconds)


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("drop_before", {}),
        ("drop_mid_body", {}),
        ("drop_after", {}),
        ("garbage_after", {}),
        ("status_before", {"status": 429, "seconds": 20}),
        ("status_after", {"status": 429, "seconds": 20}),
        ("status_after", {"status": 500}),
        ("status_after", {"status": 502}),
        ("status_after", {"status": 503}),
    ],
    ids=str,
)
def test_each_fault_of_the_send_ends_with_one_post(
    sandbox: Any, taisly: Any, checked: Post, large: Video, fault: str, more: dict
) -> None:
    """Whether the post was stored or not: out once, everywhere, and known to be."""
    sandbox.order_fault(fault, "POST", "/api/private/post", **more)
    post = checked(video=large)

    send_post(taisly, post)
    _finish(taisly)

    assert _states(taisly, post) == {PostState.SUCCESS: 3}
    assert len(sandbox.posts) == 1


@pytest.mark.parametrize("offset", [-300, 300])
def test_a_lost_answer_is_found_with_clocks_five_minutes_apart(
    sandbox: Any, taisly: Any, checked: Post, offset: int
) -> None:
    """Taisly's clock may be ahead of ours or behind."""
    sandbox.set_clock(offset)
    sandbox.order_fault("drop_after", "POST", "/api/private/post")
    post = checked()

    send_post(taisly, post)
    _finish(taisly)

    assert _states(taisly, post) == {PostState.SUCCESS: 3}
    assert len(sandbox.posts) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failure_that_stored_nothing_is_left_to_a_person(
    sandbox: Any, taisly: Any, checked: Post, clock: Clock, status: int
) -> None:
    """The history does not show it, which proves nothing: no second send, and plain words."""
    sandbox.order_fault("status_before", "POST", "/api/private/post", status=status)
    post = checked()

    send_post(taisly, post)
    _finish(taisly, seconds=500)
    assert _states(taisly, post) == {PostState.SENDING: 3}
    _finish(taisly)
    send_post(taisly, post)

    found = taisly.ledger.outcomes(post, service=taisly.service)
    assert {o.state for o, _ in found} == {PostState.UNCONFIRMED}
    assert "history does not show it" in found[0][0].detail
    assert found[0][1].id in detail_of(found[0][1], found[0][0])
    assert sandbox.requests(POST) == 1


def test_a_server_that_is_not_there_is_tried_again_and_then_told(
    sandbox: Any, ledger: Ledger, clock: Clock, checked: Post, large: Video
) -> None:
    """Three more tries with growing pauses; then a clear error, and the claim is free at once."""
    post = checked(video=large)
    sandbox.order_fault("drop_before", times=4)
    taisly = sandbox.rate_limited(ledger, clock)

    with pytest.raises(NothingSent, match="it is safe to start the run again"):
        send_post(taisly, post)

    assert clock.slept == [2, 10, 30]
    assert _states(taisly, post) == {PostState.CLAIMED: 3}
    send_post(taisly, post)
    assert len(sandbox.posts) == 1


def test_a_refusal_is_recorded_in_the_services_words_and_not_repeated(
    sandbox: Any, taisly: Any, checked: Post, clip: Any
) -> None:
    """By nobody but a person."""
    post = checked(accounts=[checked().accounts[0].model_copy(update={"id": "nobody"})])

    send_post(taisly, post)

    ((outcome, _),) = taisly.ledger.outcomes(post, service=taisly.service)
    assert (outcome.state, "Not connected: nobody" in outcome.detail) == (PostState.REFUSED, True)
    assert sandbox.requests(POST) == 1


def test_the_plan_is_waited_for_and_never_broken(sandbox: Any, ledger: Ledger, clock: Clock, checked: Post) -> None:
    """60 posts on a plan of 50 requests an hour: no 429, and all of them out in the end."""
    sandbox.world.plan = "STARTER"
    clock.drive(sandbox)
    taisly = sandbox.rate_limited(ledger, clock, plan="STARTER")
    for n in range(60):
        send_post(taisly, checked(str(n)), patience=7200)
    _finish(taisly, seconds=4 * 3600)

    assert {o.state for n in range(60) for o, _ in ledger.outcomes(checked(str(n)), service=taisly.service)} == {
        PostState.SUCCESS
    }
    assert len(sandbox.posts) == 60
    assert clock.passed > 3600


def test_without_room_and_patience_it_is_said(sandbox: Any, ledger: Ledger, clock: Clock, checked: Post) -> None:
    """Nothing was sent, and when to come again."""
    taisly = sandbox.rate_limited(ledger, clock, plan="STARTER")
    for _ in range(50):
        take(ledger, taisly.key, 50)
    post = checked()

    with pytest.raises(Busy, match="retry in 61 minutes"):
        send_post(taisly, post, patience=60)

    assert sandbox.requests(POST) == 0
    assert _states(taisly, post) == {PostState.CLAIMED: 3}


def test_a_post_whose_time_passes_while_it_waits_is_not_sent(
    sandbox: Any, ledger: Ledger, clock: Clock, checked: Post
) -> None:
    """For room in the plan, as for a fit before: the past is never "now". It may be sent with a later time."""
    taisly = sandbox.rate_limited(ledger, clock, plan="STARTER")
    for _ in range(50):
        take(ledger, taisly.key, 50)
    post = checked(scheduled_for=datetime.fromtimestamp(clock() + 60, UTC))

    with pytest.raises(TimePassed, match=r"passed before it could be sent, so it was not\. Give it a later one\."):
        send_post(taisly, post, patience=7200)
    later = post.model_copy(update={"scheduled_for": datetime.fromtimestamp(clock() + 600, UTC)})
    sent = send_post(taisly, later)

    assert sent.sent_now
    assert sandbox.requests(POST) == 1
    assert not send_post(taisly, later).sent_now


def test_a_file_that_changes_while_it_is_uploaded_is_not_posted(
    sandbox: Any, taisly: Any, checked: Post, clip: Any, tmp_path: Path
) -> None:
    """Rewritten, grown or cut short in the middle: the upload is left incomplete, and the claim is free."""
    original = clip("good.mp4").read_bytes()
    video = tmp_path / "moving.mp4"
    for change in ("rewrite", "grow", "cut"):
        video.write_bytes(original)
        stat = video.stat()
        file = checked().video.model_copy(
            update={"path": video, "size_bytes": stat.st_size, "modified_ns": stat.st_mtime_ns, "sha256": change}
        )
        post = checked(change, video=file)

        def meddle(taken: int, total: int, change: str = change) -> None:
            if change == "cut":
                os.truncate(video, 1000)
            else:
                with video.open("r+b") as handle:
                    handle.seek(0, os.SEEK_SET if change == "rewrite" else os.SEEK_END)
                    handle.write(b"other bytes")

        with pytest.raises((InputError, NothingSent)) as caught:
            send_post(taisly, post, progress=meddle)

        assert "nothing" in str(caught.value).lower()
        assert _states(taisly, post) == {PostState.CLAIMED: 3}
    assert sandbox.posts == []


class Killed(BaseException):
    """As if the process had died: nothing after it is put on record."""


class Dying(Ledger):
    """The ledger of a process that dies in one of the steps of a send."""

    def __init__(self, url: str, clock: Clock, dies_in: str) -> None:
        super().__init__(url, clock=clock)
        self._dies_in, self._dead = dies_in, False

    def transaction(self) -> Any:
        if self._dead:
            raise Killed
        return super().transaction()

    def begin(self, *args: Any, **kwargs: Any) -> None:
        self._dies("begin")
        super().begin(*args, **kwargs)

    def seal(self, *args: Any, **kwargs: Any) -> None:
        self._dies("seal")
        super().seal(*args, **kwargs)

    def accepted(self, *args: Any, **kwargs: Any) -> None:
        self._dies("accepted")
        super().accepted(*args, **kwargs)

    def _dies(self, step: str) -> None:
        if step == self._dies_in:
            self._dead = True
            raise Killed


@pytest.mark.parametrize(
    ("dies_in", "posts_before", "end"),
    [("begin", 0, PostState.SUCCESS), ("seal", 0, PostState.SUCCESS), ("accepted", 1, PostState.SUCCESS)],
)
def test_a_run_that_dies_is_taken_up_by_the_next(
    sandbox: Any,
    ledger: Ledger,
    ledger_url: str,
    clock: Clock,
    checked: Post,
    dies_in: str,
    posts_before: int,
    end: PostState,
) -> None:
    """Before the upload, before its last piece, or before the answer is on record: one post in the end."""
    post = checked()

    dying = Dying(ledger_url, clock, dies_in)
    with pytest.raises(Killed):
        send_post(sandbox.rate_limited(dying, clock), post)
    dying.close()
    assert len(sandbox.posts) == posts_before
    clock.sleep(60)

    taisly = sandbox.rate_limited(ledger, clock)
    send_post(taisly, post)
    _finish(taisly)

    assert _states(taisly, post) == {end: 3}
    assert len(sandbox.posts) == 1


@pytest.mark.parametrize("runners", [2, 4])
def test_runs_that_race_for_a_post_send_it_once(sandbox: Any, ledger_url: str, checked: Post, runners: int) -> None:
    """At the same moment, each with its own ledger connection: one sends, the others wait for it."""
    post, ledgers = checked(), [Ledger(ledger_url) for _ in range(runners)]

    at_once(runners, lambda n: send_post(sandbox.rate_limited(ledgers[n], RealClock()), post))

    for each in ledgers:
        each.close()
    assert len(sandbox.posts) == 1


def test_a_run_that_was_taken_for_dead_sends_nothing(
    sandbox: Any, ledger: Ledger, ledger_url: str, clock: Clock, checked: Post
) -> None:
    """It slept in the middle of its upload, another run has sent since: its last piece never leaves."""
    post = checked()
    slept = False

    def sleep_through(taken: int, total: int) -> None:
        nonlocal slept
        if not slept:
            slept = True
            clock.sleep(600)
            other = Ledger(ledger_url, clock=clock)
            send_post(sandbox.rate_limited(other, clock), post)
            other.close()

    send_post(sandbox.rate_limited(ledger, clock), post, progress=sleep_through)

    assert slept
    assert len(sandbox.posts) == 1


def test_without_a_ledger_nothing_is_sent(sandbox: Any, clock: Clock, checked: Post, tmp_path: Path) -> None:
    """A ledger that cannot be written is no reason to send blindly."""
    blocked = tmp_path / "file"
    blocked.write_text("")

    with pytest.raises(LedgerUnavailable):
        send_post(sandbox.rate_limited(Ledger(f"sqlite:///{blocked}/l.db", clock=clock), clock), checked())

    assert sandbox.requests(POST) == 0


class Full(Ledger):
    """A ledger on a disk that is full just when an answer is to be put on record."""

    def accepted(self, *args: Any, **kwargs: Any) -> None:
        raise LedgerUnavailable("database or disk is full")


def test_a_ledger_that_fills_up_in_the_middle_loses_nothing(
    sandbox: Any, ledger: Ledger, ledger_url: str, clock: Clock, checked: Post
) -> None:
    """Full just when the answer comes: the post is found in the history when there is room again."""
    post, full = checked(), Full(ledger_url, clock=clock)

    send_post(sandbox.rate_limited(full, clock), post)
    full.close()
    clock.sleep(60)
    taisly = sandbox.rate_limited(ledger, clock)
    _finish(taisly)

    assert _states(taisly, post) == {PostState.SUCCESS: 3}
    assert len(sandbox.posts) == 1


NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def _send(name: str, **changes: Any) -> Send:
    values: dict[str, Any] = {
        "id": name, "service": "s", "sha256": "x", "file": "f", "caption": "Hi", "account_ids": ("a", "b"),
        "scheduled_ms": 0, "flow_run": None, "owner": "o", "lease_until": 0.0,
        "begun_at": NOW.timestamp(), "sealed_at": NOW.timestamp() + 5, "history_id": None,
        "watched_since": None, "missing_since": None, "claimed_at": NOW.timestamp(), "duration": 4.0, "pictures": (),
        "repeat": 0,
    }  # fmt: skip
    return Send(**(values | changes))


def _item(name: str, **changes: Any) -> HistoryItem:
    values = {"id": name, "description": "Hi", "platforms": ["b", "a"], "date": round(NOW.timestamp() * 1000)}
    return HistoryItem.model_validate(values | changes)


def _bare(results: list[dict[str, str]]) -> HistoryItem:
    """An item with the documented fields and its creation."""
    return HistoryItem.model_validate({"id": "h1", "result": results, "date": round(NOW.timestamp() * 1000)})


LATER = NOW + timedelta(hours=2)


@pytest.mark.parametrize(
    ("lost", "busy", "items", "matched"),
    [
        ([_send("s1")], [], [_item("h1")], {"s1": "h1"}),
        ([_send("s1")], [], [], {}),
        ([_send("s1")], [], [_item("h1"), _item("h2")], {}),
        ([_send("s1")], [], [_item("h1", description="Ho")], {}),
        ([_send("s1")], [], [_item("h1", platforms=["a"])], {}),
        ([_send("s1")], [], [_item("h1", platforms=["a", "b", "c"])], {}),
        ([_send("s1")], [], [_item("h1", date=round(LATER.timestamp() * 1000))], {}),
        ([_send("s1")], [], [_item("h1", date=round((NOW - timedelta(seconds=4)).timestamp() * 1000))], {"s1": "h1"}),
        ([_send("s1")], [], [_item("h1", date=round((NOW - timedelta(minutes=1)).timestamp() * 1000))], {}),
        ([_send("s1")], [], [_item("h1", date=None)], {}),
        ([_send("s1")], [_send("s2")], [_item("h1")], {}),
        ([_send("s1")], [_send("s2", caption="Ho")], [_item("h1")], {"s1": "h1"}),
        ([_send("s1"), _send("s2")], [], [_item("h1")], {}),
        ([_send("s2", sealed_at=NOW.timestamp() + 9), _send("s1")], [],
         [_item("h2", date=round(NOW.timestamp() * 1000) + 9000), _item("h1")], {"s1": "h1", "s2": "h2"}),
        ([_send("s1")], [], [_bare([{"platformId": "a"}, {"platformId": "b"}])], {"s1": "h1"}),
        ([_send("s1")], [], [_bare([{"platform": "X"}, {"platform": "Y"}])], {}),
        ([_send("s1")], [], [_item("h1", platforms=None, result=[{"platform": "X"}, {"platform": "Y"}])], {"s1": "h1"}),
        ([_send("s1")], [], [_item("h1", platforms=None, result=[{"platform": "X"}])], {}),
        ([_send("s1")], [], [_item("h1", platforms=None)], {"s1": "h1"}),
        ([_send("s1")], [], [_item("h1", description="")], {"s1": "h1"}),
        ([_send("s1")], [], [_item("h1", description="", platforms=None)], {}),
        ([_send("s1")], [], [_item(""), _item("h1")], {"s1": "h1"}),
        ([_send("s1", caption="Salt & bread,\nfresh!")], [], [_item("h1", description="Salt &amp; bread,\r\nfresh!")],
         {"s1": "h1"}),
        ([_send("s1", caption="🔥" * 30)], [], [_item("h1", description="🔥" * 24 + "…")], {"s1": "h1"}),
        ([_send("s1", caption="★" * 26 + " new")], [], [_item("h1", description="★" * 24 + "…")], {"s1": "h1"}),
        ([_send("s1", caption="Bread & salt from here")], [], [_item("h1", description="Bread &am…")], {"s1": "h1"}),
        ([_send("s1", caption="The bread of the baker's daughter"),
          _send("s2", caption="The bread of the baker's daughter, again")], [],
         [_item("h1", description="The bread of the baker's daughter"),
          _item("h2", description="The bread of the baker's daughter, again")], {"s1": "h1", "s2": "h2"}),
        ([_send("s1"), _send("s2", begun_at=NOW.timestamp() + 540, sealed_at=NOW.timestamp() + 545)], [],
         [_item("h1"), _item("h2", date=round((NOW + timedelta(minutes=7)).timestamp() * 1000))], {}),
        ([_send("s1", caption="Day 11")], [], [_item("h1", description="Day 1")], {}),
        ([_send("s1", caption="Day 11")], [], [_item("h1", description="Day 1…")], {"s1": "h1"}),
        ([_send("s1", caption="The bread of the baker's daughter, 1"),
          _send("s2", caption="The bread of the baker's daughter, 2")], [],
         [_item("h1", description="The bread of the baker's daug…")], {}),
        ([_send("s1", scheduled_ms=round(LATER.timestamp() * 1000))], [],
         [_item("h1", scheduled=round(LATER.timestamp() * 1000) - 59_000)], {"s1": "h1"}),
        ([_send("s1", scheduled_ms=round(LATER.timestamp() * 1000))], [],
         [_item("h1", scheduled=round(LATER.timestamp() * 1000) + 61_000)], {}),
    ],
)  # fmt: skip
def test_a_lost_answer_is_matched_only_where_the_history_can_tell(
    lost: list[Send], busy: list[Send], items: list[HistoryItem], matched: dict[str, str]
) -> None:
    """Same caption, same accounts, made during the send; as many posts as sends; nobody at it who may own the post."""
    assert HistoryMatcher(account_ids=frozenset("abc")).match(lost, busy, items) == matched


def test_ids_of_other_sends_are_not_adopted(sandbox: Any, taisly: Any, checked: Post) -> None:
    """The first post looks the same and is known; the second, whose answer was lost, is the other one."""
    first, again = checked(), checked().model_copy(update={"repeat": 1})
    send_post(taisly, first)
    sandbox.order_fault("drop_after", "POST", "/api/private/post")

    send_post(taisly, again)
    read_outcomes(taisly)

    ids = {s.history_id for post in (first, again) for _, s in taisly.ledger.outcomes(post, service=taisly.service)}
    assert ids == {p["historyId"] for p in sandbox.posts}
    assert len(ids) == 2
