"""Accounts named with their client: "bakery: TikTok @mara.bakes". A run posts to the accounts of one client only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reelflow.errors import WrongClient
from reelflow.fields import ALL
from reelflow.posts.accounts import account_names, accounts_named, choose_accounts, names_in
from reelflow.records.posts import Account

AccountsByClient = Mapping[str, Sequence[Account]]
"""The accounts of each client, as they are known."""


@dataclass(frozen=True)
class Client:
    """The client of a run.

    Attributes:
        name: Of its block; empty if that is not saved.
        others: Finds the other clients; asked only where a name may be one of theirs.
    """

    name: str = ""
    others: Callable[[], AccountsByClient] = dict

    def choose(self, rows: Sequence[str], connected: Sequence[Account]) -> list[Account]:
        """The accounts of this client that `rows` name, with or without the client in front of each.

        Raises:
            WrongClient: one of them is another client's.
            InputError: as `choose_accounts` does.
        """
        names = [name for row in rows for name in self._names_in(row, connected)]
        for name in names:
            if name.casefold() != ALL and not accounts_named(name, connected):
                self._refuse_others(name, connected)
        return choose_accounts(names, connected)

    def _names_in(self, row: str, connected: Sequence[Account]) -> list[str]:
        return [self._own(name, connected) for name in names_in(self._own(row.strip(), connected), connected)]

    def _own(self, name: str, connected: Sequence[Account]) -> str:
        """A name without this client in front."""
        client, colon, rest = name.partition(":")
        if not colon or not self.name or client.strip().casefold() != self.name.casefold():
            return name
        return name if accounts_named(name, connected) else rest.strip()

    def _refuse_others(self, name: str, connected: Sequence[Account]) -> None:
        """Raise WrongClient if a name that none of this client's accounts has is another client's."""
        others, (front, colon, _) = self.others(), name.partition(":")
        named = front.strip().casefold() if colon else ""
        owners = [client for client in others if client.casefold() == named] or [
            client for client, accounts in others.items() if accounts_named(name, accounts)
        ]
        if not owners:
            return
        owner, mine = owners[0], self.name or "another Taisly account"
        whose = f"{name!r} is an account of the client {owner}"
        if named == owner.casefold() and name.partition(":")[2].strip().casefold() == ALL:
            whose = f"{name!r} means the accounts of the client {owner}"
        wrong = WrongClient(
            f"{whose}, but this run is for {mine}. Choose {owner} as 'Taisly account', or accounts of {mine}: "
            f"{', '.join(account_names(connected)) or 'none is connected'}."
        )
        wrong.is_named = named == owner.casefold()
        raise wrong


NOBODY = Client()
"""For a Taisly account that is not saved as a block."""
