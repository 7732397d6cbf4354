"""Which posts are a client's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from reelflow.ledger import Ledger
from reelflow.records.posts import Send


@dataclass(frozen=True)
class PostsOfClient:
    """Tells the posts of one client from others.

    Attributes:
        name: Of its block. Posts keep the name that the block had then.
        account_ids: The accounts that its key is known to have: a block may have been saved under another name since.
    """

    name: str
    account_ids: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ledger: Ledger, name: str, key: str = "") -> Self:
        """Those of a client with this key, by its fingerprint."""
        known = ledger.known_accounts(key, float("inf")) or ()
        return cls(name, frozenset(account.id for account in known))

    def has(self, send: Send) -> bool:
        """Whether a send is one of its posts. One account in common is enough, as in `open_sends_of`."""
        return bool(self.name and send.client == self.name) or bool(self.account_ids & set(send.account_ids))
