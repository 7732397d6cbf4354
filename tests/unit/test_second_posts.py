"""The side doors to a second post: against the sandbox, with histories and answers that mislead."""

import itertools
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from support.clock import Clock, RealClock
from support.race import at_once

from blocks import TaislyAccount
from reelflow.errors import DuplicatePost
from reelflow.ledger import Ledger
from reelflow.posts.duplicates import check_duplicates, check_reposts
from reelflow.posts.requests import read_video
from reelflow.posts.sending import send_post
from reelflow.posts.watching import watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, PostRequest
from reelflow.sandbox.catalog import API_KEY

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

    assert f"resolve it (send ID {send.id})" in str(caught.value)
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
    subprocess.run([ffmpeg, "-v", "error", "-i", str(source), *options, str(target)], check=True)
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
