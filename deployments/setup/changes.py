"""The report of setup and teardown, one line for each thing, and the record of what setup created."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any


class Change(StrEnum):
    """What happens to one thing."""

    CREATED = "created"
    UPDATED = "updated"
    REMOVED = "removed"
    UNCHANGED = "unchanged"


_IN_A_DRY_RUN = {
    Change.CREATED: "would create",
    Change.UPDATED: "would update",
    Change.REMOVED: "would remove",
    Change.UNCHANGED: "unchanged",
}
_IN_A_SUMMARY = {
    Change.CREATED: "to create",
    Change.UPDATED: "to update",
    Change.REMOVED: "to remove",
    Change.UNCHANGED: "unchanged",
}


class Changes:
    """Makes changes one by one and prints each; a dry run only prints them.

    Attributes:
        record: What setup has created on this server, as teardown needs it: kind and name, in the order of creation.
    """

    def __init__(self, record: Iterable[str], *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.record = list(record)
        self._counts: Counter[Change] = Counter()

    def make(
        self,
        change: Change,
        thing: str,
        act: Callable[..., object] | None = None,
        *args: Any,
        is_recorded: bool = True,
    ) -> None:
        """Call `act` unless this is a dry run or `thing` stays as it is; then record and print the change.

        What is not recorded is left by teardown.
        """
        if act is not None and change is not Change.UNCHANGED and not self.dry_run:
            act(*args)
        if change is Change.CREATED and is_recorded:
            self.record.append(thing)
        elif change is Change.REMOVED and thing in self.record:  # else it was made in the UI
            self.record.remove(thing)
        self._counts[change] += 1
        print(f"  {_IN_A_DRY_RUN[change]:13} {thing}" if self.dry_run else f"  {change:10} {thing}", flush=True)

    def note(self, *lines: str) -> None:
        """Print what there is to say about the last change."""
        for line in lines:
            print(f"             {line}", flush=True)

    def keep(self, thing: str, reason: str) -> None:
        """Print what teardown leaves, and why."""
        print(f"  kept       {thing}: {reason}", flush=True)

    def skip(self, thing: str, reason: str) -> None:
        """Print what is not created, and how to have it created."""
        print(f"  skipped    {thing}: {reason}", flush=True)

    @property
    def summary(self) -> str:
        """The numbers of all changes in one line."""
        words = _IN_A_SUMMARY if self.dry_run else {change: change.value for change in Change}
        counts = ", ".join(f"{self._counts[change]} {words[change]}" for change in Change if self._counts[change])
        return f"{'Dry run, nothing was changed: ' if self.dry_run else ''}{counts or 'nothing to do'}."
