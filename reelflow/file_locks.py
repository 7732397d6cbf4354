"""Locks on files, for processes that share a folder. The system releases them with their process, however it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from io import BufferedRandom
from pathlib import Path
from typing import IO

POLL_SECONDS = 0.2
"""Between two tries to get a lock that another process has."""

if sys.platform == "win32":
    import msvcrt

    _BEYOND = 1 << 30  # Windows locks bytes, and keeps others from reading them: this one is never written

    def _lock(file: IO[bytes]) -> None:
        file.seek(_BEYOND)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed; False if another process, or another part of this one, has it.

    Raises:
        OSError: its file system has no locks.
    """
    try:
        _lock(file)
    except (BlockingIOError, PermissionError):  # the latter on Windows
        return False
    return True


def lock(path: Path, *, patience: float = 0.0, sleep: Callable[[float], None] = time.sleep) -> BufferedRandom | None:
    """The file at `path`, opened and locked until it is closed; it is made if it is not there.

    Args:
        path: Nobody may delete it while others may be about to lock it.
        patience: Seconds to wait for whoever has it.
        sleep: For tests.

    Returns:
        None if another process, or another part of this one, still has it.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
    """
    file = path.open("a+b")
    give_up = time.monotonic() + patience
    try:
        while not try_lock(file):
            if time.monotonic() >= give_up:
                file.close()
                return None
            sleep(POLL_SECONDS)
    except BaseException:
        file.close()
        raise
    return file
