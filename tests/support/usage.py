"""What processes use: CPU time and memory of each part of a topology, read from /proc while it works."""

import threading
from collections.abc import Callable, Iterable
from typing import Self

from support.processes import Key, Process, all_processes, with_what_they_started

EVERY = 1.0
"""Seconds between two looks."""


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
        everything = dict(all_processes())
        for part, first in self._parts.items():
            found = with_what_they_started(everything, first())
            living = {pid for pid, _ in found}
            for key, process in self._seen[part].items():
                if key not in found and process.parent not in living:  # else its parent's time has its own by now
                    self._gone[part] += process.cpu
            self._seen[part] = found
            sizes = [process.resident for process in found.values()]
            self.largest[part] = max([self.largest[part], *sizes])
            self.together[part] = max(self.together[part], sum(sizes))
