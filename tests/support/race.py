"""Threads that do the same at the same moment."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def at_once(number: int, act: Callable[[int], T]) -> list[T]:
    """What `act(0)`, `act(1)`, … return, each in a thread of its own and all let go together; their first error."""
    start = threading.Barrier(number)
    contexts = [contextvars.copy_context() for _ in range(number)]  # Prefect keeps its settings there

    def run(n: int) -> T:
        start.wait(60)
        return contexts[n].run(act, n)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(run, range(number)))
