"""Programs that the demo starts beside itself, and surely ends: the sandbox and a Prefect server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from reelflow.errors import ReelflowError

START_TIMEOUT = 180.0
"""Seconds; a first start with its database takes 20 s on two slow cores."""
STOP_TIMEOUT = 10.0
TELL_EVERY = 5.0
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "NO_COLOR": "1",
}
"""Settings for a server and its clients that live on one machine for a while."""


def say(words: str) -> None:
    """Tell the person at the terminal, at once."""
    print(words, flush=True)


def end(run: Callable[[], int], *, goodbye: str = "") -> NoReturn:
    """Run a program of ours and exit with its code; what goes wrong is one line, Ctrl-C an exit with 130."""
    try:
        sys.exit(run())
    except ReelflowError as error:
        print(f"reelflow: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        if goodbye:
            say(goodbye)
        sys.exit(130)


def free_port(wanted: int) -> int:
    """`wanted`, or a free port if it is taken."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock, contextlib.suppress(OSError):
            if hasattr(socket, "SO_REUSEPORT"):  # a port that the last run left in TIME_WAIT is free
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    raise ReelflowError("No free port was found on this machine.")


class Program:
    """A program in a process group of its own, with its output in a file."""

    def __init__(self, name: str, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=os.name == "posix",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def wait_for(self, url: str) -> None:
        """Return when `url` answers with a success; say what is waited for, and for how long.

        Raises:
            ReelflowError: the program ended, or does not answer in time; the message has its last words.
        """
        start = told = time.monotonic()
        while time.monotonic() - start < START_TIMEOUT:
            if not self.running:
                raise ReelflowError(f"{self.name} ended at its start. Its last words ({self.log}):\n{self._tail()}")
            with contextlib.suppress(urllib.error.URLError, OSError), _opener().open(url, timeout=5) as answer:
                if answer.status == 200:
                    return
            if time.monotonic() - told >= TELL_EVERY:
                told = time.monotonic()
                say(f"  still waiting for {self.name} ({told - start:.0f} s; the first start takes up to a minute)")
            time.sleep(0.2)
        raise ReelflowError(f"{self.name} does not answer at {url}. Its last words ({self.log}):\n{self._tail()}")

    def stop(self) -> None:
        """End it and everything that it started."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))  # what is left of its group, in any case
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)

    def _signal(self, which: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self._process.pid, which)
            else:
                self._process.terminate()

    def _tail(self) -> str:
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-15:]) or "    (none)"


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy to this machine


@contextlib.contextmanager
def stopping(programs: list[Program]) -> Iterator[None]:
    """Stop all `programs` on the way out, whether by the end, an error, Ctrl-C or SIGTERM."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {s: signal.signal(s, leave) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut the clearing up short
        stoppers = [threading.Thread(target=program.stop) for program in programs]
        for thread in stoppers:
            thread.start()
        for thread in stoppers:
            thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def start_sandbox(folder: Path, port: int, *options: str) -> tuple[Program, str]:
    """The sandbox and its address."""
    port = free_port(port)
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "reelflow", "sandbox", "--port", str(port), *options]
    return Program("the sandbox", command, folder / "sandbox.log", {}), address


def start_server(folder: Path, port: int) -> tuple[Program, str]:
    """A Prefect server with its UI, which keeps everything in `folder`; and its address."""
    port = free_port(port)
    environment = {
        **QUIET,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_UI_URL": f"http://127.0.0.1:{port}",  # for the links in alarms
    }
    environment["PREFECT_API_URL"] = ""
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return Program("the Prefect server", command, folder / "server.log", environment), f"http://127.0.0.1:{port}"


def use_server(address: str, folder: Path) -> None:
    """Make this process, and what it starts, a client of the server at `address`. Call before importing Prefect."""
    os.environ.update(
        {
            **QUIET,
            "PREFECT_API_URL": f"{address}/api",
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_PROFILE": "ephemeral",
            "REELFLOW_LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        }
    )


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.2) -> bool:
    """Whether `condition` became true within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True
