"""Whose turn it is to be uploaded, among the posts of a campaign that are claimed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Self

CONFIRMED_SECONDS = 5.0
"""How long an upload may begin after the ledger was confirmed for it."""


class Uploads:
    """Lets a few posts be uploaded at once; of those that wait, the one that comes first in the plan is next."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: list[int] = []
        self._changed = threading.Condition()

    def take(self, place: int) -> None:
        """Wait until it is the turn of the post at `place` in the plan."""
        with self._changed:
            heappush(self._waiting, place)
            self._changed.wait_for(lambda: self._free and self._waiting[0] == place)
            heappop(self._waiting)
            self._free -= 1
            self._changed.notify_all()  # there may be room for the next one, too

    def give_back(self) -> None:
        """Let the next one begin."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()


class Turn:
    """The turn of one post to be uploaded, which ends with the `with` block.

    The ledger is confirmed when the post has been claimed, before the wait: many posts wait, and one confirmation does
    for all of them.
    """

    def __init__(self, uploads: Uploads, place: int, confirm: Callable[[], None]) -> None:
        self._uploads, self._place, self._confirm = uploads, place, confirm
        self._is_taken = False
        self._confirmed_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_taken:
            self._uploads.give_back()

    def wait(self) -> None:
        """Confirm the claim, then wait for the turn; a post that is claimed in parts has one turn for all of them."""
        self._confirm()
        self._confirmed_at = time.monotonic()
        if not self._is_taken:
            self._uploads.take(self._place)
            self._is_taken = True

    def confirm_again(self) -> None:
        """Confirm once more if that was a while ago."""
        if time.monotonic() - self._confirmed_at > CONFIRMED_SECONDS:
            self._confirm()
            self._confirmed_at = time.monotonic()
