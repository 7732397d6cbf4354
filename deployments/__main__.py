"""``python -m deployments``: the command ``reelflow``."""

from deployments.cli import main

main()
