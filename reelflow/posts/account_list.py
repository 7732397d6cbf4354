"""What is connected to a Taisly key, under the names that forms and commands take, and what its plan has left."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from reelflow.errors import Busy, OutcomeUnknown, Refused
from reelflow.posts.accounts import account_names
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.holds import Hold
from reelflow.records.posts import Account
from reelflow.taisly.wire import KeyInfo

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedAccount:
    """A connected account.

    Attributes:
        name: As the field *Accounts* and ``--to`` take it.
        account: With its ID, which they take as well.
        hold: Why campaigns send nothing there; None if they do.
    """

    name: str
    account: Account
    hold: Hold | None = None


@dataclass(frozen=True)
class Quota:
    """The requests of the last hour, by every run on every machine that shares the ledger.

    Attributes:
        used: How many.
        per_hour: How many the plan allows.
        first_free_again: When the oldest of them no longer counts, in Unix seconds; None if there is none.
    """

    used: int
    per_hour: int
    first_free_again: float | None

    @property
    def left(self) -> int:
        """How many are left now."""
        return max(0, self.per_hour - self.used)


@dataclass(frozen=True)
class AccountList:
    """All of one key.

    Attributes:
        accounts: In Taisly's order.
        quota: After the requests for this list.
        key: What Taisly tells about the key; None if it does not, or was not asked.
    """

    accounts: Sequence[ListedAccount]
    quota: Quota
    key: KeyInfo | None


def list_accounts(taisly: RateLimitedTaisly, *, with_key: bool = True) -> AccountList:
    """The accounts as Taisly lists them now, which costs a request of the plan; or as they are known, if none is left.

    Args:
        taisly: With the key.
        with_key: Whether Taisly is asked about the key, too, with another request.

    Raises:
        ServiceError: Taisly does not list them. What it tells about the key may be missing.
    """
    connected = taisly.listed_accounts()
    holds = {hold.account.id: hold for hold in taisly.ledger.on_hold(taisly.service)}
    listed = [
        ListedAccount(name, account, holds.get(account.id))
        for name, account in zip(account_names(connected), connected, strict=True)
    ]
    key = _key_facts(taisly) if with_key else None
    return AccountList(listed, quota_of(taisly), key)


def quota_of(taisly: RateLimitedTaisly) -> Quota:
    """What the plan has left, without a request."""
    ledger = taisly.ledger
    return Quota(ledger.requests_in_last_hour(taisly.key), taisly.per_hour, ledger.first_free_again(taisly.key))


def _key_facts(taisly: RateLimitedTaisly) -> KeyInfo | None:
    try:
        return taisly.key_facts()
    except (Busy, Refused, OutcomeUnknown) as error:  # not documented, and not needed for anything
        log.info("Taisly tells nothing about the key: %s", error)
        return None
