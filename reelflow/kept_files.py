"""Copies that are kept for later runs: which of them running processes use, which are forgotten, and what stays free.

Each process has a file with the names of its copies, which is locked until it ends.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from reelflow.errors import NoRoom
from reelflow.file_locks import lock

SPARE_BYTES = 200_000_000
"""What a new copy leaves free on the disk: the ledger may be on the same one."""
YOUNG_SECONDS = 3600.0
"""A file that is younger may be of a process that has not locked it yet."""
FIRST_LOCK_SECONDS = 10.0
"""For another process that looks, at this moment, whether the file is locked."""


class _Process:
    """This process's own file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = f"{os.getpid()}-{secrets.token_hex(8)}"
        held = lock(folder / self.name, patience=FIRST_LOCK_SECONDS)
        if held is None:
            raise BlockingIOError(f"{folder / self.name} is locked")
        self._file = held
        self._names = set[str]()
        self._lock = Lock()

    def use(self, name: str) -> None:
        with self._lock:
            if name not in self._names:
                self._file.write(f"{name}\n".encode("ascii"))
                self._file.flush()
                self._names.add(name)


_PROCESSES: dict[Path, _Process] = {}
_PROCESSES_LOCK = Lock()


def _this_process(folder: Path) -> _Process:
    with _PROCESSES_LOCK:  # threads that make two would lose what the first one says
        if folder not in _PROCESSES:
            _PROCESSES[folder] = _Process(folder)
        return _PROCESSES[folder]


def use(folder: Path, name: str) -> None:
    """Say that this process uses a copy, as long as it lives.

    Args:
        folder: With the files of all processes.
        name: Of the copy.

    Raises:
        OSError: it cannot be said.
    """
    _this_process(folder).use(name)


def is_in_use(folder: Path, name: str) -> bool:
    """Whether a running process uses a copy, this one among them; forgets processes that have ended.

    In doubt one does: the file of another user's process may not open for us.

    Args:
        folder: With the files of all processes.
        name: Of the copy.
    """
    try:
        own = _this_process(folder).name
        return any(name in _names_of(path, is_own=path.name == own) for path in folder.iterdir())
    except OSError:
        return True


def _names_of(path: Path, *, is_own: bool) -> set[str]:
    """The copies that a process uses, by its file; none if it has ended.

    Raises:
        OSError: nobody can tell.
    """
    try:
        held = None if is_own else lock(path)
    except FileNotFoundError:
        return set()
    except OSError:  # it may run
        held = None
    if held is None:
        return set(path.read_bytes().decode("ascii", "replace").split())
    held.close()
    with contextlib.suppress(OSError):
        if path.stat().st_mtime < time.time() - YOUNG_SECONDS:
            path.unlink()
    return set()


class Copy(NamedTuple):
    """A copy that may be forgotten.

    Attributes:
        used_at: When it was last used, in Unix seconds.
        size: Bytes that it takes.
        folder: Where it is.
    """

    used_at: float
    size: int
    folder: Path


def forget_old(copies: Iterable[Copy], forget: Callable[[Path], bool], *, before: float, most_bytes: int) -> None:
    """Forget copies that were last used `before`, and more while they have over `most_bytes`: the longest unused first.

    Args:
        copies: All of them.
        forget: Deletes one, unless it is in use; whether it did.
        before: In Unix seconds.
        most_bytes: Of those that stay.
    """
    by_use = sorted(copies)
    total = sum(each.size for each in by_use)
    for each in by_use:
        if (each.used_at < before or total > most_bytes) and forget(each.folder):
            total -= each.size


def confirm_room(
    folder: Path,
    needed_bytes: int,
    *,
    copies: Callable[[], Iterable[Copy]],
    forget: Callable[[Path], bool],
    refusal: Callable[[int], str],
    spare_bytes: int = SPARE_BYTES,
) -> None:
    """Confirm that a disk has room for so many more bytes; where it has not, copies that nobody uses make room.

    Args:
        folder: On the disk.
        needed_bytes: Besides what stays free.
        copies: All that are kept there.
        forget: As in `forget_old`.
        refusal: The sentence for a disk on which only so many bytes are free.
        spare_bytes: What stays free.

    Raises:
        NoRoom: it has none.
        OSError: the disk cannot be looked at.
    """
    needed = needed_bytes + spare_bytes
    if (free := shutil.disk_usage(folder).free) < needed:
        kept = list(copies())
        left = sum(each.size for each in kept) - (needed - free)
        if left >= 0:  # else deleting all of them would not be enough
            forget_old(kept, forget, before=0, most_bytes=left)
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(refusal(free))
