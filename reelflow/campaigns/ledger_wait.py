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
"""Pauses between tries, all of the same length."""


class LedgerWait:
    """Tries again what could not use the ledger; nothing is sent without it, and it knows what was sent.

    Used by many threads at once.

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
        self._waiting = 0

    def during(self, use_ledger: Callable[[], T]) -> T:
        """What `use_ledger` returns, tried again while the ledger cannot be used.

        Raises:
            LedgerReplaced: another ledger is used by now.
            LedgerUnavailable: it could not be used for long.
            ReelflowError: whatever else `use_ledger` or the check raises.
        """
        try:
            return use_ledger()
        except LedgerUnavailable as error:
            self._check_worth_waiting(error)
            first = error
        self._begin(first)
        try:
            return self._wait(use_ledger)
        finally:
            with self._lock:
                self._waiting -= 1

    def _wait(self, use_ledger: Callable[[], T]) -> T:
        left = PAUSES
        while True:
            self._sleep(self._pause)
            self._check()
            left -= 1
            try:
                return use_ledger()
            except LedgerUnavailable as error:
                if not left:
                    raise
                self._check_worth_waiting(error)

    def _check_worth_waiting(self, error: LedgerUnavailable) -> None:
        if isinstance(error, LedgerReplaced):
            raise error
        self._check()

    def _begin(self, error: LedgerUnavailable) -> None:
        """Say that posts wait, if no other one does so far."""
        with self._lock:
            self._waiting += 1
            is_first = self._waiting == 1
        if is_first:
            log.warning(
                "The posts wait for the ledger, and this run keeps trying. Start another run only if this one ends "
                "without sending them. The reason: %s",
                error,
            )
