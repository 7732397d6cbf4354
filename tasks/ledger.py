"""The ledger of this process."""

from functools import lru_cache

from reelflow.ledger import Ledger, default_url

PATIENCE = 60.0
"""Seconds for which a run waits for a PostgreSQL that is away: it may be restarting."""


def open_ledger() -> Ledger:
    """The ledger at REELFLOW_LEDGER_URL, or the user's own; one connection pool per process."""
    return _ledger(default_url())


@lru_cache(maxsize=4)
def _ledger(url: str) -> Ledger:
    return Ledger(url, patience=PATIENCE)
