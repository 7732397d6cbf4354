"""The command `reelflow fit`, as people and scripts use it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.clips import AAC, H264, ffmpeg, picture, tone

from deployments.fit import _write
from reelflow.errors import InputError
from reelflow.posts.requests import read_video
from reelflow.video import check_video
from reelflow.video.ffmpeg import ffmpeg_program
from reelflow.video.fit_settings import FitSettings
from reelflow.video.origin import Origin

Fit = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A small lying video."""
    path = tmp_path / "my clip.mov"
    ffmpeg(*picture("480x270", seconds=3), *tone(3), *H264, *AAC, str(path))
    return path


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    """Runs the command, with a cache of its own."""

    def run(*words: Any, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "deployments", "fit", *map(str, words)],
            capture_output=True, text=True, check=False, timeout=120, encoding="utf-8",
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONIOENCODING": "utf-8"} | variables,
        )  # fmt: skip

    return run


def test_a_video_is_made_right_beside_its_original(fit: Fit, wide: Path) -> None:
    """It says what was changed, and where the result is."""
    done = fit(wide)

    result = wide.with_name("my clip-fit.mp4")
    assert (done.returncode, check_video(result).errors) == (0, [])
    assert done.stdout.splitlines()[:2] == [
        str(result), "      black bars added around the picture (480x270, now 540x304) to fill 540x960"
    ]  # fmt: skip
    assert "warning: enlarged" in done.stdout
    assert sorted(path.name for path in wide.parent.glob("*.m*")) == ["my clip-fit.mp4", "my clip.mov"]


def test_the_post_of_a_copy_is_that_of_its_original_until_it_is_edited(fit: Fit, wide: Path, tmp_path: Path) -> None:
    """On any machine, since the copy itself tells it; however it was fitted, and fitted once more."""
    fits = [tmp_path / f"{how}.mp4" for how in ("blur", "crop")]
    for each in fits:
        assert fit(wide, "--how", each.stem, "--output", each).returncode == 0
    assert fit(fits[1], "--loudness", "--output", tmp_path / "louder.mp4").returncode == 0
    edited = tmp_path / "edited.mp4"
    ffmpeg("-i", str(fits[0]), "-c", "copy", "-map_metadata", "0", str(edited))
    original = read_video(str(wide), fit=FitSettings())

    for each in (*fits, tmp_path / "louder.mp4"):
        copy = read_video(str(each))
        assert (copy.sha256, copy.path) == (original.sha256, each)
    assert read_video(str(edited)).sha256 != original.sha256
    assert read_video(str(fits[0]), fit=FitSettings()).sha256 == original.sha256


def test_a_file_that_exists_is_replaced_only_if_told_to(fit: Fit, wide: Path) -> None:
    """And the original never."""
    other = wide.with_name("other.mp4")
    other.write_text("mine")

    refused, original = fit(wide, "--output", other), fit(wide, "--output", wide, "--overwrite")
    kept = other.read_text()
    replaced = fit(wide, "--output", other, "--overwrite", "--how", "crop")

    assert (refused.returncode, kept) == (1, "mine")
    assert refused.stderr == f"reelflow: {other} exists. Name another file with --output, or add --overwrite.\n"
    assert "is the original, which is never changed" in original.stderr
    assert replaced.returncode == 0
    assert check_video(other).ok


def test_programs_read_json(fit: Fit, wide: Path) -> None:
    """One object, and nothing else."""
    done = fit(wide, "--json", "--how", "blur")

    told = json.loads(done.stdout)
    assert told["output"] == str(wide.with_name("my clip-fit.mp4"))
    assert told["changes"][0].startswith("a blurred background added around the picture (480x270, ")
    assert (told["facts"]["width"], told["facts"]["height"]) == (540, 960)
    assert done.stderr == ""


def test_what_is_right_stays_alone(fit: Fit, clip: Callable[[str], Path]) -> None:
    """No second file is made."""
    done = fit(clip("good.mp4"))

    assert (done.returncode, done.stdout) == (0, f"{clip('good.mp4')} needs no fit. Nothing was written.\n")
    assert not clip("good.mp4").with_name("good-fit.mp4").exists()


def test_a_script_finds_its_output_whether_a_fit_was_needed_or_not(
    fit: Fit, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    """A video that needs no fit is copied as it is, and an MKV becomes an MP4 without loss."""
    copy, remuxed = tmp_path / "copy.mp4", tmp_path / "film.mp4"

    done = fit(clip("good.mp4"), "--output", copy)
    again = fit(clip("good.mp4"), "--output", copy)
    told = fit(clip("good.mp4"), "--output", copy, "--overwrite", "--json")
    film = fit(clip("film.mkv"), "--output", remuxed)

    assert (done.returncode, done.stdout) == (0, f"{copy}\n      a copy: the video needs no fit\n")
    assert copy.read_bytes() == clip("good.mp4").read_bytes()
    assert (again.returncode, f"{copy} exists." in again.stderr) == (1, True)
    assert (json.loads(told.stdout)["output"], json.loads(told.stdout)["changes"]) == (str(copy), [])
    assert (film.returncode, "written again as MP4" in film.stdout) == (0, True)
    assert check_video(remuxed).problems == []
    assert read_video(str(remuxed)).sha256 == read_video(str(clip("film.mkv"))).sha256


def test_what_cannot_be_made_right_is_one_line(fit: Fit, clip: Callable[[str], Path], wide: Path) -> None:
    """On standard error, with the exit code 1."""
    for words, expected in [
        ((clip("sound.mp4"),), "no moving picture"),
        ((clip("three-hours.mp4"),), "at most 90 s can be published"),
        ((wide, "--output", wide.parent / "none" / "x.mp4"), "cannot be written"),
        ((wide, "--output", wide.parent), "is a folder"),
        ((wide, "--output", wide.parent / "out.mkv"), "would be an MP4 under another name. Let --output end in .mp4."),
        ((".",), ". is a folder. Give the path of one video file."),
        (("/",), "/ is a folder."),
        (("none.mp4",), "none.mp4 cannot be published: no such file. Check the path"),
        (("https://a.example/b.mp4",), "takes a file of this machine. Download the video first."),
    ]:
        done = fit(*words)

        assert done.returncode == 1
        assert expected in done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("reelflow:")]) == 1
        assert "Traceback" not in done.stderr


def test_nothing_heavy_is_imported_for_a_fit(fit: Fit, wide: Path) -> None:
    """The packages of moviepy would take longer than a short fit, and as much memory as Python."""
    done = fit(wide, PYTHONPROFILEIMPORTTIME="1")

    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "reelflow.video.fit" in imported
    assert imported.isdisjoint({"moviepy", "numpy", "PIL", "imageio", "prefect"})


def test_an_ffmpeg_that_is_not_there_is_one_sentence(fit: Fit, wide: Path) -> None:
    """FFMPEG_BINARY names another one, as it does for moviepy."""
    missing = fit(wide, FFMPEG_BINARY="/no/such/ffmpeg")
    own = fit(wide, FFMPEG_BINARY=ffmpeg_program())

    assert missing.returncode == 1
    assert "FFMPEG_BINARY is '/no/such/ffmpeg', and there is no such program" in missing.stderr
    assert "Traceback" not in missing.stderr
    assert own.returncode == 0


def test_a_file_that_appears_meanwhile_is_not_replaced(wide: Path, tmp_path: Path) -> None:
    """It was not there when the fit began, and nobody said --overwrite."""
    other, kept = tmp_path / "other.mp4", tmp_path / "kept.mp4"
    origin = Origin(sha256="0" * 64)
    kept.write_bytes(b"fit")
    other.write_text("mine")

    with pytest.raises(InputError, match=r"other\.mp4 exists\."):
        _write(kept, other, origin, overwrite=False)

    assert other.read_text() == "mine"
    _write(kept, other.with_name("new.mp4"), origin, overwrite=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.mp4", wide.name, "new.mp4", "other.mp4"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has other limits")
def test_the_longest_name_has_a_fit_too(fit: Fit, wide: Path) -> None:
    """A file name of 255 bytes has no room for "-fit"."""
    long = wide.rename(wide.with_name("ä" * 125 + "a.mp4"))

    done = fit(long, "--how", "crop")

    assert done.returncode == 0
    assert [check_video(path).ok for path in wide.parent.glob("*-fit.mp4")] == [True]


def test_what_would_mend_a_video_is_named_as_it_is_typed(fit: Fit, tmp_path: Path) -> None:
    """The form's label, which the documents use, and the option beside it."""
    path = tmp_path / "long.mp4"
    ffmpeg(*picture("90x160", seconds=91), *H264, str(path))

    said = fit(path).stderr

    assert "Trim it, or set 'If it is too long' (--too-long) to 'trim'." in said
