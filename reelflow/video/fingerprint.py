"""What tells two files apart: their content."""

from __future__ import annotations

import hashlib
import os
from io import BufferedReader
from typing import NamedTuple


class Fingerprint(NamedTuple):
    """A file at one moment.

    Attributes:
        sha256: Of its content, in hex.
        size_bytes: Its size.
        modified_ns: Its modification time in nanoseconds.
    """

    sha256: str
    size_bytes: int
    modified_ns: int


def fingerprint(file: BufferedReader, known: Fingerprint | None = None) -> Fingerprint:
    """The fingerprint of an open file; `known`, from before, spares reading it if its size and time are still so."""
    file.seek(0)
    stat = os.fstat(file.fileno())
    if known is not None and (known.size_bytes, known.modified_ns) == (stat.st_size, stat.st_mtime_ns):
        return known
    return Fingerprint(hashlib.file_digest(file, "sha256").hexdigest(), stat.st_size, stat.st_mtime_ns)
