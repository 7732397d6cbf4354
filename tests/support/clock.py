"""Time that a test holds in its hand."""

import time
from collections.abc import Callable

from reelflow.sandbox import Sandbox


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

    def drive(self, sandbox: Sandbox, *, ahead: float = 0.0) -> None:
        """Let a sandbox's clock go along with this one, `ahead` of it by so many seconds."""

        def follow(seconds: float) -> None:
            sandbox.world.data.clock_offset = self.now + ahead - time.time()

        self.on_sleep = follow
        follow(0.0)

    def __call__(self) -> float:
        return self.now

    @property
    def passed(self) -> float:
        return self.now - self.start


class RealClock(Clock):
    """The world's own time, as those need who wait for each other; a sleep is cut short."""

    def sleep(self, seconds: float) -> None:
        time.sleep(0.01)

    def __call__(self) -> float:
        return time.time()
