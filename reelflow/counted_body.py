"""A request body that counts what was sent: it proves that an interrupted upload did not create a post."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx

from reelflow.errors import InputError

PIECE = 256 * 1024
"""Bytes handed to the network at a time. httpx makes pieces of 64 KiB, with which 400 MB take half as long again."""


class CountedBody(httpx.SyncByteStream):
    """A request body that knows how much of it the transport has taken.

    `taken` counts a piece as soon as it is handed out, so ``taken < total`` proves that the service cannot
    have the whole request. The last piece (for a multipart body the closing boundary) is handed out only after
    `before_last` has returned: raising there leaves the service with a request it cannot use.

    Args:
        stream: The body as httpx built it; it is read once.
        total: Its length in bytes, as announced in Content-Length.
        progress: Called with (bytes taken, bytes in all) after each piece.
        before_last: Called once, before the last piece.
    """

    def __init__(
        self,
        stream: httpx.SyncByteStream,
        total: int,
        progress: Callable[[int, int], None] | None = None,
        before_last: Callable[[], None] | None = None,
    ) -> None:
        self._stream = stream
        self._progress = progress
        self._before_last = before_last
        self.total = total
        self.taken = 0

    @property
    def complete(self) -> bool:
        """Whether the service may have the whole body."""
        return self.taken >= self.total

    def __iter__(self) -> Iterator[bytes]:
        held: list[bytes] = []
        last = b""
        for piece in self._stream:
            if last:
                held.append(last)
            last = piece
            size = sum(map(len, held))
            if self.taken + size + len(last) > self.total:
                raise InputError(
                    "The file grew while it was being uploaded; nothing was posted. "
                    "Start again once the file is complete."
                )
            if size >= PIECE:
                yield self._hand_out(b"".join(held))
                held.clear()
        if held:
            yield self._hand_out(b"".join(held))
        if self._before_last is not None:
            self._before_last()
        yield self._hand_out(last)

    def _hand_out(self, piece: bytes) -> bytes:
        self.taken += len(piece)
        if self._progress is not None:
            self._progress(self.taken, self.total)
        return piece
