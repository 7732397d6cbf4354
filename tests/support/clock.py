"""Time that a test holds in its hand."""

import time
from collections.abc import Callable


class Clock:
    """Time that passes only by sleeping, beginning now."""

    def __init__(self) -> None:
        self.now = time.time()
        self.start = self.now
        self.slept: list[float] = []
        self.on_sleep: Callable[[float], object] = lambda seconds: None

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep(seconds)

    def __call__(self) -> float:
        return self.now

    @property
    def passed(self) -> float:
        return self.now - self.start
