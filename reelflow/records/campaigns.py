"""The types of posting slots in the ledger, shared by everything above it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from reelflow.records.posts import Account, plain_caption


class RowPost(NamedTuple):
    """What a row of a plan wants at one account. It is the same post whatever its caption is by now.

    Attributes:
        campaign: As in `SlotRequest`.
        sha256: Of the video.
        account_id: Where.
        repeat: As in `PostRequest`.
        at: Its fixed time, in Unix seconds; 0 for at once, None if it takes a slot.
    """

    campaign: str
    sha256: str
    account_id: str
    repeat: int
    at: float | None = None


@dataclass(frozen=True)
class SlotRequest:
    """A post that needs a slot: one moment for all its accounts.

    Attributes:
        campaign: Under which the same post counts as another one; empty for all plans alike.
        sha256: Of the video.
        file: Its path.
        captions: By account id.
        accounts: Whose slot it takes.
        repeat: As in `PostRequest`.
    """

    campaign: str
    sha256: str
    file: str
    captions: Mapping[str, str]
    accounts: tuple[Account, ...]
    repeat: int = 0


@dataclass(frozen=True)
class Reservation:
    """A slot that is kept for a post at one account. `at` is in Unix seconds.

    The caption is the one with which the slot was reserved. It does not tell whose slot it is: see `post`.
    """

    campaign: str
    sha256: str
    account: Account
    caption_sha256: str
    repeat: int
    at: float

    @property
    def post(self) -> RowPost:
        """What it is kept for."""
        return RowPost(self.campaign, self.sha256, self.account.id, self.repeat)

    @property
    def moment(self) -> datetime:
        """When the post is published."""
        return datetime.fromtimestamp(self.at, UTC)


Taken = Mapping[str, Sequence[float]]
"""When each account has posts already, by its id: Unix seconds, sorted."""
Choose = Callable[[SlotRequest, Taken, float], float]
"""The slot for a post, from what is taken and the time from which on one may be chosen; both in Unix seconds."""


def caption_fingerprint(caption: str) -> str:
    """What tells two captions apart; how blanks and accents are written does not count."""
    return hashlib.sha256(plain_caption(caption).encode()).hexdigest()
