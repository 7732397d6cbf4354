"""Ask Taisly whether an API key works: it is the only one that knows which keys are dead."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reelflow.errors import NotAllowed, NothingSent, OutcomeUnknown, ReelflowError
from reelflow.ledger import Ledger, key_fingerprint
from reelflow.records.posts import Account
from reelflow.taisly.answers import SERVICE
from reelflow.taisly.client import TaislyClient
from reelflow.taisly.wire import ConnectedAccount

TRIES = 3
"""How often Taisly is asked whether a key works."""
TRY_PAUSE = 5.0
"""Seconds between two of them, and before the first after a lost answer: the request may still be carried out."""


@dataclass(frozen=True)
class KeyTrial:
    """Tries keys, each with a request that changes nothing.

    Args:
        ledger: Where requests are counted, and the accounts of a key remembered.
        service: The address of Taisly's API, as the ledger names it.
        client: A client with a key.
        sleep: How to wait.
    """

    ledger: Ledger
    service: str
    client: Callable[[str], TaislyClient]
    sleep: Callable[[float], None]

    def works(self, key: str) -> bool:
        """Whether Taisly accepts a key, which its own 401 denies.

        Raises:
            ServiceError: Taisly cannot be asked.
        """
        for tries_left in reversed(range(TRIES)):
            ticket = self.ledger.count_request(self.fingerprint(key))
            try:
                with self.client(key) as client:
                    found = client.platforms()
            except NotAllowed as error:
                if error.is_of_the_key:
                    return False
                raise
            except (NothingSent, OutcomeUnknown):
                if not tries_left:
                    raise
            else:
                self._remember(key, found)
                return True
            finally:
                with contextlib.suppress(ReelflowError):
                    self.ledger.finish_request(ticket)
            self.sleep(TRY_PAUSE)
        raise AssertionError  # pragma: no cover - the last try returns or raises

    def _remember(self, key: str, found: Sequence[ConnectedAccount]) -> None:
        """Remember the accounts of a key: by them a run knows that a new key is of the same Taisly account."""
        accounts = [Account(id=each.id, platform=each.platform, name=each.display_name) for each in found]
        with contextlib.suppress(ReelflowError):
            self.ledger.remember_accounts(self.fingerprint(key), accounts)

    def fingerprint(self, key: str) -> str:
        """The name of a key in the ledger."""
        return key_fingerprint(key.strip(), self.service)

    def after_lost_answer(self, key: str, error: ReelflowError, what: str) -> NothingSent | None:
        """What to raise if Taisly has not done it, since the key still works; None if it is dead.

        Raises:
            OutcomeUnknown: Taisly does not tell.
        """
        for _ in range(2):  # the request may still be carried out
            self.sleep(TRY_PAUSE)
            try:
                if not self.works(key):
                    return None
            except ReelflowError as why:
                raise OutcomeUnknown(
                    f"{error} Taisly does not tell whether it {what}: {why} Run this again: it finds out first.",
                    service=SERVICE,
                ) from None
        return NothingSent(
            f"{error} Taisly has not {what}: the key still works. It is safe to run this again.", service=SERVICE
        )
