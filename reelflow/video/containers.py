"""How long a video file says it is, read from its outermost structure: the surest sign that it was cut off.

A demuxer reads a truncated file to its end without a word. But MP4 and MOV boxes, Matroska segments and RIFF
chunks each carry their own length, and one that reaches past the end of the file has lost its tail.
Sources: ISO/IEC 14496-12 section 4.2 (boxes), RFC 8794 (EBML variable-size integers), the RIFF specification.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, NamedTuple

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"uuid", b"sidx", b"meta"}
_MAX_BOXES = 10_000
"""Boxes looked at in a fragmented file, which has two for every fragment."""
_PADDING = 1 << 20
"""Bytes; content may end in a few zeros of its own."""


class Outline(NamedTuple):
    """The outermost structure of a file.

    Attributes:
        size: Of the file, in bytes.
        kind: "mp4", "matroska", "riff", or None for anything else.
        missing_bytes: How far the structure reaches past the end of the file; 0 for a whole one.
        index_first: For MP4 and MOV, whether ``moov`` stands before ``mdat``; None for others.
        has_index: For MP4 and MOV, whether there is a ``moov`` at all; None for others.
    """

    size: int
    kind: str | None
    missing_bytes: int = 0
    index_first: bool | None = None
    has_index: bool | None = None


def outline(file: BinaryIO) -> Outline:
    """Read the outline of an open file, touching a few bytes of it."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    head = file.read(12)
    if head[4:8] in _BOXES:
        return _mp4(file, size)
    if head[:4] == _EBML:
        return _matroska(file, size)
    if head[:4] == b"RIFF" and len(head) >= 8:
        return Outline(size, "riff", max(0, 8 + int.from_bytes(head[4:8], "little") - size))
    return Outline(size, None)


def content_end(file: BinaryIO, size: int) -> int:
    """Where the zeros begin that an open file ends in, up to `_PADDING` later; `size` if it does not end in them.

    A demuxer searches them for content, which takes ten times as long as reading them.
    """
    end, zeros = size, bytes(_PADDING)
    while end > 0:
        start = max(0, end - _PADDING)
        file.seek(start)
        if file.read(end - start) != zeros[: end - start]:
            break
        end = start
    return min(size, end + _PADDING)


def _mp4(file: BinaryIO, size: int) -> Outline:
    at, moov, mdat, missing = 0, None, None, 0
    for _ in range(_MAX_BOXES):
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            missing = 8 - len(header) if header else 0
            break
        length, kind = struct.unpack(">I4s", header[:8])
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        elif length == 0:  # to the end of the file
            length = size - at
        if length < 8:
            break
        if kind == b"moov" and moov is None:
            moov = at
        if kind == b"mdat" and mdat is None:
            mdat = at
        at += length
        if at >= size:
            missing = at - size
            break
    first = None if moov is None else mdat is None or moov < mdat
    return Outline(size, "mp4", missing, first, moov is not None)


def _matroska(file: BinaryIO, size: int) -> Outline:
    at = 4
    file.seek(at)
    length, width = _vint(file.read(8), keep_marker=False)
    at += width + (length or 0)
    file.seek(at)
    element, width = _vint(file.read(4), keep_marker=True)
    if element != _SEGMENT:
        return Outline(size, "matroska")
    at += width
    file.seek(at)
    length, width = _vint(file.read(8), keep_marker=False)
    if length is None:  # "unknown size": written live
        return Outline(size, "matroska")
    return Outline(size, "matroska", max(0, at + width + length - size))


def _vint(data: bytes, *, keep_marker: bool) -> tuple[int | None, int]:
    """An EBML variable-size integer and its width; None where all its bits are ones, "unknown"."""
    if not data or data[0] == 0:
        return None, 0
    width = 9 - data[0].bit_length()
    value = int.from_bytes(data[:width], "big")
    if keep_marker:
        return value, width
    value &= (1 << (7 * width)) - 1
    return (None if value == (1 << (7 * width)) - 1 else value), width
