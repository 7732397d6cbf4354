import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.clips import RECIPES, Recipe

from reelflow.errors import InputError, VideoUnreadable
from reelflow.posts.requests import read_video
from reelflow.video import Limits, VideoFacts, check_video, problems
from reelflow.video.containers import outline
from reelflow.video.fingerprint import fingerprint
from reelflow.video.poster import poster
from reelflow.video.sample import make_sample

Clip = Callable[[str], Path]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_each_kind_of_file_is_read_as_a_person_sees_it(clip: Clip, recipe: Recipe) -> None:
    """The errors and warnings of the corpus, and sizes and lengths as displayed."""
    report = check_video(clip(recipe.name))

    assert {p.code for p in report.errors} == recipe.errors
    assert {p.code for p in report.warnings} == recipe.warnings
    assert report.ok is not bool(recipe.errors)
    if recipe.displayed:
        assert report.facts is not None
        assert (report.facts.width, report.facts.height) == recipe.displayed
    if recipe.duration:
        assert report.facts is not None
        assert report.facts.duration == pytest.approx(recipe.duration, abs=0.1)


def test_a_missing_file_and_a_folder_have_one_problem_each(tmp_path: Path) -> None:
    """No second complaint about the ending or the size of what is not there."""
    for path, found in ((tmp_path / "nope.mp4", "no such file"), (tmp_path, "a folder")):
        report = check_video(path)

        assert [(p.code, p.found) for p in report.problems] == [("unreadable", found)]


def test_a_file_that_is_no_video_has_one_problem(tmp_path: Path) -> None:
    """Nobody is told to rename a text."""
    path = tmp_path / "env.sh"
    path.write_text("export A=1\n")

    assert [str(p) for p in check_video(path).problems] == [
        "not a video file. Choose a video file, such as an MP4 or MOV."
    ]


def test_a_device_is_not_a_video() -> None:
    """It is not opened: reading it may never end."""
    (problem,) = check_video(Path("/dev/zero")).problems

    assert (problem.code, problem.found) == ("unreadable", "not a regular file")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("x" * 300 + ".mp4", "File name too long"),
        ("line\nbreak.mp4", "its name has characters that cannot be shown"),
        ("backward\u202e4pm.mp4", "its name has characters that cannot be shown"),
        ("caf\udce9.mp4", "its name has characters that cannot be shown"),
        ("zero\0.mp4", "its name has characters that cannot be shown"),
    ],
)
def test_a_name_that_is_of_no_use_is_said(tmp_path: Path, name: str, found: str) -> None:
    """It would break logs, tables and the names of runs; one in another charset can be stored nowhere."""
    report = check_video(tmp_path / name)

    assert [(p.code, p.found) for p in report.problems] == [("unreadable", found)]
    assert json.dumps(report.as_json(), ensure_ascii=False).isprintable()


def test_a_home_that_does_not_exist_is_said() -> None:
    with pytest.raises(InputError, match="home"):
        read_video("~nobody-of-this-name/v.mp4")


@pytest.mark.parametrize("name", ["grown.mkv", "grown-live.mkv", "grown.avi", "huge.mkv", "huge.avi", "huge.txt"])
def test_what_follows_the_content_of_a_file_is_not_read(clip: Clip, name: str) -> None:
    """Zeros of 450 MB take no seconds to search, and a file over the limit is not searched at all."""
    path = clip(name)
    started = time.process_time()
    check_video(path)

    assert time.process_time() - started < 1


def _box(kind: bytes, size: int, *, large: bool = False) -> bytes:
    return struct.pack(">I4sQ", 1, kind, size) if large else struct.pack(">I4s", size, kind)


FTYP = _box(b"ftyp", 16) + bytes(8)


@pytest.mark.parametrize(
    ("content", "missing", "index_first"),
    [
        (FTYP + _box(b"moov", 16) + bytes(8) + _box(b"mdat", 8), 0, True),
        (FTYP + _box(b"mdat", 24, large=True) + bytes(8) + _box(b"moov", 16) + bytes(8), 0, False),
        (FTYP + _box(b"moov", 8) + _box(b"mdat", 0) + bytes(5), 0, True),  # 0: to the end of the file
        (FTYP + _box(b"moov", 8) + _box(b"mdat", 100) + bytes(30), 62, True),
        (FTYP + _box(b"moov", 8) + b"\0\0\0", 5, True),  # cut in a box's head
        (FTYP + _box(b"moov", 8) + _box(b"free", 4) + bytes(20), 0, True),  # a length that cannot be
        (FTYP + _box(b"mdat", 8), 0, None),
    ],
)
def test_the_boxes_of_an_mp4_tell_whether_it_is_whole(
    tmp_path: Path, content: bytes, missing: int, index_first: bool | None
) -> None:
    (tmp_path / "v.mp4").write_bytes(content)
    with (tmp_path / "v.mp4").open("rb") as file:
        found = outline(file)

    assert (found.kind, found.missing_bytes, found.index_first) == ("mp4", missing, index_first)
    assert found.has_index is (index_first is not None)


EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (EBML + b"\x82ab" + SEGMENT + b"\x85hello", 0),
        (EBML + b"\x82ab" + SEGMENT + b"\x89hello", 4),
        (EBML + b"\x82ab" + SEGMENT + b"\x40\x07hello", 2),
        (EBML + b"\x82ab" + SEGMENT + b"\xff" + b"written live", 0),  # no length was known
        (EBML + b"\x82ab" + b"\xec\x81x", 0),  # something else stands where the segment should
        (EBML + b"\x82ab", 0),
        (EBML + b"\x00\x00\x00\x00", 0),
    ],
)
def test_the_segment_of_a_matroska_file_tells_whether_it_is_whole(tmp_path: Path, content: bytes, missing: int) -> None:
    (tmp_path / "v.mkv").write_bytes(content)
    with (tmp_path / "v.mkv").open("rb") as file:
        found = outline(file)

    assert (found.kind, found.missing_bytes) == ("matroska", missing)


FACTS = VideoFacts(
    size_bytes=1000, container="mov,mp4,m4a,3gp,3g2,mj2", duration=10, width=1080, height=1920, rotation=0, fps=30,
    variable_frame_rate=False, video_codec="h264", bit_depth=8, hdr=None, audio_codec="aac", faststart=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({}, set()),
        ({"duration": 3.0}, set()),
        ({"duration": 2.9}, {"duration"}),
        ({"duration": 90.0}, set()),
        ({"duration": 90.04}, set()),
        ({"duration": 90.1}, {"duration"}),
        ({"size_bytes": 300_000_000}, set()),
        ({"size_bytes": 300_000_001}, {"large"}),
        ({"size_bytes": 500_000_000}, {"large"}),
        ({"audio_channels": 2}, set()),
        ({"audio_channels": 6}, {"audio_channels"}),
        ({"size_bytes": 500_000_001}, {"size"}),
        ({"width": 1090}, set()),
        ({"width": 1091}, {"aspect"}),
        ({"width": 1069}, {"aspect"}),
        ({"width": 1920, "height": 1080}, {"aspect"}),
        ({"container": "mpegts"}, {"format"}),
        ({"fps": 60.0}, set()),
        ({"fps": 61.0}, {"frame_rate"}),
        ({"hdr": "HLG"}, {"hdr"}),
        ({"faststart": None}, set()),
    ],
    ids=str,
)
def test_the_limits_hold_to_the_last_digit(change: dict, codes: set[str]) -> None:
    """Each limit just kept and just broken."""
    facts = FACTS.model_copy(update=change)

    assert {p.code for p in problems(Path("video.mp4"), facts)} == codes


def test_limits_can_be_changed() -> None:
    """Another plan or service may allow more."""
    facts = FACTS.model_copy(update={"duration": 120.0})

    assert not problems(Path("video.mp4"), facts, Limits(max_duration=180))


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    """With the size and time that tell later whether the file has changed."""
    path = tmp_path / "a.mp4"
    found = []
    for content in (b"one", b"other"):
        path.write_bytes(content)
        with path.open("rb") as file:
            found.append(fingerprint(file))

    assert found[0].sha256 != found[1].sha256
    assert found[0].sha256 == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert (found[1].size_bytes, found[1].modified_ns) == (5, path.stat().st_mtime_ns)


def test_the_poster_stands_upright(clip: Clip) -> None:
    """A phone recording that is stored lying down is turned for its picture."""
    import io

    from PIL import Image

    picture = Image.open(io.BytesIO(poster(clip("phone-90.mp4"), at=1.5, height=160)))

    assert picture.size == (90, 160)


def test_a_title_in_another_charset_does_not_keep_a_video_from_its_poster(clip: Clip) -> None:
    """The report of a post that is out must not fail because of it."""
    assert poster(clip("latin-title.mp4"), height=160)


def test_a_poster_beyond_the_end_is_the_last_picture(clip: Clip) -> None:
    assert poster(clip("small.mp4"), at=3600) == poster(clip("small.mp4"), at=3500)


def test_no_poster_of_what_is_no_video(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"not a video")

    for path in (tmp_path / "v.mp4", clip("new-codec.mp4")):
        with pytest.raises(VideoUnreadable):
            poster(path)


def test_check_prints_one_json_line_a_file_and_fails_for_a_bad_one(clip: Clip) -> None:
    """`reelflow check --json`: what other programs read."""
    done = subprocess.run(
        [sys.executable, "-m", "deployments", "check", "--json", str(clip("good.mp4")), str(clip("landscape.mp4"))],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    good, bad = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert good["ok"] is True
    assert good["facts"]["height"] == 1920
    assert bad["ok"] is False
    assert set(bad["problems"][0]) == {"code", "level", "found", "allowed", "hint"}
    assert bad["problems"][0]["code"] == "aspect"


def test_check_of_good_files_ends_well(clip: Clip) -> None:
    """Warnings do not make it fail."""
    done = subprocess.run(
        [sys.executable, "-m", "deployments", "check", str(clip("small.mp4"))],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0
    assert "warning: resolution" in done.stdout
    assert done.stderr == ""


def test_the_sample_can_be_published(tmp_path: Path) -> None:
    """It is what the demo posts; here a small one."""
    report = check_video(make_sample(tmp_path / "sample.mp4", seconds=3, width=90, height=160, fps=10))

    assert report.errors == []
    assert report.facts is not None
    assert (report.facts.width, report.facts.height, report.facts.audio_codec) == (90, 160, "aac")
    assert [problem.code for problem in report.warnings] == ["resolution"]


def test_a_video_that_is_too_long_is_told_how_it_can_be_trimmed(clip: Any) -> None:
    """By a form, and by a command."""
    found = str(check_video(clip("three-hours.mp4")).errors[0])

    assert found.startswith("duration: ")
    assert "'If it is too long' to 'trim', or use `reelflow fit` with `--too-long trim`." in found


def test_a_lying_video_is_told_how_it_can_be_fitted(clip: Any) -> None:
    """In words, not in codes."""
    found = str(check_video(clip("landscape.mp4")).errors[0])

    assert found.startswith("aspect ratio: landscape, ")
    assert "set 'If the video does not fit' to 'blur', or use `reelflow fit`" in found
