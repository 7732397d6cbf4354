"""Whose turn it is to be uploaded, among the posts of a campaign that are claimed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Self

CONFIRMED_SECONDS = 5.0
"""Seconds for which an upload may begin once the ledger was confirmed for it."""


class UploadQueue:
    """Lets a few posts be uploaded at once; of those that wait, the one that comes first in the plan is next.

    Args:
        most: How many at once.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: list[int] = []
        self._changed = threading.Condition()

    def enter(self, place: int) -> None:
        """Wait until it is the turn of the post at `place` in the plan."""
        with self._changed:
            heappush(self._waiting, place)
            self._changed.wait_for(lambda: self._free and self._waiting[0] == place)
            heappop(self._waiting)
            self._free -= 1
            self._changed.notify_all()  # there may be room for the next one, too

    def leave(self) -> None:
        """Let the next one begin."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()


class UploadPlace:
    """The place of one post among those that are uploaded, which ends with the `with` block.

    The ledger is confirmed when the post has been claimed, before the wait: many posts wait, and one confirmation does
    for all of them.

    Args:
        queue: Of all posts.
        place: Of the post in the plan.
        confirm: Raises if the ledger may not be used.
    """

    def __init__(self, queue: UploadQueue, place: int, confirm: Callable[[], None]) -> None:
        self._queue, self._place, self._confirm = queue, place, confirm
        self._is_uploading = False
        self._confirmed_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_uploading:
            self._queue.leave()

    def wait(self) -> None:
        """Confirm the claim, then wait for the post's turn; one that is claimed in parts has one for all of them."""
        self._confirm()
        self._confirmed_at = time.monotonic()
        if not self._is_uploading:
            self._queue.enter(self._place)
            self._is_uploading = True

    def confirm_again(self) -> None:
        """Confirm once more if that was a while ago."""
        if time.monotonic() - self._confirmed_at > CONFIRMED_SECONDS:
            self._confirm()
            self._confirmed_at = time.monotonic()
