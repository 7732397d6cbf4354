"""The API key that a run uses: the saved one, also if that is replaced while the run is at work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from enum import Enum

from reelflow.countdown import Countdown
from reelflow.errors import InputError, NotAllowed, ReelflowError, Refused
from reelflow.ledger import Ledger, key_fingerprint
from reelflow.posts.outcomes import account_of
from reelflow.taisly.client import TaislyClient

log = logging.getLogger(__name__)

NEW_KEY_SECONDS = 30.0
"""Seconds for which a run that was refused waits for the new key, while the old one is being replaced."""
LOOK_FOR_KEY = 2.0
"""Seconds between two looks for it."""


class KeyFound(Enum):
    """What became of the key that is saved now."""

    USED = "it is used from now on"
    SAME = "the one in use, or not to be told"
    UNFIT = "refused, or of another Taisly account"
    UNSURE = "could not be tried"


class CurrentKey:
    """The key of one client.

    A key of another Taisly account is never used: its history says nothing of the posts of this one.

    Args:
        client: Gets the new key.
        ledger: Knows whether a key is being replaced, and which accounts it has.
        api_key: The key to begin with; only its fingerprint is kept.
        service: The client's base URL.
        saved: The key that is saved now; None if that cannot be told.
        sleep: How to wait.
    """

    def __init__(
        self,
        client: TaislyClient,
        ledger: Ledger,
        *,
        api_key: str,
        service: str,
        saved: Callable[[], str | None],
        sleep: Callable[[float], None],
    ) -> None:
        self._client, self._ledger, self._service = client, ledger, service
        self._saved, self._sleep = saved, sleep
        self._lock = threading.Lock()
        self.fingerprint = key_fingerprint(api_key.strip(), service)

    def renewed_after(self, error: BaseException, used: str) -> bool:
        """Whether another key is used from now on, after Taisly refused a request with the old one.

        While the old one is being replaced, the new one is waited for.

        Args:
            error: What the request raised. Only Taisly's own 401 says that the request did nothing because of its key.
            used: The fingerprint of the key that it had.
        """
        if not (isinstance(error, NotAllowed) and error.is_of_the_key):
            return False
        waiting = Countdown(NEW_KEY_SECONDS, self._sleep)
        while True:
            found = self.use_saved(used)
            if found is KeyFound.USED:
                return True
            is_coming = found is KeyFound.UNSURE or (found is KeyFound.SAME and self._ledger.is_being_replaced(used))
            if not is_coming or not waiting.left:
                return False
            waiting.sleep(LOOK_FOR_KEY)

    def use_saved(self, used: str) -> KeyFound:
        """Use the key that is saved now, if it is another one of the same Taisly account; by one thread at a time."""
        with self._lock:
            if self.fingerprint != used:
                return KeyFound.USED
            key = self._saved()
            if not key or (fresh := key_fingerprint(key.strip(), self._service)) == used:
                return KeyFound.SAME
            found = self._try(key, fresh)
            if found is KeyFound.USED:
                self._ledger.replace_key(used, fresh)
                self._client.use_key(key)
                self.fingerprint = fresh
                log.info("Taisly's API key was replaced. This run goes on with the new one.")
            return found

    def settle(self, used: str) -> bool:
        """Find out for all runs whether the key works that a rotation never ended with; False if Taisly does not tell.

        One request, before an upload of 400 MB leaves only to be refused.
        """
        works = True
        ticket = self._ledger.count_request(used)
        try:
            self._client.platforms()
        except ReelflowError as error:
            works = False
            if not (isinstance(error, NotAllowed) and error.is_of_the_key):
                return False
        finally:
            self._ledger.finish_request(ticket)
        self._ledger.settle_unfinished_rotation(used, works=works)
        return True

    def _try(self, key: str, fresh: str) -> KeyFound:
        """Try a key: it must have an account that the one in use had, unless the ledger knows it as its successor."""
        known = {account.id for account in self._ledger.known_accounts(self.fingerprint, float("inf")) or ()}
        is_successor = self._ledger.successor_of(self.fingerprint) == fresh
        ticket = self._ledger.count_request(fresh)
        try:
            with self._client.with_key(key) as client:
                accounts = [account_of(each) for each in client.platforms()]
        except (InputError, Refused):
            return KeyFound.UNFIT
        except ReelflowError as error:
            log.warning("The new API key could not be tried: %s", error)
            return KeyFound.UNSURE
        finally:
            self._ledger.finish_request(ticket)
        if not is_successor and known.isdisjoint(account.id for account in accounts):
            log.warning("The block now has the key of another Taisly account. This run does not use it.")
            return KeyFound.UNFIT
        self._ledger.remember_accounts(fresh, accounts)
        return KeyFound.USED
