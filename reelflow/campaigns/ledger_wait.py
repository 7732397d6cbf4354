"""Wait for a ledger that is away for a moment, while the posts of a campaign are sent."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from reelflow.errors import LedgerReplaced, LedgerUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

WAIT_SECONDS = 180.0
"""How many seconds of pauses between tries each post waits: PostgreSQL or the Prefect server may be restarting.

With the waits of each try itself, for a database that does not answer at all, that is twenty minutes.
"""
PAUSES = 18
"""How many, all of the same length."""


class LedgerWait:
    """Tries again what could not use the ledger; nothing is sent without it, and it knows what was sent.

    Args:
        sleep: How to wait.
        check: Called before and after each pause. What it raises ends the wait.
        seconds: Of pauses in all, for each call.
    """

    def __init__(
        self, sleep: Callable[[float], None], check: Callable[[], None], seconds: float = WAIT_SECONDS
    ) -> None:
        self._sleep, self._check, self._pause = sleep, check, seconds / PAUSES
        self._lock = threading.Lock()
        self._is_told = False

    def during(self, act: Callable[[], T]) -> T:
        """What `act` returns, tried again while the ledger cannot be used.

        Raises:
            LedgerReplaced: another ledger is used by now.
            LedgerUnavailable: it could not be used for long.
        """
        left = PAUSES
        while True:
            try:
                result = act()
            except LedgerUnavailable as error:
                if isinstance(error, LedgerReplaced) or not left:
                    raise
                self._check()
                self._tell(error)
            else:
                self._is_told = False
                return result
            left -= 1
            self._sleep(self._pause)
            self._check()

    def _tell(self, error: LedgerUnavailable) -> None:
        """Say once for all posts that they wait."""
        with self._lock:
            is_told, self._is_told = self._is_told, True
        if not is_told:
            log.warning("The posts wait for the ledger, and are tried again without you. The reason: %s", error)
