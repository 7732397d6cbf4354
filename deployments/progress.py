"""Progress and warnings on standard error: bars in a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from deployments.options import in_options

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

LINE_SECONDS = 10.0
"""Between two plain lines about the same thing."""
_drawn: list[Progress] = []
"""The bars in this terminal."""


@contextmanager
def shown_progress(*, enabled: bool = True) -> Iterator[None]:
    """Show how far the steps of a flow are that runs meanwhile in this process, and what they warn of."""
    if not enabled:
        yield
        return
    from tasks.progress import watched_progress

    with progress() as show, watched_progress(show, print_warning):
        yield


def print_warning(warning: str) -> None:
    """Print a warning above the bars, at once: there is still time to stop."""
    with without_bars():
        print(f"  warning: {in_options(warning)}", file=sys.stderr, flush=True)


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function to call with what is being done, and how much of how much is done."""
    if not sys.stderr.isatty():
        yield PlainLines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    # Standard output is the results', and may be a file: it must not be drawn into the bars.
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, transient=True) as bars:
        known: dict[str, TaskID] = {}

        def show(description: str, done: int, total: int) -> None:
            if description not in known:
                known[description] = bars.add_task(description, total=total)
            bars.update(known[description], completed=done, total=total)

        _drawn.append(bars)
        try:
            yield show
        finally:
            _drawn.remove(bars)


@contextmanager
def without_bars() -> Iterator[None]:
    """Take the bars away while a person is asked: they would be drawn over the question and its answer."""
    stopped = list(_drawn)
    for bars in stopped:
        bars.stop()
    try:
        yield
    finally:
        for bars in stopped:
            bars.start()


class PlainLines:
    """Prints a line when something begins, when it is done, and every few seconds in between."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[float, int]] = {}

    def __call__(self, description: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        now = time.monotonic()
        at, before = self._shown.get(description, (0.0, -1))
        is_new, is_end = before < 0, done >= total
        if done == before or not (is_new or is_end or now - at >= LINE_SECONDS):
            return
        self._shown[description] = now, done
        print(f"{description}: {100 * done // max(1, total)} %", file=sys.stderr, flush=True)


def each_with_progress(things: Sequence[T], description: str, *, enabled: bool) -> Iterator[T]:
    """The things one after the other, with the progress through them where there are several."""
    if not enabled or len(things) < 2:
        yield from things
        return
    with progress() as show:
        for number, thing in enumerate(things):
            show(description, number, len(things))
            yield thing
        show(description, len(things), len(things))
