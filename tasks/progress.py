"""How far a step is, for whoever watches it in the same process: the command line shows it as a bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Watcher = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much is done."""

_watchers: list[Watcher] = []


@contextmanager
def watched_progress(watcher: Watcher) -> Iterator[None]:
    """Tell `watcher` how far the steps are that run meanwhile in this process."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def tell_progress(description: str, done: int, total: int) -> None:
    """Say that `done` of `total` are done. Whatever happens to its picture, the work goes on."""
    for watcher in _watchers:
        with suppress(Exception):
            watcher(description, done, total)
