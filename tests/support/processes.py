"""Processes of this machine, found by what they were started with, and by what started them."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

REELFLOW = [sys.executable, "-m", "deployments"]
"""The command `reelflow`, started as a process."""
Key = tuple[int, int]
"""The number of a process and the time of its start, since numbers are used again."""

_PARENT, _OWN, _REAPED, _STARTED, _RESIDENT = 1, slice(11, 13), slice(13, 15), 19, 21
"""Fields of /proc/PID/stat after the name of the program; the number in man 5 proc, minus 3."""


@dataclass
class Process:
    """One process as it was seen last.

    Attributes:
        parent: The process that started it, and gets its CPU time once it has ended.
        cpu: Seconds of its own, and of those of its children that have ended.
        resident: Its memory in bytes.
    """

    parent: int
    cpu: float
    resident: int


def processes_of(marker: str) -> list[str]:
    """The command lines of running processes that belong to `marker`, a folder or an environment variable."""
    return list(commands_of(marker).values())


def commands_of(marker: str) -> dict[int, str]:
    """The same by their process IDs."""
    if not Path("/proc").is_dir():
        return {}
    found = dict[int, str]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if marker.encode() in command + environment:
                found[int(entry.name)] = command.replace(b"\0", b" ").decode()
    return found


def kill_with_its_children(pid: int) -> None:
    """Kill a process and all that it has started, wherever these put themselves."""
    for each, _ in with_what_they_started(dict(all_processes()), [pid]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def with_what_they_started(everything: dict[Key, Process], first: Iterable[int]) -> dict[Key, Process]:
    """Those of `everything` with the numbers `first`, and all that they have started."""
    found, wanted = dict[Key, Process](), set(first)
    while wanted:
        found |= {key: process for key, process in everything.items() if key[0] in wanted}
        wanted = {key[0] for key, process in everything.items() if process.parent in wanted}
    return found


def all_processes() -> Iterable[tuple[Key, Process]]:
    """Every process of this machine."""
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        cpu = sum(int(field) for field in [*fields[_OWN], *fields[_REAPED]]) / ticks
        process = Process(int(fields[_PARENT]), cpu, int(fields[_RESIDENT]) * page)
        yield (int(entry.name), int(fields[_STARTED])), process
