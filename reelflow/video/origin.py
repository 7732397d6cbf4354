"""Which video a fitted copy was made from, told by the copy itself: so its post is the original's on any machine.

It stands in an MP4 box at the end of the file, which players skip. Whatever exports the copy again drops that box,
as it should: an edited copy is another video.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

_KIND = b"uuid" + bytes.fromhex("5f0c6a2e9b1d4c7e8a43d26f7be1905c")
_MOST = 1024
"""Bytes at the end of a file in which the box is looked for."""


class Origin(BaseModel):
    """The original of a copy.

    Attributes:
        sha256: Of the original's content.
        copy_bytes: Size of the copy without this; of another size, it was changed since.
    """

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    copy_bytes: int = 0


def read_origin(path: Path) -> Origin | None:
    """What a file says it was made from; None if it says nothing."""
    with contextlib.suppress(OSError, ValidationError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _MOST))
        end = file.read()
        at = end.rfind(_KIND) - 4
        if at >= 0 and struct.unpack_from(">I", end, at) == (len(end) - at,):
            origin = Origin.model_validate_json(end[at + 4 + len(_KIND) :])
            return origin if origin.copy_bytes == size - (len(end) - at) else None
    return None


def write_origin(path: Path, origin: Origin) -> None:
    """Say at the end of a whole MP4 what it was made from.

    Raises:
        OSError: it cannot be written.
    """
    told = origin.model_copy(update={"copy_bytes": path.stat().st_size}).model_dump_json().encode()
    with path.open("ab") as file:
        file.write(struct.pack(">I", 4 + len(_KIND) + len(told)) + _KIND + told)
