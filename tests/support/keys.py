"""A run whose API key is replaced meanwhile."""

from typing import Any

from reelflow.ledger import Ledger, key_fingerprint
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.sandbox.catalog import API_KEY
from reelflow.taisly import TaislyClient
from support.clock import Clock

POST = "POST /api/private/post"
FRESH = "taisly_fresh"


class SavedKey:
    """The block with the key, as a person or another run changes it."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox, self.key, self.asked = sandbox, API_KEY, 0

    def __call__(self) -> str:
        self.asked += 1
        return self.key

    def replace(self, *, is_saved: bool = True) -> None:
        """A new key at Taisly, where the old one dies at once, and in the block."""
        self.sandbox.world.data.keys = [FRESH]
        if is_saved:
            self.key = FRESH


def taisly_with(sandbox: Any, ledger: Ledger, clock: Clock, saved: SavedKey, **client: Any) -> RateLimitedTaisly:
    """A run that begins with the old key."""
    return RateLimitedTaisly(
        TaislyClient(API_KEY, sandbox.taisly_url, **client),
        ledger,
        api_key=API_KEY,
        service=sandbox.taisly_url,
        plan="PRO",
        sleep=clock.sleep,
        fresh_key=saved,
    )


def old_key(sandbox: Any) -> str:
    """The fingerprint of the key to begin with."""
    return key_fingerprint(API_KEY, sandbox.taisly_url)


def new_key(sandbox: Any) -> str:
    """The fingerprint of the one after `SavedKey.replace`."""
    return key_fingerprint(FRESH, sandbox.taisly_url)
