"""Small pieces of sentences that people read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

NAMED = 5
"""How many things of a list a sentence names."""


def count(number: int, what: str, plural: str = "") -> str:
    """A number with its word: "1 comment", "2 comments"; `plural` where an "s" is not enough."""
    return f"{number} {what}" if number == 1 else f"{number} {plural or what + 's'}"


def listed(things: Sequence[str], separator: str = ", ") -> str:
    """The first few of `things`: "a, b, c, d, e and 3 more"."""
    return separator.join(things[:NAMED]) + (f" and {len(things) - NAMED} more" if len(things) > NAMED else "")


def duration(time: float | timedelta) -> str:
    """A length of time, a number being seconds: "45 s", "12 minutes", "3 hours", "2 days"."""
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    for unit, size, fewest in (("day", 86400, 2), ("hour", 3600, 2), ("minute", 60, 1)):
        if seconds >= size * fewest:
            return count(round(seconds / size), unit)
    return f"{seconds:.0f} s"
