"""Requests of the plan, taken as a run takes them."""

from typing import Any

from reelflow.ledger import Ledger, Room


def take(ledger: Ledger, key: str, most: int, **more: Any) -> Room:
    """Ask for room for one request to publish, of `most` in an hour."""
    return ledger.take_request(key, "publish", lambda watched: most, **more)
