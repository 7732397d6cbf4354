"""One ``reelflow up`` for each folder: a second one would start a second server on the same database.

The lock belongs to the process, so that the operating system releases it however that ends. A file beside it says where
the running one is, and which processes it started: those of one that was killed are stopped by the next start.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from deployments.local.processes import LocalProcess, wait_until
from reelflow.errors import InputError
from reelflow.file_locks import try_lock

STOP_SECONDS = 10.0
"""How long what a killed start has left behind may take to stop."""


class Occupied:
    """A folder that is this process's own until it ends."""

    def __init__(self, folder: Path) -> None:
        self._notes = folder / "running.json"

    def note(self, server: str, processes: Sequence[LocalProcess]) -> None:
        """Write down where the UI is, and what has been started."""
        started = [{"pid": process.pid, "command": _command_of(process.pid)} for process in processes]
        self._notes.write_text(json.dumps({"pid": os.getpid(), "ui": server, "processes": started}), "utf-8")


@contextlib.contextmanager
def occupied(folder: Path) -> Iterator[Occupied]:
    """Have `folder` for this process alone, and stop what an earlier one that was killed has left running.

    Raises:
        InputError: another process has it; one sentence that says where that is and how to stop it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mine = Occupied(folder)
    with (folder / "running.lock").open("a+b") as file:
        if not _is_ours(file):
            raise InputError(_who_has(folder, _read(mine._notes)))
        _stop_leftovers(_read(mine._notes))
        mine.note("", [])
        try:
            yield mine
        finally:
            mine._notes.unlink(missing_ok=True)


def _who_has(folder: Path, notes: dict[str, Any]) -> str:
    where = f"its UI is at {notes['ui']}" if notes.get("ui") else "it is just starting"
    process = f" (process {notes['pid']})" if notes.get("pid") else ""
    return (
        f"reelflow is already running in {folder}: {where}. Nothing was started. Use that one, or stop it with Ctrl-C "
        f"in its terminal{process}, or start another in a different folder."
    )


def _read(notes: Path) -> dict[str, Any]:
    try:
        found = json.loads(notes.read_text("utf-8"))
    except (OSError, ValueError):  # there is none, or its writing was interrupted
        return {}
    return found if isinstance(found, dict) else {}


def _is_ours(file: IO[bytes]) -> bool:
    try:
        return try_lock(file)
    except OSError:  # a file system without locks: nobody can tell
        return False


def _stop_leftovers(notes: dict[str, Any]) -> None:
    """Stop the processes that a killed start has left: they would share the folder with those of this one."""
    if os.name != "posix":
        return
    left = [p["pid"] for p in notes.get("processes", []) if p["command"] and _command_of(p["pid"]) == p["command"]]
    if not left:
        return
    print("Stopping what an earlier start, which was killed, has left running …", flush=True)
    for end in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, end)  # each leads a group of its own
        if wait_until(lambda: not any(map(_command_of, left)), STOP_SECONDS):
            return


def _command_of(pid: int) -> str:
    """The process group and the command line of a running process: they tell it from another with its number."""
    try:
        done = subprocess.run(
            ["ps", "-o", "pgid=,stat=,args=", "-ww", "-p", str(pid)], capture_output=True, text=True, check=False
        )
    except OSError:  # no ps on this machine
        return ""
    group, _, rest = done.stdout.strip().partition(" ")
    state, _, command = rest.strip().partition(" ")
    return "" if state.startswith("Z") or not command else f"{group} {command.strip()}"
