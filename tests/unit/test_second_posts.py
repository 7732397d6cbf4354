"""The side doors to a second post: against the sandbox, with histories and answers that mislead."""

import itertools
import subprocess
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
import pytest
from support.clock import Clock, RealClock
from support.race import at_once

from blocks import TaislyAccount
from reelflow.errors import Busy, DuplicatePost
from reelflow.ledger import Ledger
from reelflow.posts.duplicates import check_duplicates
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.reposts import check_reposts
from reelflow.posts.requests import read_video
from reelflow.posts.sending import send_post
from reelflow.posts.watching import watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, PostRequest
from reelflow.sandbox.catalog import ACCOUNTS, API_KEY
from reelflow.taisly import TaislyClient

Post = Callable[..., PostRequest]
POST = "/api/private/post"
OTHER = ACCOUNTS[-1]["id"]
"""An account that no post of these tests goes to."""
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
    "text added to captions": {"caption": "added"},
    "platforms by name": {"spelling": ["platform_names"]},
    "ids of something else": {"spelling": ["other_ids"]},
    "scheduled as a flag": {"spelling": ["scheduled_is_flag"]},
    "ranges are not understood": {"ignores_range": True},
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
    known = PostState.ACCEPTED if "result" in style.get("without", ()) else PostState.SUCCESS
    is_doubtful = "date" in style.get("without", ()) or style.get("caption") == "added"
    assert _states(taisly, post) == {PostState.UNCONFIRMED if is_doubtful else known: 3}


@pytest.mark.parametrize("spelling", [["date_is_scheduled"], ["scheduled_is_flag"]], ids=str)
def test_a_scheduled_post_that_was_stored_in_spite_of_a_429_is_not_sent_again(
    sandbox: Any, taisly: Any, checked: Post, clock: Clock, spelling: list[str]
) -> None:
    """Its date may be that of its publication, and `scheduled` no more than a flag."""
    clock.drive(sandbox)
    sandbox.style_history(spelling=spelling)
    sandbox.order_fault("status_after", "POST", POST, status=429, seconds=5)

    send_post(taisly, checked(CAPTION, scheduled_for=datetime.now(UTC) + timedelta(hours=30)))
    watch_posts(taisly, None, seconds=700)

    assert sandbox.requests(f"POST {POST}") == 1


def _other_posts(sandbox: Any, number: int, *, hours_ago: float = 0.0) -> None:
    for n in range(number):
        post = sandbox.world.add_post(sha256="s", file="f", caption=f"other {n}", preview=0, accounts=[OTHER],
                                      scheduled=None)  # fmt: skip
        post.created -= round(hours_ago * 3_600_000)


@pytest.mark.parametrize("back", [900, 7200, -7200, -3 * 86400])
@pytest.mark.parametrize("style", [{}, {"ignores_range": True}, {"stale_seconds": 150}], ids=str)
def test_a_clock_that_is_put_right_after_a_429_hides_no_post(
    sandbox: Any, ledger_url: str, checked: Post, clock: Clock, back: int, style: dict
) -> None:
    """Ours was wrong when the post was sent; a dozen other posts stand before it in the history."""
    wall = Clock()
    wall.now += back
    ledger = Ledger(ledger_url, clock=wall)
    sandbox.style_history(**style)
    sandbox.order_fault("status_after", "POST", POST, status=429, seconds=5)
    clock.drive(sandbox)
    follow, post = clock.on_sleep, checked()
    puts_right = iter([wall])

    def pass_time(seconds: float) -> None:
        follow(seconds)
        wall.now += seconds
        if clock.passed > 100 and next(puts_right, None):
            wall.now -= back
            _other_posts(sandbox, 12)

    clock.on_sleep = pass_time

    with TaislyClient(API_KEY, sandbox.taisly_url, clock=wall) as client:
        service = {"api_key": API_KEY, "service": sandbox.taisly_url, "plan": "PRO"}
        send_post(RateLimitedTaisly(client, ledger, sleep=clock.sleep, **service), post)

    assert [p["caption"] for p in sandbox.posts].count(post.caption) == 1
    ledger.close()


@pytest.mark.parametrize(("older", "posts"), [(0, 0), (1, 1)], ids=["no older post", "an older post"])
def test_a_post_is_sent_again_only_if_the_history_was_read_far_enough_back(
    sandbox: Any, taisly: Any, checked: Post, clock: Clock, older: int, posts: int
) -> None:
    """Sixty newer posts, on six pages: what comes after them cannot be told, unless something old was seen."""
    clock.drive(sandbox)
    sandbox.style_history(ignores_range=True)
    sandbox.order_fault("status_before", "POST", POST, status=429, seconds=5)
    _other_posts(sandbox, older, hours_ago=30)
    _other_posts(sandbox, 60 - older)

    send_post(taisly, checked())

    assert [p["caption"] for p in sandbox.posts].count("one") == posts


def test_something_that_was_seen_and_is_gone_again_keeps_a_post_from_being_sent_again(
    sandbox: Any, taisly: Any, checked: Post, clock: Clock
) -> None:
    """At some of the looks the history may be that of another, stale server."""
    clock.drive(sandbox)
    sandbox.order_fault("status_after", "POST", POST, status=429, seconds=5)
    sandbox.style_history(without=["date"])
    follow = clock.on_sleep

    def hide_in_the_end(seconds: float) -> None:
        follow(seconds)
        if clock.passed > 500:
            sandbox.style_history(stale_seconds=10_000)

    clock.on_sleep = hide_in_the_end

    send_post(taisly, checked())

    assert sandbox.requests(f"POST {POST}") == 1


def _shown(accounts: Sequence[str], results: int, **told: Any) -> list[dict[str, Any]]:
    """A history with one item."""
    return [{"id": "h", "platforms": accounts, "result": [{"status": "PENDING"}] * results, **told}]


def _answered_by(
    answer: Callable[[httpx.Request], httpx.Response], sandbox: Any, ledger: Ledger, clock: Clock
) -> RateLimitedTaisly:
    """A Taisly whose requests `answer` answers, on the way to the sandbox."""
    client = TaislyClient(API_KEY, sandbox.taisly_url, transport=httpx.MockTransport(answer))
    service = {"api_key": API_KEY, "service": sandbox.taisly_url, "plan": "PRO"}
    return RateLimitedTaisly(client, ledger, sleep=clock.sleep, **service)


AN_HOUR_OFF = (datetime.now(UTC) - timedelta(hours=1)).replace(tzinfo=None).isoformat()
ODD_HISTORIES: dict[str, Callable[[list[str]], list[dict[str, Any]]]] = {
    "more results than accounts": lambda ids: _shown([], len(ids) + 1, description="one", date=time.time() * 1000),
    "another caption, without a date": lambda ids: _shown(ids, 3, description="<p>one"),
    "another caption, in local time": lambda ids: _shown(ids, 3, description="<p>one", date=AN_HOUR_OFF),
    "none of our earlier posts": lambda ids: [],
}


@pytest.mark.parametrize("shown", ODD_HISTORIES.values(), ids=ODD_HISTORIES)
def test_a_post_is_sent_again_only_if_everything_in_the_history_is_certainly_another(
    sandbox: Any, ledger: Ledger, checked: Post, clock: Clock, shown: Callable[[list[str]], list[dict[str, Any]]]
) -> None:
    """Stored, and answered with 429; then the history tells something odd: a person is asked."""
    network, post = httpx.HTTPTransport(), checked()
    earlier = sandbox.rate_limited(ledger, clock)
    send_post(earlier, checked("earlier"))
    watch_posts(earlier, None, seconds=600)
    sandbox.order_fault("status_after", "POST", POST, status=429, seconds=5)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/history"):
            first = request.url.params.get("page", "1") == "1"
            return httpx.Response(200, json={"success": True, "data": shown([a.id for a in post.accounts]) * first})
        return network.handle_request(request)

    with _answered_by(answer, sandbox, ledger, clock) as taisly:
        send_post(taisly, post)
        watch_posts(taisly, None, seconds=700)
    network.close()

    assert sandbox.requests(f"POST {POST}") == 2
    assert _states(earlier, post) == {PostState.UNCONFIRMED: 3}


@pytest.mark.parametrize(("minutes", "seconds"), [(0, 600), (1, 600), (60, 3600)])
def test_a_person_who_wants_to_be_asked_soon_has_nothing_sent_again_sooner(minutes: float, seconds: float) -> None:
    """'Unconfirmed after' shortens the search for a lost answer, not the one before a post is sent again."""
    block = TaislyAccount(api_key=API_KEY, unconfirmed_after_minutes=minutes)

    assert (block.grace_seconds, block.resend_after_seconds) == (minutes * 60, seconds)


@pytest.mark.parametrize("address", ["https:login", "mailto:x", "about:blank", "http://xn--/", "a:b"])
def test_a_redirect_to_an_odd_address_is_looked_for_too(
    sandbox: Any, ledger: Ledger, checked: Post, clock: Clock, address: str
) -> None:
    """Stored, and then a captive portal answers."""
    network, post, answers = httpx.HTTPTransport(), checked(), itertools.count()

    def answer(request: httpx.Request) -> httpx.Response:
        response = network.handle_request(request)
        if request.url.path == POST and next(answers) == 0:
            response.read()
            return httpx.Response(302, headers={"Location": address})
        return response

    for _ in range(2):
        with _answered_by(answer, sandbox, ledger, clock) as taisly:
            send_post(taisly, post)
            watch_posts(taisly, None, seconds=600)
    network.close()

    assert sandbox.requests(f"POST {POST}") == 1
    assert _states(taisly, post) == {PostState.SUCCESS: 3}


@pytest.mark.parametrize("body", [{"success": True}, {"success": True, "history": []}, {"ok": 1}], ids=str)
def test_an_answer_without_data_is_no_empty_history(
    sandbox: Any, ledger: Ledger, checked: Post, clock: Clock, body: dict
) -> None:
    """Nothing is proved by it, so nothing is sent again."""
    sandbox.order_fault("status_after", "POST", POST, status=429, seconds=5)
    network = httpx.HTTPTransport()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/history"):
            return httpx.Response(200, json=body)
        return network.handle_request(request)

    with _answered_by(answer, sandbox, ledger, clock) as taisly:
        send_post(taisly, checked())
    network.close()

    assert sandbox.requests(f"POST {POST}") == 1


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


def _same_video(post: PostRequest, **changes: Any) -> PostRequest:
    return post.model_copy(update=changes)


LATER = datetime.now(UTC) + timedelta(hours=3)


@pytest.mark.parametrize(
    "change",
    [{"caption": "a corrected caption"}, {"scheduled_for": LATER}, {"caption": "", "scheduled_for": LATER}],
    ids=["caption", "time", "both"],
)
@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_the_same_video_with_something_changed_is_refused_while_the_earlier_post_may_be_out(
    sandbox: Any, url: str, clock: Clock, checked: Post, change: dict
) -> None:
    """Unconfirmed or just published: refused with its name and the two ways on; no request is spent."""
    ledger = Ledger(url, clock=clock)
    taisly = sandbox.rate_limited(ledger, clock)
    sandbox.order_fault("status_before", "POST", POST, status=502)
    first = checked()
    send_post(taisly, first)
    requests = sandbox.requests()
    changed = _same_video(first, **change)

    with pytest.raises(DuplicatePost, match="Wait for its outcome"):
        send_post(taisly, changed)
    assert sandbox.requests() == requests
    watch_posts(taisly, None, seconds=1800)
    ((_, send), *_) = ledger.outcomes(first, service=taisly.service)
    with pytest.raises(DuplicatePost) as caught:
        send_post(taisly, changed)

    assert "Find out whether it was published, and resolve it" in str(caught.value)
    assert caught.value.send_id == send.id
    assert "set 'Send again on purpose' to 1" in str(caught.value)
    assert ledger.outcomes(changed, service=taisly.service) == []
    send_post(taisly, _same_video(changed, repeat=1))
    assert len(sandbox.posts) == 1
    ledger.close()


def test_the_same_video_may_be_published_again_when_a_day_has_passed(
    sandbox: Any, taisly: Any, checked: Post, clock: Clock
) -> None:
    """Or after the time that the block allows; and to other accounts at any time."""
    clock.drive(sandbox)
    everywhere = checked()
    first = _same_video(everywhere, accounts=everywhere.accounts[:1])
    send_post(taisly, first)
    watch_posts(taisly, None, seconds=1800)

    with pytest.raises(DuplicatePost, match="and it was published"):
        send_post(taisly, _same_video(first, caption="again"))
    send_post(taisly, _same_video(first, caption="elsewhere", accounts=everywhere.accounts[1:]))
    watch_posts(taisly, None, seconds=1800)
    clock.sleep(86400)
    send_post(taisly, _same_video(first, caption="again"))

    assert len(sandbox.posts) == 3


def test_runs_that_race_with_different_captions_send_one_post(sandbox: Any, url: str, checked: Post) -> None:
    """At the same moment, each with its own connection to the ledger: one sends, the others are refused."""
    ledgers = [Ledger(url) for _ in range(4)]
    ledgers[0].engine()

    def send(n: int) -> bool:
        taisly = sandbox.rate_limited(ledgers[n], RealClock())
        try:
            send_post(taisly, _same_video(checked(), caption=f"caption {n}"))
        except DuplicatePost:
            return False
        return True

    sent = at_once(4, send)

    for each in ledgers:
        each.close()
    assert sorted(sent) == [False, False, False, True]
    assert len(sandbox.posts) == 1


def test_what_is_written_differently_and_means_the_same_is_one_post(
    sandbox: Any, ledger: Ledger, clock: Clock, checked: Post
) -> None:
    """Blanks at the end, line ends, accents, and every spelling of the service's address."""
    plain = sandbox.taisly_url
    block = {"api_key": API_KEY, "plan": "PRO"}
    spellings = [plain, f"{plain}/", plain.replace("http://127.0.0.1", "HTTP://LocalHost")]
    captions = ["Crème brûlée\nfresh", "Crème brûlée\r\nfresh ", unicodedata.normalize("NFD", "Crème brûlée fresh")]

    for url, caption in zip(spellings, captions, strict=True):
        with TaislyAccount(base_url=url, **block).get_rate_limited(ledger) as taisly:
            send_post(taisly, _same_video(checked(), caption=caption))

    assert len(sandbox.posts) == 1


def test_another_export_of_a_video_is_refused_while_the_first_may_be_out_and_warned_of_later(
    sandbox: Any, taisly: Any, checked: Post, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    """Muxed again and encoded again: the same length and pictures; another video with the caption is nobody's."""
    source = clip("good.mp4")
    original = _with_pictures(checked(), source)
    again = [
        _with_pictures(checked("muxed"), _export(source, tmp_path / "muxed.mp4", "-c", "copy")),
        _with_pictures(checked("encoded"), _export(source, tmp_path / "encoded.mp4", "-vf", "scale=540:960")),
    ]
    negative = _export(source, tmp_path / "negative.mp4", "-vf", "negate", "-preset", "ultrafast")
    other = _with_pictures(checked(original.caption), negative)
    send_post(taisly, original)

    for export in again:
        assert export.video.sha256 != original.video.sha256
        with pytest.raises(DuplicatePost, match="looks the same"):
            send_post(taisly, export)
    send_post(taisly, other)
    watch_posts(taisly, None, seconds=1800)

    found = taisly.ledger.duplicates(again[0], service=taisly.service)
    (warning, *_) = check_duplicates(found, taisly.ledger.now())
    assert "A similar video was sent to" in warning
    send_post(taisly, again[0])
    assert len(sandbox.posts) == 3


def _with_pictures(post: PostRequest, path: Path) -> PostRequest:
    """The post with this file and what the check of a form finds out about it."""
    return post.model_copy(update={"video": read_video(str(path))})


def _export(source: Path, target: Path, *options: str) -> Path:
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-nostdin", "-v", "error", "-i", str(source), *options, str(target)]
    subprocess.run(command, check=True, timeout=120)
    return target


@pytest.mark.parametrize("paused", [False, True])
def test_a_repost_rule_between_two_accounts_of_a_post_is_refused(
    sandbox: Any, taisly: Any, checked: Post, paused: bool
) -> None:
    """Taisly would post twice to the second. The rules are asked for once in ten minutes."""
    accounts = checked().accounts
    with sandbox.taisly() as client:
        client.add_repost(accounts[0].id, [accounts[1].id])
        (rule,) = client.reposts()
        client.pause_repost(rule.id, paused=paused)
    before = sandbox.requests("GET /api/private/reposts")

    for _ in range(2):
        if paused:
            check_reposts(accounts, taisly.copied_accounts())
        else:
            with pytest.raises(DuplicatePost, match=f"twice to {accounts[1].label}"):
                check_reposts(accounts, taisly.copied_accounts())
        check_reposts(accounts[:1], taisly.copied_accounts())

    assert sandbox.requests("GET /api/private/reposts") == before + 1


def test_rules_that_were_never_read_are_not_taken_for_none(sandbox: Any, taisly: Any, checked: Post) -> None:
    """A 429 to the first request for them: the check is repeated, not skipped."""
    accounts = checked().accounts
    with sandbox.taisly() as client:
        client.add_repost(accounts[0].id, [accounts[1].id])
    sandbox.order_fault("status_before", "GET", "/api/private/reposts", status=429, seconds=5)

    with pytest.raises(Busy):
        taisly.copied_accounts()
    taisly.sleep(10)

    with pytest.raises(DuplicatePost):
        check_reposts(accounts, taisly.copied_accounts())


def test_a_chain_of_repost_rules_is_refused_too() -> None:
    """Whether Taisly reposts a repost is not documented."""
    accounts = [Account(id=name, platform=name.upper()) for name in "abc"]

    with pytest.raises(DuplicatePost, match="twice to C"):
        check_reposts([accounts[0], accounts[2]], [("a", "b"), ("b", "c")])


def test_the_sandbox_reposts_to_accounts_that_have_the_post_already(sandbox: Any, taisly: Any, checked: Post) -> None:
    """As Taisly documents its rules; that is what the check is for."""
    post = checked()
    with sandbox.taisly() as client:
        client.add_repost(post.accounts[0].id, [post.accounts[1].id])

    send_post(taisly, post)
    watch_posts(taisly, None, seconds=1800)

    assert [p["platforms"] for p in sandbox.posts if p["repostOf"]] == [[post.accounts[1].id]]


def _sends(post: PostRequest, ledger: Ledger, outcome: PostState, service: str = "s") -> None:
    """Record a send of `post` that has come to this state."""
    send_id = ledger.claim(post, service=service, owner="o").send_id
    assert send_id is not None
    ledger.begin(send_id, "o")
    ledger.seal(send_id, "o")
    if outcome is PostState.ACCEPTED:
        ledger.accepted(send_id, send_id)


@pytest.mark.parametrize("later", [None, datetime.now(UTC) + timedelta(days=5)], ids=["now", "another day"])
def test_a_post_that_is_scheduled_is_not_moved_by_sending_it_again(
    ledger: Ledger, checked: Post, clock: Clock, later: datetime | None
) -> None:
    """However far apart: the refusal says how the scheduled one is cancelled, and a series is sent on purpose."""
    first = checked(scheduled_for=datetime.now(UTC) + timedelta(days=3))
    _sends(first, ledger, PostState.ACCEPTED)
    second = _same_video(first, scheduled_for=later, caption="corrected")

    with pytest.raises(DuplicatePost, match=r"is scheduled for .* To replace it, cancel it first") as caught:
        check_duplicates(ledger.duplicates(second, service="s"), clock.now)

    assert caught.value.scheduled_as == ledger.open_sends("s")[0][0].history_id
    assert ledger.duplicates(_same_video(second, repeat=1), service="s") == []


def test_a_refusal_names_every_account_and_a_number_that_was_not_used(
    ledger: Ledger, checked: Post, clock: Clock
) -> None:
    """After the corrected post was sent on purpose: the same again with 1 would only report that one."""
    first = checked()
    corrected = _same_video(first, caption="corrected")
    _sends(first, ledger, PostState.ACCEPTED)
    _sends(_same_video(corrected, repeat=1), ledger, PostState.ACCEPTED)

    with pytest.raises(DuplicatePost) as caught:
        check_duplicates(ledger.duplicates(corrected, service="s"), clock.now)

    assert all(account.label in str(caught.value) for account in first.accounts)
    assert "set 'Send again on purpose' to 2." in str(caught.value)


def test_a_run_every_day_at_the_same_time_is_no_duplicate(ledger: Ledger, checked: Post, clock: Clock) -> None:
    """Though one day's upload took longer than the next one's."""
    first = checked(accounts=checked().accounts[:1])
    clock.sleep(120)
    _sends(first, ledger, PostState.ACCEPTED)
    ((send, _),) = ledger.open_sends("s")
    ledger.record_outcomes(send.id, [Outcome(account=first.accounts[0], state=PostState.SUCCESS)])
    clock.sleep(86_400 - 100)

    assert ledger.duplicates(_same_video(first, caption="another day"), service="s") == []


REFUSALS: list[tuple[dict[str, Any], PostState]] = [
    ({"success": False, "error": "no"}, PostState.REFUSED),
    ({"success": False, "error": "no", "historyId": "h1"}, PostState.ACCEPTED),
    ({"success": False, "error": "no", "data": {"historyId": "h1"}}, PostState.ACCEPTED),
    ({"success": False, "error": "no", "post": {"id": "h1"}}, PostState.SENDING),
    ({"success": False, "error": "no", "data": [{"historyId": "h1"}]}, PostState.SENDING),
    ({"success": False, "error": "no", "historyIds": ["h1"]}, PostState.SENDING),
    ({"success": False, "error": "no", "historyId": None, "_id": "h1"}, PostState.SENDING),
    ({"success": False, "error": "no", "id": "of the request"}, PostState.SENDING),
    ({"success": False, "error": "no", "result": [{"status": "SUCCESS"}]}, PostState.SENDING),
    ({"success": False, "error": "no", "result": []}, PostState.REFUSED),
    ({"success": False, "message": "LIMIT"}, PostState.REFUSED),
    ({"success": True, "message": "LIMIT"}, PostState.SENDING),
]


@pytest.mark.parametrize(("body", "state"), REFUSALS, ids=[str(body) for body, _ in REFUSALS])
def test_a_refusal_is_one_only_if_it_names_nothing_that_may_be_the_post(
    ledger: Ledger, clock: Clock, checked: Post, body: dict, state: PostState
) -> None:
    """An id under its own name is the post's; under another it may be anything, and is looked for."""

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        return httpx.Response(200, json=body)

    with TaislyClient(API_KEY, "http://127.0.0.1:1", transport=httpx.MockTransport(answer)) as client:
        taisly = RateLimitedTaisly(client, ledger, api_key=API_KEY, service="s", plan="PRO", sleep=clock.sleep)
        post = checked()
        send_post(taisly, post)

    assert _states(taisly, post) == {state: 3}
