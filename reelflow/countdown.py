"""Time that runs out, whatever happens to the time of day."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Countdown:
    """Seconds to wait in all, counted by time that passes: setting the machine's clock changes nothing.

    It counts what `sleep` was asked for, and what passes beside it (requests take time, a laptop wakes up late) by the
    monotonic clock; whichever is more. So a test whose `sleep` returns at once has its time pass all the same.

    Args:
        seconds: Until it is over.
        sleep: How to wait.
    """

    def __init__(self, seconds: float, sleep: Callable[[float], None]) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._start = time.monotonic()
        self._slept = 0.0

    @property
    def left(self) -> float:
        """Seconds that are left; 0 once it is over."""
        return max(0.0, self._seconds - max(self._slept, time.monotonic() - self._start))

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """For what is waited for with a limit of its own: the time in the `with` block does not count."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._start += time.monotonic() - begun

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        seconds = min(seconds, self.left)
        self._sleep(seconds)
        self._slept += seconds
