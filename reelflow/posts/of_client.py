"""Which posts are a client's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from reelflow.errors import WrongClient
from reelflow.ledger import Ledger
from reelflow.records.posts import Account, Send


def check_same_client(ledger: Ledger, flow_run: str, connected: Collection[Account], client: str) -> None:
    """Let a run that is started again go on only if its key still has accounts that it has sent to.

    Its block may have been given another client's key meanwhile: "all", or a plan, then means that client's accounts.

    Args:
        ledger: With what the run has sent.
        flow_run: The id of the run.
        connected: The accounts of its key.
        client: The name of its block.

    Raises:
        WrongClient: every post of this run went to other accounts.
    """
    ours = {account.id for account in connected}
    sent = [send for send, _ in ledger.sends_of_flow_run(flow_run)]
    if not sent or any(ours & set(send.account_ids) for send in sent):
        return
    name = client or "its block"
    raise WrongClient(
        f"This run has sent {sent[0].file_name} to accounts that the API key of {name} does not have: {name} was given "
        "the key of another Taisly account, or they were disconnected. Nothing more was sent. Put the key back and "
        "retry the run; or start a new run for the accounts of now."
    )


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
