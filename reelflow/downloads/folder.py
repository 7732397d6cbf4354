"""The folder of downloaded videos: its locks, its room, and what is forgotten.

    locks/abc                  for the addresses whose key begins with "abc": one download of an address at a time
    users/PROCESS              locked while the process lives: the copies that it uses
    KEY/kept.json              which copy is the newest, and what its server said of it
    KEY/COPY/bread.mp4         a copy under its own name; ".part" while it is written

Addresses are kept as hashes only. A link may hold a key.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from reelflow.errors import NoRoom
from reelflow.file_locks import lock
from reelflow.kept_files import SPARE_BYTES, Copy, confirm_room, forget_old, is_in_use
from reelflow.wording import one_line

FOLDER_VARIABLE = "REELFLOW_DOWNLOADS"
"""The folder in which downloads are kept; else in the user's cache folder, from where anybody may delete them."""
KEPT_SECONDS = 14 * 86400.0
"""A copy that was not used for so long is deleted. Started again within two weeks, a campaign finds its videos."""
MOST_BYTES = 20_000_000_000
"""Of all copies: 40 of the largest videos, several hundred usual ones. The longest unused are deleted first."""
NOTE = "kept.json"
"""In the folder of each address. One that names a copy which is gone counts as none."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FREE_SPACE = f"Free some space there, or set {FOLDER_VARIABLE} to another folder."
_MAKE_WRITABLE = f"Make it a folder that can be written to, or set {FOLDER_VARIABLE} to another one."


def default_folder() -> Path:
    """REELFLOW_DOWNLOADS, or a folder in the user's cache."""
    if named := os.environ.get(FOLDER_VARIABLE, "").strip():
        return Path(named).expanduser().absolute()
    return user_cache_path("reelflow", appauthor=False) / "downloads"


@dataclass(frozen=True)
class Downloads:
    """A folder of downloaded videos.

    Attributes:
        folder: Where it is.
        spare_bytes: What stays free on its disk.
    """

    folder: Path
    spare_bytes: int = SPARE_BYTES

    def forget_old(
        self, *, now: float | None = None, kept_seconds: float = KEPT_SECONDS, most_bytes: int = MOST_BYTES
    ) -> None:
        """Delete the copies that are old or too many, but none in use. Never raises: it is a cache."""
        before = (time.time() if now is None else now) - kept_seconds
        with contextlib.suppress(OSError):
            forget_old(self._copies(), self._forget, before=before, most_bytes=most_bytes)

    def confirm_room(self, name: str, size: int = 0) -> None:
        """Confirm that the disk has room for so many more bytes; copies that nobody uses make room.

        Raises:
            NoRoom: it has none.
            OSError: the disk cannot be looked at.
        """
        has = f" has {size / 1e6:.1f} MB, and" if size else " cannot be downloaded:"
        confirm_room(
            self.folder,
            size,
            copies=self._copies,
            forget=self._forget,
            refusal=lambda free: (
                f"{name}{has} the disk of {one_line(str(self.folder))} has only {free / 1e6:.0f} MB free. Nothing was "
                f"sent. {_FREE_SPACE}"
            ),
            spare_bytes=self.spare_bytes,
        )

    def _copies(self) -> Iterator[Copy]:
        for copy in self.folder.glob("?" * 32 + "/*/"):
            with contextlib.suppress(OSError):
                yield Copy(copy.stat().st_mtime, sum(file.stat().st_size for file in copy.iterdir()), copy)

    def _forget(self, copy: Path) -> bool:
        with contextlib.suppress(OSError):
            if (held := lock(self.lock_of(copy.parent.name))) is None:
                return False
            with held:  # whoever takes a copy says so before its lock is released
                if is_in_use(self.users, copy.name):
                    return False
                shutil.rmtree(copy, ignore_errors=True)
                if {path.name for path in copy.parent.iterdir()} <= {NOTE}:  # no other copy is in it
                    (copy.parent / NOTE).unlink(missing_ok=True)
                    copy.parent.rmdir()
                return True
        return False

    def lock_of(self, key: str) -> Path:
        """The lock for an address, by its key."""
        return self.folder / "locks" / key[:3]

    @property
    def users(self) -> Path:
        """The files of the processes that use copies."""
        return self.folder / "users"

    @contextlib.contextmanager
    def saving(self, name: str) -> Iterator[None]:
        """Say in one sentence what keeps a download from being saved."""
        try:
            yield
        except OSError as error:
            reason = one_line(error.strerror or str(error))
            advice = _FREE_SPACE if error.errno in _FULL else _MAKE_WRITABLE
            raise NoRoom(
                f"{name} cannot be saved in {one_line(str(self.folder))} ({reason}). Nothing was sent. {advice}"
            ) from None
