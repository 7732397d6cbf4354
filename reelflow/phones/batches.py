"""One request to TikMatrix on record, and how its states follow on each other.

PLANNED ──► SENDING ──► CREATED
               ├──────► REFUSED        TikMatrix said no; nothing was made
               ├──────► UNCONFIRMED    it may have been made; a person looks
               └──────► WITHDRAWN      certainly not made
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class BatchState(StrEnum):
    """What became of a request."""

    PLANNED = "PLANNED"
    SENDING = "SENDING"
    CREATED = "CREATED"
    REFUSED = "REFUSED"
    UNCONFIRMED = "UNCONFIRMED"
    WITHDRAWN = "WITHDRAWN"


@dataclass(frozen=True)
class Batch:
    """One POST ``/task``: made, being made, or to be made.

    Attributes:
        id: Ours.
        host: The TikMatrix PC.
        script: TikMatrix's name of the script.
        platform: TikTok or Instagram.
        config: Its ``script_config`` without any secret.
        serials: Devices; empty for a request by usernames.
        usernames: Accounts; empty for a request by devices.
        targets: As sent; empty for a script without targets.
        start_at: "HH:MM", or empty.
        expected: How many tasks it makes.
        flow_run: Whose it is.
        owner: The attempt that works on it.
        lease_until: Until when that attempt is taken for alive, in Unix seconds.
        state: What became of it.
        words: Why, for people.
        left_open: Whether its run has ended with tasks that were left to TikMatrix.
        begun_at: When it was sent, in Unix seconds.
        highest_before: The highest task id that TikMatrix had before.
    """

    id: str
    host: str
    script: str
    platform: str
    config: dict[str, Any]
    serials: tuple[str, ...]
    usernames: tuple[str, ...]
    targets: tuple[str, ...]
    start_at: str
    expected: int
    flow_run: str | None
    owner: str
    lease_until: float
    state: BatchState
    words: str
    left_open: bool
    begun_at: float | None
    highest_before: int | None

    def lost(self, now: float) -> bool:
        """Whether nobody is at work on it any more."""
        return self.lease_until <= now
