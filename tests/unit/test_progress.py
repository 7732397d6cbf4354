"""Progress on standard error: bars in a terminal, plain lines elsewhere, nothing for programs."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.progress import PlainLines, each_with_progress, shown_progress
from tasks.progress import tell_progress, tell_warning, watched_progress


def test_plain_lines_come_at_the_beginning_at_the_end_and_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """An upload reports each piece: a log file needs no thousand lines."""
    show = PlainLines()
    for done in range(1001):
        show("Upload of bread.mp4", done, 1000)
    show("Outcomes", 0, 6)

    assert capsys.readouterr().err.splitlines() == [
        "Upload of bread.mp4: 0 %",
        "Upload of bread.mp4: 100 %",
        "Outcomes: 0 %",
    ]


def test_a_line_says_100_only_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """The last piece of a small upload is a few bytes."""
    show = PlainLines()
    show("Upload of bread.mp4", 99_900, 100_000)
    show("Upload of bread.mp4", 100_000, 100_000)

    assert capsys.readouterr().err.splitlines() == ["Upload of bread.mp4: 99 %", "Upload of bread.mp4: 100 %"]


def test_what_steps_report_is_shown_and_not_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    """And only while somebody watches."""
    with shown_progress():
        tell_progress("Upload", 1, 1)
        tell_warning("Check it.")
    with shown_progress(enabled=False):
        tell_progress("Upload", 1, 1)
        tell_warning("Check it.")
    tell_progress("Upload", 1, 1)
    tell_warning("Check it.")

    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "Upload: 100 %\n  warning: Check it.\n")


def test_a_picture_that_fails_does_not_stop_the_work() -> None:
    """Standard error may be closed in the middle of an upload."""

    def broken(description: str, done: int, total: int) -> None:
        raise BrokenPipeError

    with watched_progress(broken):
        tell_progress("Upload", 1, 2)


def test_one_thing_needs_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor do several for a program."""
    assert list(each_with_progress(["a"], "Videos checked", enabled=True)) == ["a"]
    assert list(each_with_progress(["a", "b"], "Videos checked", enabled=False)) == ["a", "b"]
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are Unix's")
@pytest.mark.parametrize(("option", "has_bar"), [((), True), (("--json",), False)], ids=["for people", "--json"])
def test_in_a_terminal_it_is_a_bar_and_the_results_stay_clean(
    option: tuple[str, ...], has_bar: bool, clip: Callable[[str], Path]
) -> None:
    """Standard output may be a file while standard error is the terminal."""
    main, terminal = os.openpty()

    done = subprocess.run(
        [sys.executable, "-m", "deployments", "check", *map(str, [clip("good.mp4")] * 3), *option],
        stdout=subprocess.PIPE, stderr=terminal, check=False, timeout=60,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(terminal)
    drawn = _all_of(main)

    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    assert ("Videos checked" in drawn) is has_bar


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are Unix's")
def test_no_bar_is_drawn_over_a_question() -> None:
    """It would hide the prompt, and what is typed. Afterwards the bars go on."""
    main, terminal = os.openpty()
    script = (
        "from deployments.asking import ask_in_terminal\nfrom deployments.progress import shown_progress\n"
        "from tasks.progress import tell_progress\n"
        "with shown_progress():\n    tell_progress('Videos checked', 1, 2)\n"
        "    print(ask_in_terminal('1 row to approve.', []))\n    tell_progress('Upload', 1, 2)\n"
    )
    os.write(main, b"yes\n")  # before the question is there

    asking = subprocess.Popen([sys.executable, "-c", script], stdin=terminal, stdout=terminal, stderr=terminal,
                              env={**os.environ, "TERM": "xterm", "COLUMNS": "100"})  # fmt: skip
    os.close(terminal)
    try:
        _read(main, until="Send them?")
        over = _read(main, seconds=0.5)  # five times as long as from one drawing to the next
        os.write(main, b"3\n")
        _read(main, until="Drop 3, and send the others?")
        os.write(main, b"yes\n")
        after = _all_of(main)
        assert asking.wait(timeout=60) == 0
    finally:
        asking.kill()
        asking.wait(30)

    assert "Videos checked" not in over
    assert "GivenAnswer(approves=True, drop='3'" in after
    assert "Upload" in after


def _read(terminal: int, *, until: str = "", seconds: float = 60) -> str:
    """What a terminal shows, up to some words, or for a time."""
    found, end = b"", time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and (not until or until not in found.decode(errors="replace")):
        ready, _, _ = select.select([terminal], [], [], left)
        if not ready:
            break
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that it is closed
            break
        if not piece:
            break
        found += piece
    shown = found.decode(errors="replace")
    assert until in shown, f"{until!r} was not shown within {seconds} s, but {shown!r}"
    return shown


def _all_of(terminal: int) -> str:
    """What it shows from now on, until the program at its other end has ended."""
    found = _read(terminal)
    os.close(terminal)
    return found
