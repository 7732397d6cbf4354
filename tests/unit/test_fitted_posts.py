"""A fitted video is the same post as its original, whatever copy of it is sent."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.campaigns import Campaign, row
from support.clips import AAC, H264, ffmpeg, picture, tone

from reelflow.campaigns.filing import FOLDER_CODES
from reelflow.campaigns.videos import fit_videos, needs_fit
from reelflow.errors import InputError
from reelflow.posts.form import PostForm
from reelflow.posts.report import describe
from reelflow.posts.requests import check_form, fit_post_video, read_video
from reelflow.posts.sending import send_post
from reelflow.records.posts import Account, PostRequest, Video
from reelflow.sandbox.catalog import ACCOUNTS
from reelflow.video.ffmpeg import ffmpeg_program
from reelflow.video.fit_settings import FitSettings

Clip = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits of a test are its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A small lying video, which cannot be published as it is."""
    path = tmp_path / "my clip.mov"
    ffmpeg(*picture("480x270", seconds=3), *tone(3), *H264, *AAC, str(path))
    return path


def post_of(video: Video) -> PostRequest:
    """A post of this video."""
    account = Account(**{name: ACCOUNTS[0][name] for name in ("id", "platform", "name") if name in ACCOUNTS[0]})
    return PostRequest(video=video, accounts=[account], caption="Hi", scheduled_for=None, preview_second=0)


def test_what_is_sent_is_the_copy_and_what_is_on_record_is_the_original(taisly: Any, sandbox: Any, wide: Path) -> None:
    """By content and by path."""
    video = fit_post_video(read_video(str(wide), fit=FitSettings()))

    sent = send_post(taisly, post_of(video))

    (uploaded,) = sandbox.posts
    ((send, _),) = taisly.ledger.sends(sent.send_ids)
    assert uploaded["sha256"] == hashlib.sha256(video.path.read_bytes()).hexdigest()
    assert (send.sha256, send.file) == (hashlib.sha256(wide.read_bytes()).hexdigest(), str(wide))
    assert (video.name, video.path.name) == ("my clip.mov", "my clip.mp4")
    assert send.duration == pytest.approx(3, abs=0.05)


def test_an_original_that_was_sent_is_not_sent_again_because_it_is_fitted(
    taisly: Any, sandbox: Any, clip: Clip
) -> None:
    """It is HDR, which platforms take and a fit mends."""
    path = str(clip("hevc-hdr.mp4"))
    send_post(taisly, post_of(read_video(path)))

    video = fit_post_video(read_video(path, fit=FitSettings()))
    again = send_post(taisly, post_of(video))

    assert video.changes
    assert not again.sent_now
    assert sandbox.requests("POST /api/private/post") == 1


def test_a_video_that_is_still_to_be_fitted_is_never_sent(taisly: Any, sandbox: Any, wide: Path) -> None:
    """Its original would be refused, or published as it is."""
    video = read_video(str(wide), fit=FitSettings())

    with pytest.raises(InputError, match="has not been made right yet"):
        send_post(taisly, post_of(video))

    assert sandbox.requests("POST /api/private/post") == 0


def test_an_original_that_changes_between_check_and_fit_is_noticed(wide: Path) -> None:
    """What was checked is what is published."""
    video = read_video(str(wide), fit=FitSettings())
    ffmpeg(*picture("480x270", seconds=4), *tone(4), *H264, *AAC, str(wide))

    with pytest.raises(InputError, match="changed after it was checked"):
        fit_post_video(video)


def test_a_video_that_fits_is_read_as_without_a_fit(clip: Clip) -> None:
    """It has nothing to be made right, and keeps its warnings."""
    path = str(clip("small.mp4"))

    assert read_video(path, fit=FitSettings()) == read_video(path)
    assert fit_post_video(read_video(path)) == read_video(path)


def test_warnings_that_a_fit_mends_are_gone(clip: Clip, wide: Path) -> None:
    """And its own are there, beside what was found to be similar."""
    hdr = read_video(str(clip("hevc-hdr.mp4")), fit=FitSettings())
    read = read_video(str(wide), fit=FitSettings())
    small = fit_post_video(post_of(read).with_warnings(["similar: to another one"]).video)

    assert (hdr.warnings, hdr.fit) == ([], FitSettings())
    assert [warning.split(":")[0] for warning in small.warnings] == ["similar", "enlarged"]
    assert "my clip.mov (fitted: 540x960, 3.0 s" in describe(post_of(small))


def test_each_row_of_a_plan_is_fitted_as_it_says(taisly: Any, sandbox: Any, clip: Clip, wide: Path) -> None:
    """Or as the form says, if it says nothing; 'off' is no way to publish what does not fit."""
    other = wide.with_name("other.mov")
    ffmpeg(*picture("480x270", kind="smptebars", seconds=4), *tone(4), *H264, *AAC, str(other))
    rows = [
        row(1, wide, fit="crop"), row(2, clip("turned-away.mp4"), fit="off"), row(3, other), row(4, clip("small.mp4"))
    ]  # fmt: skip
    campaign = Campaign(taisly, *rows, fit="blur")

    told: list[tuple[int, int]] = []
    checked = fit_videos(campaign.check(), lambda done, total: told.append((done, total)))
    campaign.send(checked)

    assert [(problem.number, problem.code) for problem in checked.problems] == [(2, "video")]
    changes = {post.number: " ".join(post.request.video.changes).split(" ")[:2] for post in checked.right_posts()}
    assert changes == {1: ["cropped", "to"], 3: ["a", "blurred"], 4: [""]}
    assert not needs_fit(checked)
    assert told[-1] == (2000, 2000)
    assert told == sorted(told)
    assert len(sandbox.posts) == 3
    assert not needs_fit(Campaign(taisly, *rows, fit="blur").check())  # what was sent is not fitted once more


def test_what_is_said_of_a_fit_is_said_once_for_its_row(taisly: Any, wide: Path) -> None:
    """However many posts the row has; what the check has said is not said again."""
    campaign = Campaign(taisly, row(1, wide, fit="pad", captions={"x": "short"}), accounts=["Instagram", "x"])
    checked = campaign.check()
    noted = [replace(p, request=p.request.with_warnings(["copied: from yesterday"])) for p in checked.posts]
    drafts = [replace(draft, video=noted[0].request.video) for draft in checked.drafts]

    fitted = fit_videos(replace(checked, posts=noted, drafts=drafts))

    assert [post.number for post in fitted.posts] == [1, 1]
    assert [(number, warning.split(":")[0]) for number, warning in fitted.warnings] == [(1, "enlarged")]


def test_a_fit_that_fails_stops_only_its_row(taisly: Any, clip: Clip, wide: Path, tmp_path: Path) -> None:
    """A full disk, or a folder that cannot be written to, is no fault of the video: it stays in an inbox."""
    campaign = Campaign(taisly, row(1, wide, fit="pad"), row(2, clip("small.mp4")))
    (tmp_path / "cache").write_text("a file in the place of the folder")

    checked = fit_videos(campaign.check())

    assert [(problem.number, problem.code) for problem in checked.problems] == [(1, "disk_full")]
    assert "cannot be kept at" in checked.problems[0].sentence
    assert [post.number for post in checked.right_posts()] == [2]
    assert "disk_full" in FOLDER_CODES


def test_a_fit_that_this_machine_cannot_make_is_no_fault_of_the_video(
    taisly: Any, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ffmpeg is gone: good videos stay in an inbox."""
    monkeypatch.setenv("FFMPEG_BINARY", "/no/such/ffmpeg")
    ffmpeg_program.cache_clear()
    checked = fit_videos(Campaign(taisly, row(1, wide, fit="pad")).check())

    assert [(problem.number, problem.code) for problem in checked.problems] == [(1, "fit_unavailable")]
    assert "not in the video: FFMPEG_BINARY is '/no/such/ffmpeg'" in checked.problems[0].sentence
    assert "fit_unavailable" in FOLDER_CODES


def test_a_preview_beyond_the_end_of_what_is_trimmed_is_refused(taisly: Any, tmp_path: Path) -> None:
    """The original has that second, and what is published does not."""
    path = tmp_path / "long.mp4"
    ffmpeg(*picture("64x114", "10", 95), *tone(95), *H264, *AAC, str(path))
    form = PostForm(video=str(path), accounts=["x"], fit="pad", too_long="trim", preview_second=89.99)
    sentence = r"The preview is at second 89\.99, but the trimmed video ends at 89\.95\."

    with pytest.raises(InputError, match=sentence):
        check_form(form, read_video(form.video, fit=form.fit_settings), datetime.now(UTC))
    (problem,) = Campaign(taisly, row(1, path, preview_second=89.99), fit="pad", too_long="trim").check().problems

    assert (problem.code, bool(re.match(sentence, problem.sentence))) == ("preview_second", True)
