"""Wait for something to happen in another process or thread."""

import time
from collections.abc import Callable


def until(what: str, condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for `condition`, or fail with what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for: {what}; now {condition()!r}"
        time.sleep(0.1)
