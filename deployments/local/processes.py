"""Start processes on this machine and always stop them: the sandbox, a Prefect server, and others beside them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

from deployments.settings import QUIET
from reelflow.errors import ReelflowError
from reelflow.ports import free_port

T = TypeVar("T")

START_TIMEOUT = 180.0
"""Seconds; a first start, which creates a database, takes 20 s on two slow cores."""
STOP_TIMEOUT = 10.0
"""Seconds that a process has to stop by itself after SIGTERM; whatever is left of it is then killed."""
REMIND_SECONDS = 5.0
"""Seconds between two lines about what is being waited for, so that a slow start does not look frozen."""
PLAIN = {**QUIET, "NO_COLOR": "1"}
"""Prefect's settings for processes whose output goes to a log file."""


class LocalProcess:
    """A process in a process group of its own, with its output in a file."""

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
                # Without the folder in which it starts: a file there would stand in for a module of the same name.
                env={**_own_environment(), "PYTHONSAFEPATH": "1", **environment},
                start_new_session=os.name == "posix",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )

    @property
    def pid(self) -> int:
        """Its number; on Unix also that of its process group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it is still running."""
        return self._process.poll() is None

    def wait_for(self, url: str, is_ours: Callable[[bytes], bool] = lambda _: True) -> None:
        """Return when `url` answers with a success; while waiting, print for how long.

        Args:
            url: An address of the process.
            is_ours: Whether the answer's body comes from this process: another may have taken the port meanwhile, and
                then this one is about to exit.

        Raises:
            ReelflowError: the process exited, or does not answer in time; the message ends with its last lines.
        """

        def is_up() -> bool:
            with contextlib.suppress(urllib.error.URLError, OSError), _opener().open(url, timeout=5) as answer:
                return answer.status == 200 and is_ours(answer.read())
            return False

        self._wait_for(is_up, f"at {url}")

    def wait_for_word(self, before: str) -> str:
        """The word that follows `before` in its log, as soon as it is there.

        Raises:
            ReelflowError: as for `wait_for`.
        """

        def word() -> str:
            _, _, after = self.log.read_text("utf-8", "replace").partition(before)
            return after.split()[0] if "\n" in after else ""

        return self._wait_for(word, "in its log")

    def _wait_for(self, find: Callable[[], T], where: str) -> T:
        start = reminded = time.monotonic()
        while time.monotonic() - start < START_TIMEOUT:
            if not self.running:
                raise ReelflowError(f"{self.name} exited while starting. Log: {self.log}\n{self._tail()}")
            if found := find():
                return found
            if time.monotonic() - reminded >= REMIND_SECONDS:
                reminded = time.monotonic()
                print(f"  waiting for {self.name} ({reminded - start:.0f} s)", flush=True)
            time.sleep(0.2)
        raise ReelflowError(f"{self.name} does not answer {where}. Log: {self.log}\n{self._tail()}")

    def stop(self) -> None:
        """Stop it and everything that it started."""
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
        return "\n".join(f"    {line}" for line in lines[-15:]) or "    (empty)"


def _own_environment() -> dict[str, str]:
    """This process's environment without the password of another server of the user's: ours has none."""
    return {name: value for name, value in os.environ.items() if name != "PREFECT_SERVER_API_AUTH_STRING"}


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy to this machine


@contextlib.contextmanager
def stop_on_exit(processes: list[LocalProcess]) -> Iterator[None]:
    """Stop all `processes` on the way out, whether by the end, an error, Ctrl-C or SIGTERM."""

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {s: signal.signal(s, interrupt) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut the stopping short
        threads = [threading.Thread(target=process.stop) for process in processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def start_sandbox(folder: Path, port: int, *options: str) -> LocalProcess:
    """Start the sandbox with `reelflow sandbox`'s `options`; on a free port if `port` is in use."""
    command = [sys.executable, "-m", "deployments", "sandbox", "--port", str(port), *options]
    return LocalProcess("the sandbox", command, folder / "sandbox.log", {})


def wait_for_sandbox(sandbox: LocalProcess) -> str:
    """The address of a sandbox, once it listens there."""
    return sandbox.wait_for_word("reelflow sandbox: ")


def start_prefect_server(folder: Path, port: int) -> tuple[LocalProcess, str]:
    """Start a Prefect server with its UI, which keeps everything in `folder`; the process and its address."""
    port = free_port(port)
    address = f"http://127.0.0.1:{port}"
    environment = {
        **PLAIN,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PREFECT_UI_URL": address,  # for the links in notifications
        "PREFECT_API_URL": "",
        # Its default, the memory, keeps the slots of runs for ever that were active when the server was stopped.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return LocalProcess("the Prefect server", command, folder / "server.log", environment), address


def wait_for_prefect_server(server: LocalProcess, address: str, folder: Path) -> None:
    """Return when a server that `start_prefect_server` has started answers, and not another at the same address.

    Two that are started at the same moment find the same port free; the second exits as soon as it listens there.
    """
    home = str(folder / "prefect")

    def is_ours(body: bytes) -> bool:
        try:
            return bool(json.loads(body)["home"] == home)
        except (ValueError, KeyError, TypeError):  # not a Prefect server
            return False

    server.wait_for(f"{address}/api/admin/settings", is_ours)


def use_prefect_server(address: str, folder: Path) -> None:
    """Make this process, and those that it starts, clients of a server. Call it before Prefect is imported.

    The server's own block says where its ledger is, whatever the user's environment says of other servers.
    """
    os.environ.pop("REELFLOW_LEDGER_URL", None)
    os.environ.update(
        {
            **PLAIN,
            "PREFECT_API_URL": f"{address}/api",
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_PROFILE": "ephemeral",
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
