"""What processes use: CPU time and memory of each part of a topology, read from /proc while it works."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

Key = tuple[int, int]
"""The number of a process and the time of its start, since numbers are used again."""
EVERY = 1.0
"""Seconds between two looks."""

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


class Usage:
    """Watches the parts of a topology, each from its first processes down to all that they start.

    Args:
        parts: The first processes of each part, asked for at each look, since they may be killed and started again.
    """

    def __init__(self, parts: dict[str, Callable[[], Iterable[int]]]) -> None:
        self._parts = parts
        self._seen: dict[str, dict[Key, Process]] = {part: {} for part in parts}
        self._gone: dict[str, float] = dict.fromkeys(parts, 0.0)
        self.largest: dict[str, int] = dict.fromkeys(parts, 0)
        """Bytes of the largest process of each part, at any time."""
        self.together: dict[str, int] = dict.fromkeys(parts, 0)
        """Bytes of all its processes at once, at most; what they share counts for each."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU time that each part has used, until the last look."""
        return {
            part: self._gone[part] + sum(process.cpu for process in dict(self._seen[part]).values())
            for part in self._parts
        }

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            self.look()

    def look(self) -> None:
        """Look at every process once."""
        everything = dict(_processes())
        for part, first in self._parts.items():
            found = _with_what_they_started(everything, first())
            living = {pid for pid, _ in found}
            for key, process in self._seen[part].items():
                if key not in found and process.parent not in living:  # else its parent's time has its own by now
                    self._gone[part] += process.cpu
            self._seen[part] = found
            sizes = [process.resident for process in found.values()]
            self.largest[part] = max([self.largest[part], *sizes])
            self.together[part] = max(self.together[part], sum(sizes))


def kill_with_its_children(pid: int) -> None:
    """Kill a process and all that it has started, wherever these put themselves."""
    for each, _ in _with_what_they_started(dict(_processes()), [pid]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def _with_what_they_started(everything: dict[Key, Process], first: Iterable[int]) -> dict[Key, Process]:
    found, wanted = dict[Key, Process](), set(first)
    while wanted:
        found |= {key: process for key, process in everything.items() if key[0] in wanted}
        wanted = {key[0] for key, process in everything.items() if process.parent in wanted}
    return found


def _processes() -> Iterable[tuple[Key, Process]]:
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
