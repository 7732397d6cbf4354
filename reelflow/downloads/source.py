"""Where a video is, as people write it: the path of a file, an address on the web, or a path in a storage."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from reelflow.addresses import is_address, name_of
from reelflow.errors import InputError
from reelflow.wording import one_line

BLOCK = "block://"
"""What the path of a video in a storage begins with; then follow the saved block as Prefect's commands name it, and the
path: block://remote-file-system/main/clips/bread.mp4."""
_STORED = re.compile(r"block://([a-z0-9-]+)/([a-z0-9-]+)/(.*[^/])", re.IGNORECASE | re.DOTALL)
_OTHER = re.compile(r"(?!block:)([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
"""An address of a storage itself; a single letter is a drive of Windows."""
_DOWNLOAD = "FTP is not supported. Give its https:// address, or download the video and give the path of its file."
_TO_DO = {
    "file": "Write the path of the file alone.",
    "ftp": _DOWNLOAD,
    "ftps": _DOWNLOAD,
    "smb": "Save a block SMB for the share, and write block://smb/NAME/PATH.",
}
"""What to do instead, where that is not to save a block with the address."""


@dataclass(frozen=True)
class LocalVideo:
    """A video as a file of this machine.

    Attributes:
        path: The file.
        name: What the video is called in messages; of an address, no more than may be shown.
        note: What is to be said of how it was found; empty for nothing.
    """

    path: Path
    name: str
    note: str = ""


class StoredPath(NamedTuple):
    """A path in a storage: the kind and the name of the saved block that knows the storage, and the path in it."""

    kind: str
    block: str
    path: str


@dataclass(frozen=True)
class StoredFile:
    """A file in a storage, found and not read yet.

    Attributes:
        size: Bytes; None if the storage does not tell.
        version: What is another one when the file has changed; empty if nothing tells.
        open: Opens it for reading.
        explain: Makes one of our errors from what the storage raises.
    """

    size: int | None
    version: str
    open: Callable[[], BinaryIO]
    explain: Callable[[Exception], Exception]


class Stored(NamedTuple):
    """A place in a storage.

    Attributes:
        where: Its whole address, by which a copy is kept: a block may lead to another storage tomorrow.
        find: Finds the file; raises InputError if there is none that may be read, else OutcomeUnknown.
    """

    where: str
    find: Callable[[], StoredFile]


Storages = Callable[[StoredPath, str], Stored | Path]
"""Finds the place in its storage, or the path on this machine. The second argument is its name for messages.

Raises InputError if there is no such storage, OutcomeUnknown if the server that knows it cannot be asked.
"""


def is_elsewhere(source: str) -> bool:
    """Whether a video is named by something else than the path of a file."""
    return is_address(source) or is_stored(source) or _OTHER.match(source) is not None


def is_stored(source: str) -> bool:
    """Whether a video is named by a path in a storage, of which only a Prefect server knows the address."""
    return source.lower().startswith(BLOCK)


def shown_name(source: str) -> str:
    """What a video is called, however it is named: the last part of its path, or what may be shown of its address."""
    if is_address(source) or _OTHER.match(source):
        return name_of(source)
    return one_line(source.replace("\\", "/").rpartition("/")[2])


def stored_path(source: str) -> StoredPath:
    """What a path in a storage says.

    Raises:
        InputError: it is not complete, leads out of the storage, or names the storage in place of its block.
    """
    if other := _OTHER.match(source):
        protocol = other[1].lower()
        block = (
            f"Save a block Remote File System with the base path {protocol}://…, and write "
            "block://remote-file-system/NAME/PATH."
        )
        raise InputError(
            f"{shown_name(source)} cannot be read from an address that begins with {protocol}://. "
            f"{_TO_DO.get(protocol, block)}"
        )
    if not (match := _STORED.fullmatch(source)):
        raise InputError(
            f"{one_line(source)} is not a path in a storage. Write block://, the type and the name of its saved block, "
            "and the path, such as block://remote-file-system/main/clips/bread.mp4."
        )
    found = StoredPath(*match.groups())
    if ".." in re.split(r"[/\\]", found.path):
        raise InputError(f"{one_line(source)} leads out of the folder of its storage. Write the path without '..'.")
    return found._replace(kind=found.kind.lower(), block=found.block.lower())
