"""Processes of this machine, found by what they were started with."""

import os
import sys
from pathlib import Path

REELFLOW = [sys.executable, "-m", "deployments"]
"""The command `reelflow`, started as a process."""


def processes_of(marker: str) -> list[str]:
    """The command lines of running processes that belong to `marker`, a folder or an environment variable."""
    return list(commands_of(marker).values())


def commands_of(marker: str) -> dict[int, str]:
    """The same by their process IDs."""
    if not Path("/proc").is_dir():
        return {}
    found = dict[int, str]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if marker.encode() in command + environment:
                found[int(entry.name)] = command.replace(b"\0", b" ").decode()
    return found
