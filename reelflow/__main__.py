"""``python -m reelflow``: the command line."""

from reelflow.cli import main

main()
