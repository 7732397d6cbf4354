"""Processes of this machine, found by what they were started with."""

import os
import sys
from pathlib import Path

REELFLOW = [sys.executable, "-m", "deployments"]
"""The command `reelflow`, started as a process."""


def processes_of(marker: str) -> list[str]:
    """The command lines of running processes that belong to `marker`, a folder or an environment variable."""
    if not Path("/proc").is_dir():
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if marker.encode() in command + environment:
                found.append(command.replace(b"\0", b" ").decode())
    return found
