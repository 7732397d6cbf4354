"""What is kept of each address: one newest copy, whole or not at all, and found again while it is what its server has.

A copy is never changed, since another run may be sending it: a changed file at the same address is another copy. The
earlier one is forgotten as any other.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path

from pydantic import BaseModel, ValidationError

from reelflow.downloads.folder import NOTE, Downloads
from reelflow.downloads.source import LocalVideo
from reelflow.errors import InputError, LinkEnded, NothingSent, OutcomeUnknown
from reelflow.file_locks import lock
from reelflow.kept_files import use
from reelflow.wording import duration

log = logging.getLogger(__name__)

LOOK_BYTES = 16_000_000
"""After so many bytes of a download, the disk is looked at again: others write there, too."""
AWAY_SECONDS = 86400.0
"""For so long after its server or storage was last asked, a copy is used although that is away or its link ended."""


class Kept(BaseModel):
    """A copy, and what was said of it where it is from."""

    file: str
    size: int
    modified_ns: int
    sha256: str
    etag: str = ""
    last_modified: str = ""
    confirmed_at: float

    def is_of(self, etag: str, last_modified: str, size: int | None) -> bool:
        """Whether a file with these marks is the same one; without any mark, nobody can tell."""
        if size not in (None, self.size):
            return False
        if etag or self.etag:
            return etag == self.etag
        return bool(last_modified) and last_modified == self.last_modified


def get_kept(
    downloads: Downloads,
    address: str,
    name: str,
    load: Callable[[Place], tuple[Kept, bool]],
    *,
    patience: float,
) -> LocalVideo:
    """What is at an address as a file of this machine, loaded by `load`; see `place_of` for the rest.

    `load` returns the copy of what is there now, and whether it had to be loaded. While its server is away, or
    after its link has ended, a copy from before stands in.
    """
    with place_of(downloads, address, name, patience=patience) as place:
        try:
            kept, is_new = load(place)
        except (NothingSent, OutcomeUnknown, LinkEnded) as error:
            path, note = place.copy_while_away(error)
            return LocalVideo(path, name, note)
        found = LocalVideo(place.use(kept), name)
    if is_new:
        downloads.forget_old()
    return found


@contextlib.contextmanager
def place_of(downloads: Downloads, address: str, name: str, *, patience: float) -> Iterator[Place]:
    """What is kept of one address, for one at a time: a second run waits, and finds what the first has loaded.

    Args:
        downloads: Where it is kept.
        address: Whole. It is not stored.
        name: What it is called in messages.
        patience: Seconds to wait for the other run.

    Raises:
        InputError: the other one still has it.
        NoRoom: the folder cannot be used.
    """
    key = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    with downloads.saving(name):
        (downloads.folder / "locks").mkdir(parents=True, exist_ok=True)
        held = lock(downloads.lock_of(key), patience=patience)
    if held is None:
        raise InputError(
            f"{name} was not downloaded: another download is still running after {duration(patience)}. Nothing was "
            "sent. Start this run again."
        )
    with held:
        with downloads.saving(name):
            (downloads.folder / key).mkdir(exist_ok=True)
            for part in (downloads.folder / key).glob("*/.part"):  # of a run that was killed: nobody else writes here
                shutil.rmtree(part.parent, ignore_errors=True)
            for part in (downloads.folder / key).glob("kept.*.part"):
                part.unlink(missing_ok=True)
        try:
            yield Place(downloads, downloads.folder / key, name)
        finally:
            with contextlib.suppress(OSError):  # it has a copy
                (downloads.folder / key).rmdir()


@dataclass(frozen=True)
class Place:
    """What is kept of one address; from `place_of`, while it is locked."""

    downloads: Downloads
    folder: Path
    name: str

    def newest(self) -> Kept | None:
        """The newest copy, if it is still as it was downloaded."""
        try:
            kept = Kept.model_validate_json((self.folder / NOTE).read_bytes())
            stat = (self.folder / kept.file).stat()
        except (OSError, ValidationError):
            return None
        return kept if (stat.st_size, stat.st_mtime_ns) == (kept.size, kept.modified_ns) else None

    @contextlib.contextmanager
    def part(self, size: int | None, most_bytes: int) -> Iterator[Part]:
        """A new copy to be written; what is not kept in the end is deleted.

        Args:
            size: Its bytes, if they are known.
            most_bytes: More are refused.

        Raises:
            InputError: it is too large.
            NoRoom: the disk has no room for it.
        """
        if size is not None and size > most_bytes:
            raise too_large(self.name, most_bytes)
        copy = self.folder / secrets.token_hex(8)
        with self.downloads.saving(self.name):
            self.downloads.confirm_room(self.name, size or 0)
            copy.mkdir()
            use(self.downloads.users, copy.name)
            file = (copy / ".part").open("w+b")
        try:
            yield Part(self, copy, file, most_bytes)
        finally:
            with contextlib.suppress(OSError):  # what is still to be written has no room on a full disk
                file.close()
            if (copy / ".part").exists():
                shutil.rmtree(copy, ignore_errors=True)

    def use(self, kept: Kept) -> Path:
        """The path of a copy, which is not forgotten while this process lives."""
        path = self.folder / kept.file
        with self.downloads.saving(self.name):
            use(self.downloads.users, path.parent.name)
            os.utime(path.parent)
        return path

    def copy_while_away(self, error: NothingSent | OutcomeUnknown | LinkEnded) -> tuple[Path, str]:
        """The newest copy while where it is from is away, and what is to be said of that; `error` if it is too old."""
        kept = self.newest()
        age = time.time() - kept.confirmed_at if kept else AWAY_SECONDS
        if kept is None or not 0 <= age < AWAY_SECONDS:
            raise error
        note = f"{error} The copy from {duration(age)} ago is used; what has changed since then is not in it."
        log.warning("%s", note)
        return self.use(kept), note

    def note(self, kept: Kept) -> Kept:
        """Store which copy is the newest, with what is known of it."""
        with self.downloads.saving(self.name):
            part = self.folder / f"kept.{secrets.token_hex(4)}.part"
            part.write_text(kept.model_dump_json(), "utf-8")
            part.replace(self.folder / NOTE)
        return kept


@dataclass
class Part:
    """A copy that is being written."""

    place: Place
    copy: Path
    file: BufferedRandom
    most_bytes: int
    size: int = 0

    def __post_init__(self) -> None:
        self._hash = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Add a piece.

        Raises:
            InputError: the copy gets too large.
            NoRoom: the disk is full.
        """
        is_due = self.size // LOOK_BYTES < (self.size + len(piece)) // LOOK_BYTES
        self.size += len(piece)
        if self.size > self.most_bytes:
            raise too_large(self.place.name, self.most_bytes)
        self._hash.update(piece)
        with self.place.downloads.saving(self.place.name):
            self.file.write(piece)
            if is_due:
                self.place.downloads.confirm_room(self.place.name)

    def keep(self, file_name: str, *, etag: str, last_modified: str) -> Kept:
        """Keep the copy, now that it is whole. If the newest one has the same content, that one stays.

        Args:
            file_name: Under which it is kept: see `reelflow.downloads.names`.
            etag: What tells it from a later file at the same address, if anything does.
            last_modified: The same, as a time.
        """
        sha256, before = self._hash.hexdigest(), self.place.newest()
        marks = {"etag": etag, "last_modified": last_modified, "confirmed_at": time.time()}
        if before is not None and before.sha256 == sha256:
            return self.place.note(before.model_copy(update=marks))
        with self.place.downloads.saving(self.place.name):
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            path = (self.copy / ".part").rename(self.copy / file_name)
            stat = path.stat()
        facts = {"size": stat.st_size, "modified_ns": stat.st_mtime_ns, "sha256": sha256}
        return self.place.note(Kept.model_validate({"file": f"{self.copy.name}/{file_name}", **facts, **marks}))


def too_large(name: str, most_bytes: int) -> InputError:
    """The sentence about a video that is larger than may be published."""
    return InputError(
        f"{name} is larger than {most_bytes / 1e6:.0f} MB, so it cannot be published. Export it with a lower bit rate: "
        "10 Mbit/s is plenty for 1080x1920."
    )
