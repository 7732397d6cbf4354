"""Run ffmpeg: with progress, with an end when its caller ends, and with a sentence of its own."""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from reelflow.wording import one_line

STUCK_SECONDS = 180.0
"""Without any progress; a damaged file may keep a decoder busy for ever."""
OWN_FFMPEG = "ffmpeg-imageio"
"""What FFMPEG_BINARY says, by default, for the one that imageio-ffmpeg has. It is moviepy's variable."""
_LOOK_SECONDS = 1.0
_LAST_LINES = 60
"""Of standard error: what ffmpeg measures takes 12 of them."""
_SAID = (
    "Error while",
    "Conversion failed",
    "Error opening output file",
    "Error muxing",
    "Task finished",
    "Terminating",
)
"""Beginnings of lines that only say that something failed, and not what."""
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_OF_MACHINE = ("Cannot allocate memory", "No such filter", "Unknown encoder", "Input/output error")
_CRASHES = {-getattr(signal, name, 0) for name in ("SIGSEGV", "SIGABRT", "SIGFPE", "SIGILL", "SIGBUS")}
"""Ends that a damaged video can cause; any other signal came from outside."""
_FILE_TOO_LARGE = getattr(signal, "SIGXFSZ", 0)
"""POSIX sends it to who writes more to a file than its user may."""

Progress = Callable[[float], None]
"""Called with the seconds of the result that are done."""


class FfmpegFailed(Exception):
    """Ffmpeg ended without its work done.

    Attributes:
        reason: What it said last, as one line.
        is_full: Whether the disk, or what may be written to it, is full.
        is_machine: Whether the cause is something else of this machine, and not the video.
    """

    def __init__(self, reason: str, *, is_full: bool = False, is_machine: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_full = is_full
        self.is_machine = is_machine


@functools.cache
def ffmpeg_program() -> str:
    """The ffmpeg that moviepy uses: the one of imageio-ffmpeg, or the one that FFMPEG_BINARY names.

    Found without importing moviepy, which takes half a second and 26 MB.

    Raises:
        FfmpegFailed: there is none.
    """
    named = os.environ.get("FFMPEG_BINARY", OWN_FFMPEG)
    if named == OWN_FFMPEG:
        import imageio_ffmpeg

        try:
            return str(imageio_ffmpeg.get_ffmpeg_exe())
        except RuntimeError as error:
            raise FfmpegFailed(one_line(str(error)), is_machine=True) from None
    found = shutil.which("ffmpeg" if named == "auto-detect" else named)
    if found is None:
        raise FfmpegFailed(f"FFMPEG_BINARY is {one_line(named)!r}, and there is no such program", is_machine=True)
    return found


def run_ffmpeg(arguments: Sequence[str], progress: Progress | None = None, *, words: str = "warning") -> list[str]:
    """Run ffmpeg, and return the last lines of what it wrote to standard error, as many as `words` has it write.

    It ends with its caller, whatever ends that: an exception such as Ctrl-C, or, on Linux, the death of the process.

    Raises:
        FfmpegFailed: it failed, or made no progress for `STUCK_SECONDS`.
    """
    command = [*_ending_with_us(), ffmpeg_program(), "-nostdin", "-hide_banner", "-v", words, "-nostats", "-y"]
    try:
        process = subprocess.Popen(
            [*command, "-progress", "pipe:1", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows would open one
        )  # fmt: skip
    except OSError as error:
        reason = f"ffmpeg cannot be started ({one_line(error.strerror or str(error))})"
        raise FfmpegFailed(reason, is_machine=True) from None
    lines_said: deque[str | None] = deque(maxlen=_LAST_LINES)
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - both are pipes
    readers = [
        threading.Thread(target=_read, args=(process.stdout, lines.put), daemon=True),
        threading.Thread(target=_read, args=(process.stderr, lines_said.append), daemon=True),
    ]
    try:
        for reader in readers:
            reader.start()
        for seconds in _times(lines):
            if progress is not None:
                progress(seconds)
        code = process.wait(STUCK_SECONDS)
    except subprocess.TimeoutExpired:
        raise FfmpegFailed("ffmpeg did not end", is_machine=True) from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(STUCK_SECONDS)
        for reader in readers:
            reader.join(STUCK_SECONDS)
        process.stdout.close()
        process.stderr.close()
    said = [word for word in lines_said if word is not None]
    if code != 0:
        raise _failure(code, said)
    return said


def _read(pipe: IO[bytes], put: Callable[[Any], None]) -> None:
    with contextlib.suppress(ValueError, OSError):
        for line in pipe:
            put(line.decode("utf-8", "replace").rstrip())
    put(None)


def _times(lines: queue.SimpleQueue[str | None]) -> Iterator[float]:
    """The seconds that are done, as ffmpeg tells them about twice a second."""
    moved_at, last = time.monotonic(), ""
    while True:
        line: str | None = ""
        with contextlib.suppress(queue.Empty):
            line = lines.get(timeout=_LOOK_SECONDS)
        if line is None:
            return
        name, _, value = line.partition("=")
        if name == "out_time_us" and value != last:
            moved_at, last = time.monotonic(), value
            if value.isdigit():
                yield int(value) / 1e6
        elif time.monotonic() - moved_at > STUCK_SECONDS:
            raise FfmpegFailed(f"ffmpeg made no progress for {STUCK_SECONDS:.0f} s")


def _failure(code: int, said: Sequence[str]) -> FfmpegFailed:
    """What ffmpeg said before it failed: the last line that names a cause."""
    whole = "\n".join(said)
    if found := next((words for words in _FULL if words in whole), None):
        return FfmpegFailed(found, is_full=True)
    if found := next((words for words in _OF_MACHINE if words in whole), None):
        return FfmpegFailed(found, is_machine=True)
    if code < 0:
        memory = ", as happens when a machine runs out of memory" if code == -9 else ""
        return FfmpegFailed(
            f"ffmpeg was killed by signal {-code}{memory}",
            is_full=-code == _FILE_TOO_LARGE,
            is_machine=code not in _CRASHES,
        )
    told = [line.rpartition("] ")[2] for line in said if line.strip() and not line.startswith((" ", "[out#"))]
    causes = [words for words in told if not words.startswith(_SAID)]
    return FfmpegFailed(one_line(causes[-1] if causes else f"exit code {code}"))


@functools.cache
def _setpriv() -> str | None:
    """Linux: the program that has a signal sent to another when its parent dies. It is part of every usual system."""
    found = shutil.which("setpriv") if sys.platform == "linux" else None
    if found is None:
        return None
    told = subprocess.run([found, "--help"], capture_output=True, text=True, check=False, timeout=10)
    return found if "--pdeathsig" in told.stdout else None


def _ending_with_us() -> list[str]:
    found = _setpriv()
    return [found, "--pdeathsig", "KILL"] if found else []
