"""What the ledger need not keep, and how long it is kept all the same: pure decisions.

A claim is never removed, however old it is. A table in docs/howto says of everything how long it is kept, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reelflow.time_zones import DAY

LONGEST_DUPLICATE = 365 * DAY
"""Seconds; the longest time within which a block may have the same video refused. What is compared stays longer."""
SLACK = 2 * DAY
"""Seconds more than that: machines differ in their clocks, and a post is published a while after it was claimed."""
REQUEST_KEPT = DAY
"""Seconds for which a request to Taisly is kept; it counts for an hour."""


class Leftover(StrEnum):
    """What is removed; of the last two, a column of rows that stay is emptied."""

    JOURNAL = "journal"
    ALARMS = "alarms"
    APPROVALS = "approvals"
    SLOTS = "slots"
    FOUND_POSTS = "found posts"
    PHONE_REQUESTS = "phone requests"
    API_REQUESTS = "requests to Taisly"
    PICTURES = "pictures"
    PHONE_SETTINGS = "phone settings"

    @property
    def is_emptied(self) -> bool:
        """Whether its rows stay, without their largest column."""
        return self in (Leftover.PICTURES, Leftover.PHONE_SETTINGS)


def kept_since(what: Leftover, days: float, now: float) -> float:
    """From when on something is kept, in Unix seconds.

    Args:
        what: Of which kind it is.
        days: For how many days a person wants to keep it. What refuses the same video is kept as long as that may be
            asked for, if that is longer.
        now: Unix seconds.
    """
    if what is Leftover.API_REQUESTS:
        return now - REQUEST_KEPT
    if what in (Leftover.FOUND_POSTS, Leftover.PICTURES):
        return now - max(days * DAY, LONGEST_DUPLICATE + SLACK)
    return now - days * DAY


@dataclass(frozen=True)
class LedgerSize:
    """How large a ledger is.

    Attributes:
        rows: Of each table, by its name.
        total_bytes: Of the file, or of the tables with their indexes.
        free_bytes: Of those that the next rows take; None where the database does not tell.
    """

    rows: Mapping[str, int]
    total_bytes: int
    free_bytes: int | None
