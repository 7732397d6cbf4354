"""Copy a video from a storage, once: a copy of a file that has not changed is used again."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from reelflow.downloads.folder import Downloads
from reelflow.downloads.from_web import INSTEAD, LOAD_SECONDS
from reelflow.downloads.kept import Kept, Place, get_kept
from reelflow.downloads.names import file_name_for
from reelflow.downloads.source import LocalVideo, Storages, StoredFile, shown_name, stored_path
from reelflow.errors import InputError, OutcomeUnknown, ReelflowError
from reelflow.video.rules import Limits
from reelflow.wording import duration

log = logging.getLogger(__name__)

PIECE = 1024 * 1024
"""Bytes that are read at once."""


@dataclass(frozen=True)
class StoredVideos:
    """Copies videos from storages.

    Attributes:
        downloads: Where they are kept.
        storages: Finds a file in a storage; None where nothing can, since no server is asked.
        seconds: For one copy in all; looked at between two pieces, so a storage that hangs ends by its own rules.
        most_bytes: More are not copied.
    """

    downloads: Downloads
    storages: Storages | None
    seconds: float = LOAD_SECONDS
    most_bytes: int = Limits().max_bytes

    def get(self, source: str) -> LocalVideo:
        """The video at a path in a storage as a file of this machine; one that already is on it stays where it is.

        Raises:
            InputError: there is no such file, it is too large, or may not be read.
            NothingSent, OutcomeUnknown: the storage is away, or the connection was lost: it may be tried again.
        """
        wanted, name = stored_path(source), shown_name(source)
        if self.storages is None:
            raise InputError(
                f"{name} is in a storage, of which only the Prefect server knows the address. To check it, start a "
                "dry run."
            )
        stored = self.storages(wanted, name)
        if isinstance(stored, Path):
            return LocalVideo(stored, name)
        return get_kept(
            self.downloads,
            stored.where,
            name,
            lambda place: self._load(stored.find(), wanted.path, name, place),
            patience=self.seconds,
        )

    def _load(self, found: StoredFile, path: str, name: str, place: Place) -> tuple[Kept, bool]:
        """The copy of what is there now, and whether it had to be copied."""
        before = place.newest()
        if before is not None and found.version and before.is_of(found.version, "", found.size):
            return place.note(before.model_copy(update={"confirmed_at": time.time()})), False
        return self._copy(found, path, name, place), True

    def _copy(self, found: StoredFile, path: str, name: str, place: Place) -> Kept:
        give_up = time.monotonic() + self.seconds
        with place.part(found.size, self.most_bytes) as part:
            log.info("Copying %s from its storage%s.", name, f" ({found.size / 1e6:.1f} MB)" if found.size else "")
            try:
                with found.open() as file:
                    while piece := file.read(PIECE):
                        part.write(piece)
                        self._check_time(give_up, name)
            except ReelflowError:
                raise
            except Exception as error:  # noqa: BLE001 - each storage's library has errors of its own
                raise found.explain(error) from None
            if found.size is not None and part.size != found.size:
                raise OutcomeUnknown(f"Copying {name} ended after {part.size:,} of {found.size:,} bytes.")
            return part.keep(file_name_for([path]), etag=found.version, last_modified="")

    def _check_time(self, give_up: float, name: str) -> None:
        if time.monotonic() > give_up:
            raise InputError(f"Copying {name} took longer than {duration(self.seconds)} and was stopped. {INSTEAD}")
