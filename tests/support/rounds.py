"""How long the random rounds are, and the seed of their chance.

Short in `make test`; long in `make soak`, which sets REELFLOW_SOAK. Each is repeated with its REELFLOW_SEED.
"""

import os

SOAK = os.environ.get("REELFLOW_SOAK", "") not in ("", "0")
SEED = int(os.environ.get("REELFLOW_SEED") or 20261122)


def rounds(short: int, long: int) -> int:
    """One of two sizes."""
    return long if SOAK else short
