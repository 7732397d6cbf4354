"""Fits are kept whole or not at all, whatever happens while they are made."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.clips import AAC, H264, ffmpeg, picture, tone
from support.processes import commands_of, processes_of

from reelflow.errors import FitUnavailable, InputError, NoRoom
from reelflow.kept_files import SPARE_BYTES
from reelflow.video import check_video
from reelflow.video.fingerprint import fingerprint
from reelflow.video.fit import fit_video, plan_fit
from reelflow.video.fit_settings import FitSettings
from reelflow.video.kept_fit import KEPT_SECONDS, forget_old_fits, part_folder, tidy_fits, turn

Clip = Callable[[str], Path]
PAD = FitSettings()
FITTING = [sys.executable, str(Path(__file__).parents[1] / "support" / "fitting.py")]

posix = pytest.mark.skipif(os.name != "posix", reason="uses signals and limits of POSIX")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lying video that is fitted in a second."""
    path = tmp_path_factory.mktemp("small") / "small-wide.mp4"
    ffmpeg(*picture("480x270", seconds=3), *tone(3), *H264, *AAC, str(path))
    return path


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lying video whose fit takes some seconds."""
    path = tmp_path_factory.mktemp("long") / "long-wide.mp4"
    ffmpeg(*picture("960x540", seconds=12), *tone(12), *H264, *AAC, str(path))
    return path


@contextlib.contextmanager
def fitting(path: Path, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A process that fits a video; it ends with the block."""
    with subprocess.Popen([*FITTING, str(path), str(folder), *more], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], word: str) -> Iterator[str]:
    """What it prints, up to a line that begins with `word`."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if line.startswith(word):
            return


def test_a_fit_is_used_again(small: Path, tmp_path: Path) -> None:
    """By content and settings: the same file, not even touched, since a run may be sending it."""
    first = fit_video(small, PAD, folder=tmp_path)
    before = first.path.stat()

    again = fit_video(small, PAD, folder=tmp_path, progress=lambda *_: pytest.fail("it was encoded again"))

    after = again.path.stat()
    assert again == first
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert first.path.name == "small-wide.mp4"


def test_the_same_content_under_another_name_is_not_encoded_again(small: Path, tmp_path: Path) -> None:
    """The fit has the name that people know it by."""
    fit_video(small, PAD, folder=tmp_path)
    other = tmp_path / "Other name.mov"
    shutil.copy(small, other)

    fitted = fit_video(other, PAD, folder=tmp_path, progress=lambda *_: pytest.fail("it was encoded again"))

    assert fitted.path.name == "Other name.mp4"
    assert fitted.report.ok


def test_a_damaged_fit_is_made_again(small: Path, tmp_path: Path) -> None:
    """What is kept is checked each time that it is used."""
    path = fit_video(small, PAD, folder=tmp_path).path
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(100)
        file.write(bytes(whole - 100))

    assert fit_video(small, PAD, folder=tmp_path).report.ok


@posix
def test_a_fit_that_is_killed_leaves_nothing_that_counts(long: Path, tmp_path: Path) -> None:
    """Its ffmpeg ends with it, the next one begins at once, and nothing of the first remains."""
    with fitting(long, tmp_path) as process:
        assert any("progress" in line for line in lines_until(process, "progress"))
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert list(tmp_path.glob("*/fit.json")) == []

    if shutil.which("setpriv"):
        until = time.monotonic() + 5
        while processes_of(str(tmp_path)) and time.monotonic() < until:
            time.sleep(0.05)
        assert processes_of(str(tmp_path)) == []
    fitted = fit_video(long, PAD, folder=tmp_path, waiting=lambda: pytest.fail("the dead one still has the turn"))

    assert fitted.report.problems == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".turn", "users", fitted.path.parent.name])


def test_a_fit_that_is_interrupted_ends_its_ffmpeg_and_removes_its_part(long: Path, tmp_path: Path) -> None:
    """As Ctrl-C does, or the end of a run."""

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_video(long, PAD, folder=tmp_path, progress=interrupt)

    assert processes_of(str(tmp_path)) == []
    assert [path.name for path in tmp_path.iterdir()] == [".turn"]


@pytest.mark.skipif(sys.platform != "linux", reason="finds a process in /proc")
def test_an_ffmpeg_that_is_killed_is_no_fault_of_the_video(long: Path, tmp_path: Path) -> None:
    """Linux does that when memory runs out: exporting the video again would not help."""

    def kill(done: int, total: int) -> None:
        for pid in commands_of(str(tmp_path)):
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(FitUnavailable, match=r"not in the video: ffmpeg was killed by signal 9, as happens"):
        fit_video(long, PAD, folder=tmp_path, progress=kill)


@posix
def test_two_processes_that_fit_the_same_file_encode_it_once(small: Path, tmp_path: Path) -> None:
    """The second one waits, and takes the fit of the first."""
    with contextlib.ExitStack() as stack:
        with turn(tmp_path):
            processes = [stack.enter_context(fitting(small, tmp_path)) for _ in range(2)]
            for process in processes:
                assert list(lines_until(process, "waiting")) == ["waiting\n"]
        outputs = [process.communicate(timeout=60)[0].splitlines() for process in processes]

    assert len({lines[-1] for lines in outputs}) == 1
    assert outputs[0][-1].startswith("fitted ")
    assert sum(any(line.startswith("progress") for line in lines) for lines in outputs) == 1


def test_a_video_that_is_replaced_while_its_fit_waits_or_is_made_has_no_fit(long: Path, tmp_path: Path) -> None:
    """The other one would be published as the one that was checked; a new time alone is no other video."""
    original, other, place = tmp_path / "one.mp4", tmp_path / "other.mp4", tmp_path / "kept"
    shutil.copy(long, original)
    ffmpeg(*picture("960x540", kind="smptebars", seconds=12), *tone(12), *H264, *AAC, str(other))

    held = contextlib.ExitStack()
    held.enter_context(turn(place))

    def replace() -> None:
        shutil.copyfile(other, original)
        held.close()

    with pytest.raises(InputError, match=r"one\.mp4 changed while it was fitted\. Start again\."):
        fit_video(original, PAD, folder=place, waiting=replace)
    with pytest.raises(InputError, match=r"one\.mp4 changed while it was fitted\. Start again\."):
        fit_video(original, PAD, folder=place, progress=lambda *_: shutil.copyfile(long, original))
    assert [path.name for path in place.iterdir()] == [".turn"]
    assert fit_video(original, PAD, folder=place, progress=lambda *_: os.utime(original)).is_changed


def test_a_video_is_read_for_its_fingerprint_only_if_it_has_changed(small: Path, tmp_path: Path) -> None:
    """Its check has read it: twenty gigabytes take a minute."""
    with small.open("rb") as file:
        true = fingerprint(file)
    known = true._replace(sha256="0" * 64)

    assert plan_fit(small, PAD, known).original == known
    assert plan_fit(small, PAD, known._replace(modified_ns=0)).original == true


@posix
def test_a_disk_that_is_full_in_the_middle_is_said_with_its_place(long: Path, tmp_path: Path) -> None:
    """One sentence; nothing half done is kept, and the next try works."""
    with fitting(long, tmp_path, "300000") as process:
        (said,) = [line for line in process.communicate(timeout=60)[0].splitlines() if line.startswith("error")]

    assert f"the disk is full at {tmp_path}" in said
    assert said.endswith("Free up room there, then start again.")
    assert [path.name for path in tmp_path.iterdir()] == [".turn"]


@posix
def test_a_real_full_disk_is_said_too(long: Path, tmp_path: Path) -> None:
    """A small file system that fills up while the fit is being made."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=270m", "reelflow-test", str(place)],
        capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")

    def fill(done: int, total: int) -> None:
        with contextlib.suppress(OSError), (place / "other").open("ab") as file:
            file.write(bytes(shutil.disk_usage(place).free))

    try:
        with pytest.raises(InputError, match=r"the disk is full at .*disk .*No space left on device.*Free up room"):
            fit_video(long, PAD, folder=place, progress=fill)
        assert sorted(path.name for path in place.iterdir()) == [".turn", "other"]
    finally:
        subprocess.run(["umount", str(place)], check=True, timeout=30)


def test_a_fit_begins_only_if_there_is_room_for_it(tmp_path: Path) -> None:
    """The sentence says how much is needed, how much there is, and where."""
    with (
        pytest.raises(InputError, match=rf"may take 1000000000 MB, but only \d+ MB are free at {tmp_path}"),
        part_folder(tmp_path, "key", 10**15),
    ):
        pass


def test_fits_that_nobody_uses_make_room_for_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest unused first, and no more than it takes; none if all of them were not enough."""
    for age, name in enumerate(["newest", "newer", "old"]):
        place = tmp_path / name
        place.mkdir()
        (place / "clip.mp4").write_bytes(bytes(100))
        os.utime(place, (time.time() - age, time.time() - age))

    def usage(_: Path) -> Any:  # a disk with room for three
        return SimpleNamespace(free=SPARE_BYTES + 300 - sum(path.stat().st_size for path in tmp_path.glob("*/*.mp4")))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(NoRoom, match="may take"), turn(tmp_path), part_folder(tmp_path, "key", 301):
        pass
    assert {path.parent.name for path in tmp_path.glob("*/*.mp4")} == {"newest", "newer", "old"}

    with turn(tmp_path), part_folder(tmp_path, "key", 100):
        assert {path.parent.name for path in tmp_path.glob("*/*.mp4")} == {"newest", "newer"}


def test_a_folder_that_cannot_be_written_to_is_named(small: Path, tmp_path: Path) -> None:
    """Here there is a file in its place."""
    place = tmp_path / "fitted"
    place.write_text("a file")

    with pytest.raises(InputError, match=rf"cannot be kept at {place} .*make the folder writable"):
        fit_video(small, PAD, folder=place)


@posix
def test_fits_that_nobody_used_for_long_are_deleted_unless_a_running_process_has_them(
    small: Path, tmp_path: Path
) -> None:
    """A campaign may send the last of its fits a week later."""
    with fitting(small, tmp_path) as process:
        unused = Path(process.communicate(timeout=60)[0].splitlines()[-1].removeprefix("fitted "))
    used = fit_video(small, FitSettings(how="blur"), folder=tmp_path).path
    long_ago = time.time() - KEPT_SECONDS - 60
    for path in (unused, used):
        os.utime(path.parent, (long_ago, long_ago))

    forget_old_fits(tmp_path)

    assert not unused.parent.exists()
    assert check_video(used).ok
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".turn", "users", used.parent.name])


def test_fits_are_tidied_without_a_new_one_but_not_while_one_is_made(tmp_path: Path) -> None:
    """As the page of the week does, for those who make no more."""
    place = tmp_path / "old"
    place.mkdir()
    (place / "clip.mp4").write_bytes(bytes(100))
    long_ago = time.time() - KEPT_SECONDS - 60
    os.utime(place, (long_ago, long_ago))

    with turn(tmp_path):
        tidy_fits(tmp_path)
        assert place.exists()
    tidy_fits(tmp_path)

    assert not place.exists()
    tidy_fits(tmp_path / "never made")
    assert not (tmp_path / "never made").exists()


def test_of_too_many_fits_those_are_deleted_that_were_not_used_for_longest(tmp_path: Path) -> None:
    """As many stay as have room; a second name of a file takes none."""
    for age, name in enumerate(["newest", "newer", "old"]):
        place = tmp_path / name
        place.mkdir()
        (place / "clip.mp4").write_bytes(bytes(100))
        (place / "other.mp4").hardlink_to(place / "clip.mp4")
        os.utime(place, (time.time() - age, time.time() - age))

    forget_old_fits(tmp_path, most_bytes=250)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["newer", "newest", "users"]


def test_a_part_that_a_killed_run_still_writes_is_in_nobodys_way(tmp_path: Path) -> None:
    """On Windows, nobody can delete it: its ffmpeg has it open."""
    with part_folder(tmp_path, "key", 0) as left, part_folder(tmp_path, "key", 0) as part:
        assert left != part
