"""Prefect's settings for commands in a terminal. Prefect reads them when it is imported, so they are set before."""

from __future__ import annotations

import os

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_CLI_PROMPT": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
"""Nothing is printed, asked or reported but by us. The default time for an ephemeral server, 20 s, is too short for its
first start: it migrates its database."""


def use_quiet_defaults() -> None:
    """Set what the person has not set."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
