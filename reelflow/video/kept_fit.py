"""Fitted videos, kept on disk by content and settings; and whose turn it is to make one.

    folder/.turn                 locked by the one process of this machine that encodes
    folder/<key>/<name>.mp4      a fit, whole: its folder gets its name when all of it is written
    folder/<key>/fit.json        what was changed
    folder/<key>.<any>.part/     being written; of a process that was killed if nobody has the turn
    folder/users/<process>       locked while the process lives: the fits that it uses

Encoding takes every core, so two fits at once would both take twice as long, and twice the memory.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import BaseModel, ValidationError

from reelflow.errors import NoRoom
from reelflow.file_locks import lock
from reelflow.kept_files import SPARE_BYTES, Copy, confirm_room, forget_old, is_in_use, use
from reelflow.wording import one_line

KEPT_SECONDS = 7 * 86400.0
"""A fit that was not used for so long is deleted."""
KEPT_BYTES = 5_000_000_000
"""If there are more, those that were not used for longest are deleted."""
_NOTE = "fit.json"
_PART = ".part"
_USERS = "users"
_TURN = ".turn"
_LONGEST_NAME = 200
"""Bytes; file systems take 255."""


class FitNote(BaseModel):
    """What is kept beside a fit.

    Attributes:
        size_bytes: Of the file; another size means that it was not written to its end.
        changes: What was changed, as short phrases.
        warnings: What may be unwanted about that.
    """

    size_bytes: int
    changes: list[str]
    warnings: list[str]


def default_folder() -> Path:
    """In the user's cache folder: it may be deleted at any time."""
    return user_cache_path("reelflow", appauthor=False) / "fitted"


def find_kept(folder: Path, key: str, stem: str) -> tuple[Path, FitNote] | None:
    """The fit that is kept under `key`, named as the original is by now; None if there is none.

    It is not forgotten while this process lives: a campaign may send it a day later.
    """
    place = folder / key
    try:
        if not place.is_dir():
            return None
        use(folder / _USERS, key)
        note = FitNote.model_validate_json((place / _NOTE).read_bytes())
        kept = next(path for path in place.iterdir() if path.suffix == ".mp4")
        if kept.stat().st_size != note.size_bytes:
            return None
        named = place / file_name(stem)
        if not named.exists():
            _same_file(kept, named)
        os.utime(place)
    except (OSError, StopIteration, ValidationError):
        return None
    return named, note


def _same_file(kept: Path, named: Path) -> None:
    try:
        named.hardlink_to(kept)
    except OSError:  # no links on this file system
        part = named.with_suffix(f".{os.getpid()}{_PART}")
        shutil.copy2(kept, part)
        part.replace(named)


def file_name(stem: str) -> str:
    """The name of a fit: that of its original."""
    return f"{stem.encode()[:_LONGEST_NAME].decode(errors='ignore')}.mp4"


@contextlib.contextmanager
def turn(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Be the only one on this machine that encodes; what killed processes left behind is deleted.

    Waits for as long as another process has the turn: that ends with its work, or with itself.

    Args:
        folder: Where fits are kept.
        waiting: Called once if somebody else has the turn.

    Raises:
        NoRoom: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = lock(folder / _TURN)
        if held is None:
            if waiting is not None:
                waiting()
            held = lock(folder / _TURN, patience=math.inf)
    except OSError as error:  # or a file system without locks
        raise _unwritable(folder, error) from None
    assert held is not None  # noqa: S101 - waited for without end
    with held:
        for left in folder.glob(f"*{_PART}"):
            shutil.rmtree(left, ignore_errors=True)
        yield  # closing the file unlocks it, and so does the end of the process


@contextlib.contextmanager
def part_folder(folder: Path, key: str, needed_bytes: int) -> Iterator[Path]:
    """A folder for a fit that is being made, gone afterwards unless `keep` took it; only in one's turn.

    Raises:
        NoRoom: the disk has no room for so many bytes, or cannot be written to.
    """
    part = folder / f"{key}.{secrets.token_hex(4)}{_PART}"  # a killed run's ffmpeg may still write into another
    confirm_room_for_fit(folder, needed_bytes)
    try:
        part.mkdir()
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def confirm_room_for_fit(folder: Path, needed_bytes: int) -> None:
    """Confirm that the disk has room for a fit of so many bytes; fits that nobody uses make room, in one's turn.

    Raises:
        NoRoom: it has none, or cannot be looked at.
    """
    try:
        confirm_room(
            folder,
            needed_bytes,
            copies=lambda: _fits(folder),
            forget=_forget,
            refusal=lambda free: (
                f"A fit of this video may take {needed_bytes / 1e6:.0f} MB, but only {free / 1e6:.0f} MB are free at "
                f"{one_line(str(folder))}, and {SPARE_BYTES / 1e6:.0f} MB have to stay so. Free up room there, then "
                "start again."
            ),
        )
    except OSError as error:
        raise _unwritable(folder, error) from None


def keep(part: Path, made: Path, note: FitNote) -> None:
    """Make a part the fit that is kept, in one move.

    Raises:
        NoRoom: that cannot be written.
    """
    place = part.with_name(part.name.partition(".")[0])
    try:
        (part / _NOTE).write_text(note.model_dump_json(), "utf-8")
        if made.stat().st_size != note.size_bytes:
            raise OSError("its file is incomplete")  # noqa: TRY301 - one sentence for all of it
        shutil.rmtree(place, ignore_errors=True)  # one that was damaged
        part.replace(place)
    except OSError as error:
        raise _unwritable(part.parent, error) from None


def tidy_fits(folder: Path | None = None) -> None:
    """Delete old fits as each new fit does first, for those who make no more; nothing while one is being made.

    Never raises: it is a cache.

    Args:
        folder: Where fits are kept; None for the user's cache folder.
    """
    folder = folder or default_folder()
    with contextlib.suppress(OSError):
        if folder.is_dir() and (held := lock(folder / _TURN)) is not None:
            with held:
                forget_old_fits(folder)


def forget_old_fits(folder: Path, *, most_bytes: int = KEPT_BYTES) -> None:
    """Delete fits that were not used for a long time, and the oldest of too many, but none in use; only in one's turn.

    Never raises: it is a cache.
    """
    with contextlib.suppress(OSError):
        forget_old(_fits(folder), _forget, before=time.time() - KEPT_SECONDS, most_bytes=most_bytes)


def _fits(folder: Path) -> Iterator[Copy]:
    for place in folder.iterdir():
        with contextlib.suppress(OSError):
            if place.is_dir() and place.suffix != _PART and place.name != _USERS:
                sizes = {(s := path.stat()).st_ino or path.name: s.st_size for path in place.iterdir()}
                yield Copy(place.stat().st_mtime, sum(sizes.values()), place)


def _forget(place: Path) -> bool:
    """Delete a fit that no process uses; whether it did.

    Out of the way first: whoever says that it uses the fit has said so by then, or finds none.
    """
    part = place.with_name(f"{place.name}.{secrets.token_hex(4)}{_PART}")
    with contextlib.suppress(OSError):
        place.replace(part)
        if not is_in_use(place.parent / _USERS, place.name):
            shutil.rmtree(part, ignore_errors=True)
            return True
        part.replace(place)
    return False


def _unwritable(folder: Path, error: OSError) -> NoRoom:
    reason = one_line(error.strerror or str(error))
    return NoRoom(
        f"A fitted video cannot be kept at {one_line(str(folder))} ({reason}). Free up room there, or make the folder "
        "writable, then start again."
    )
