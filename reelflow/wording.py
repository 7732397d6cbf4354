"""Small pieces of sentences that people read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

NAMED = 5
"""How many things of a list a sentence names."""
LONGEST = 1000 * 86400.0
"""Seconds; nobody counts a longer time."""
LINE = 300
"""Characters of one text from outside, such as the reason of a failure."""

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control characters, and those that turn the direction of what follows them. White space is not among them."""
_HALF = re.compile(r"[\ud800-\udfff]")
"""Lone surrogates: they can be neither stored nor sent."""


_BREAKING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a name may not have: it breaks a line, turns the text after it around, or can be stored nowhere."""


def can_be_shown(name: str) -> bool:
    """Whether a name can stand in a line of text as it is."""
    return not _BREAKING.search(name)


def one_line(text: str, limit: int = LINE) -> str:
    """A text from outside as one line of at most `limit` characters that can be logged, stored and shown anywhere.

    Everything that a service or a file says goes through this where it enters, except IDs (which are checked) and
    captions (which are compared with ours).
    """
    start = _HALF.sub("\ufffd", _CONTROL.sub("", text[: 4 * limit]))
    line = " ".join(start.split())
    return line if len(line) <= limit and len(text) <= 4 * limit else line[: limit - 1] + "…"


def count(number: int, what: str, plural: str = "") -> str:
    """A number with its word: "1 comment", "2 comments"; `plural` where an "s" is not enough."""
    return f"{number} {what}" if number == 1 else f"{number} {plural or what + 's'}"


def listed(things: Sequence[str], separator: str = ", ", *, most: int = NAMED) -> str:
    """The first few of `things`: "a, b, c, d, e and 3 more"."""
    return separator.join(things[:most]) + (f" and {len(things) - most} more" if len(things) > most else "")


def all_of(things: Sequence[str]) -> str:
    """All of `things`, as in a sentence: "a", "a and b", "a, b and c"."""
    *others, last = things
    return f"{', '.join(others)} and {last}" if others else last


def duration(time: float | timedelta) -> str:
    """A length of time, a number being seconds: "45 s", "12 minutes", "3 hours", "2 days"."""
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    if not seconds < LONGEST:
        return "years"
    for unit, size, fewest in (("day", 86400, 2), ("hour", 3600, 2), ("minute", 60, 1)):
        if seconds >= size * fewest:
            return count(round(seconds / size), unit)
    return f"{seconds:.0f} s"
