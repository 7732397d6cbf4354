"""A new API key on this machine, from before it is generated until it is saved and tried.

Taisly shows a new key once, and the old one dies at that moment: the file is written before anything else is done with
the answer. It is for its owner alone (mode 0600), and on the disk before the next step begins.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from datetime import datetime
from pathlib import Path

from platformdirs import user_data_path
from pydantic import BaseModel, SecretStr, ValidationError, field_serializer

from reelflow.errors import InputError
from reelflow.wording import one_line


def key_folder() -> Path:
    """The folder of these files: below the user's data folder, as the ledger is by default."""
    return Path(user_data_path("reelflow", appauthor=False)) / "keys"


class KeptKey(BaseModel):
    """What is known of a key that is being replaced.

    Attributes:
        block: The name of the saved block.
        old: The fingerprint of the key that dies.
        at: When the new one was asked for.
        key: The new one; empty until Taisly has shown it.
    """

    block: str
    old: str
    at: datetime
    key: SecretStr = SecretStr("")

    @field_serializer("key", when_used="json")
    def _plain(self, key: SecretStr) -> str:
        return key.get_secret_value()


class KeyFile:
    """The file for the key of one block.

    Args:
        folder: Created when the file is written.
        block_id: Of the saved block.
    """

    def __init__(self, folder: Path, block_id: str) -> None:
        self.path = folder / f"{block_id}.json"

    def read(self) -> KeptKey | None:
        """What an earlier run has kept; None if there is nothing.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            return KeptKey.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            reason = getattr(error, "strerror", None) or "not a file of reelflow's"
            raise InputError(
                f"{one_line(str(self.path))} cannot be read ({reason}). It may hold a new API key: look into it before "
                "you delete it."
            ) from None

    def write(self, kept: KeptKey) -> None:
        """Write it whole, in one move, and wait until it is on the disk.

        Raises:
            InputError: it cannot be written.
        """
        part = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.part")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(kept.model_dump_json().encode())
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self.path)
            finally:
                part.unlink(missing_ok=True)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise InputError(
                f"{one_line(str(self.path))} cannot be written ({error.strerror}). A new API key is kept there until "
                "it is saved. Make room, or let this user write there."
            ) from None

    def delete(self, kept: KeptKey) -> None:
        """Delete it if it is still what the caller wrote or read: another run's key may stand there by now.

        One that cannot be deleted says nothing new, and the next run notices that.
        """
        with contextlib.suppress(OSError, InputError):
            if self.read() == kept:
                self.path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Let the new name survive a power cut; Windows does so by itself, and opens no folder."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
