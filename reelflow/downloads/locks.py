"""Locks on files, for processes that share a folder. They end with their process, however it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from io import BufferedRandom
from pathlib import Path

POLL_SECONDS = 0.2
"""Between two tries to get a lock that another process has."""

if sys.platform == "win32":
    import msvcrt

    _BEYOND = 1 << 30  # Windows locks bytes, and keeps others from reading them: this one is never written

    def _try_lock(file: BufferedRandom) -> bool:
        file.seek(_BEYOND)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: BufferedRandom) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
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
        OSError: the file cannot be opened.
    """
    descriptor = path.open("a+b")
    give_up = time.monotonic() + patience
    while not _try_lock(descriptor):
        if time.monotonic() >= give_up:
            descriptor.close()
            return None
        sleep(POLL_SECONDS)
    return descriptor
