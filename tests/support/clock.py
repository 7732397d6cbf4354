"""Time that a test holds in its hand."""

import time


class Clock:
    """Time that passes only by sleeping, beginning now."""

    def __init__(self) -> None:
        self.now = time.time()
        self.start = self.now
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now

    @property
    def passed(self) -> float:
        return self.now - self.start
