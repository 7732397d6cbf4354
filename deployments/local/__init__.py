"""A sandbox and a Prefect server on this machine, to try everything: ``reelflow demo`` and ``reelflow up``."""
