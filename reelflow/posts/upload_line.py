"""Whose turn it is to be uploaded, among all processes of this machine: a few at once, the first submitted first.

    folder/waiting/<since>-<asked>-<any>   locked by whoever waits, as long as it waits
    folder/turn-<n>                        locked by whoever uploads, as long as it uploads

The system releases a lock with its process, so what a killed one leaves holds up nobody.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from io import BufferedRandom
from pathlib import Path

from platformdirs import user_data_path

from reelflow.errors import InputError
from reelflow.file_locks import lock, try_lock

log = logging.getLogger(__name__)

AT_ONCE_VARIABLE = "REELFLOW_UPLOADS_AT_ONCE"
AT_ONCE = 4
"""Uploads at once on one machine: enough to keep its connection busy while Taisly answers, few enough that each has a
share of it, however many runs there are."""
MOST_AT_ONCE = 64
STUCK_SECONDS = 1800.0
"""If nobody has begun for so long, whoever uploads is stopped or stuck, and the next one begins beside it."""
POLL_SECONDS = 0.1
"""Between two looks whether it is our turn."""
LOCK_SECONDS = 10.0
"""For another process that looks, at this moment, whether a file of ours is locked."""
STOPPED_SECONDS = 60.0
"""Whoever has not looked for so long is stopped: the others go first, until it looks again."""
YOUNG_SECONDS = 60.0
"""A file in the line that is younger may be of a process that has not locked it yet."""


def default_folder() -> Path:
    """In the user's data folder, beside the ledger: all runs of a user share the line.

    Those of one machine: the folder may be on a drive that others use, too.
    """
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "this-machine"
    return user_data_path("reelflow", appauthor=False) / "uploads" / host


def uploads_at_once() -> int:
    """How many uploads this machine makes at once: REELFLOW_UPLOADS_AT_ONCE, or 4.

    Raises:
        InputError: the variable is no whole number from 1 to 64.
    """
    given = os.environ.get(AT_ONCE_VARIABLE, "").strip()
    if not given:
        return AT_ONCE
    if not (given.isascii() and given.isdigit()) or not 1 <= int(given[:9]) <= MOST_AT_ONCE:
        raise InputError(
            f"REELFLOW_UPLOADS_AT_ONCE is {given[:40]!r} on this machine. Set it to a whole number from 1 to "
            f"{MOST_AT_ONCE}, or remove it."
        )
    return int(given)


class UploadLine:
    """The line of uploads of this machine.

    Args:
        since: When the run was submitted, in Unix seconds: it stands before those that were submitted later. None for
            the time of asking.
        folder: For tests.
        sleep: For tests.
    """

    def __init__(
        self, since: float | None = None, *, folder: Path | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._since = since
        self._folder = folder or default_folder()
        self._at_once = uploads_at_once()
        self._sleep = sleep
        self._is_told = False

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for our turn, and have it while the body uploads.

        A machine on which nothing can be locked has no line: its uploads begin at once.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._wait())
            except OSError as error:
                if not self._is_told:
                    log.info(
                        "Uploads of this machine are not counted, since %s cannot be used: %s", self._folder, error
                    )
                    self._is_told = True
            yield

    def _wait(self) -> contextlib.AbstractContextManager[object]:
        """What to hold while we upload."""
        line = self._folder / "waiting"
        line.mkdir(parents=True, exist_ok=True)
        if not any(line.iterdir()) and (file := self._free_turn()):
            return file
        asked = time.time()
        place = line / f"{_sortable(self._since or asked)}-{_sortable(asked)}-{secrets.token_hex(4)}"
        mine = lock(place, patience=LOCK_SECONDS)
        if mine is None:
            raise BlockingIOError(f"{place} is locked")
        is_told = False
        try:
            while True:
                os.utime(place)
                if _is_first(place) and (turn := self._free_turn() or self._begin_beside()):
                    return turn
                if not is_told:
                    log.info("Waiting for other uploads of this machine: it makes %d at once.", self._at_once)
                    is_told = True
                self._sleep(POLL_SECONDS)
        finally:
            mine.close()
            with contextlib.suppress(OSError):
                place.unlink()

    def _turns(self) -> list[Path]:
        return [self._folder / f"turn-{number}" for number in range(self._at_once)]

    def _free_turn(self) -> BufferedRandom | None:
        for path in self._turns():
            if file := lock(path):
                os.utime(path)
                return file
        return None

    def _begin_beside(self) -> contextlib.AbstractContextManager[object] | None:
        """Leave to begin without a turn, where none has become free for a long time; once for each such time."""
        turns = self._turns()
        if time.time() - max(path.stat().st_mtime for path in turns) < STUCK_SECONDS:
            return None
        log.warning("The uploads of this machine have not moved on for long. This one begins beside them.")
        os.utime(turns[0])
        return contextlib.nullcontext()


def _sortable(seconds: float) -> str:
    return f"{int(max(seconds, 0.0) * 1000):015d}"


def _is_first(place: Path) -> bool:
    """Whether nobody who still waits stands before us; forgets those that were killed."""
    others = sorted(path.name for path in place.parent.iterdir())
    return not any(_waits(place.parent / name) for name in others if name < place.name)


def _waits(place: Path) -> bool:
    """Whether the process of a place in the line lives and looks. In doubt it does: it may be another user's."""
    try:
        with place.open("r+b") as file:
            if not try_lock(file):
                return place.stat().st_mtime > time.time() - STOPPED_SECONDS
    except FileNotFoundError:
        return False
    except OSError:
        return True
    with contextlib.suppress(OSError):
        if place.stat().st_mtime < time.time() - YOUNG_SECONDS:
            place.unlink()
    return False
