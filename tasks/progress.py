"""How far a step is, and what it warns of, for whoever watches it in the same process: the command line shows both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Watcher = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much is done."""
Listener = Callable[[str], None]
"""Called with a warning, as soon as a step has it: before anything is sent."""

_watchers: list[Watcher] = []
_listeners: list[Listener] = []


@contextmanager
def watched_progress(watcher: Watcher, listener: Listener = lambda warning: None) -> Iterator[None]:
    """Tell `watcher` how far the steps are that run meanwhile in this process, and `listener` what they warn of."""
    _watchers.append(watcher)
    _listeners.append(listener)
    try:
        yield
    finally:
        _watchers.remove(watcher)
        _listeners.remove(listener)


def tell_progress(description: str, done: int, total: int) -> None:
    """Say that `done` of `total` are done. Whatever happens to its picture, the work goes on."""
    for watcher in _watchers:
        with suppress(Exception):
            watcher(description, done, total)


def tell_warning(warning: str) -> None:
    """Say what a person should check, now. Whatever happens to the words, the work goes on."""
    for listener in _listeners:
        with suppress(Exception):
            listener(warning)
