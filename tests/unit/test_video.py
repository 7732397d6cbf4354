import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clips import RECIPES, Recipe

from reelflow.video import Limits, VideoFacts, check_video, problems
from reelflow.video.fingerprint import fingerprint
from reelflow.video.poster import poster

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
        ({"size_bytes": 500_000_000}, set()),
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


def test_check_prints_one_json_line_a_file_and_fails_for_a_bad_one(clip: Clip) -> None:
    """`reelflow check --json`: what other programs read."""
    done = subprocess.run(
        [sys.executable, "-m", "deployments", "check", "--json", str(clip("good.mp4")), str(clip("landscape.mp4"))],
        capture_output=True, text=True, check=False,
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
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0
    assert "warning: resolution" in done.stdout
    assert done.stderr == ""
