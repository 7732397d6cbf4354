"""Processes of several machines on this one: each can be stopped, killed and started again, and all end by themselves.

Each has an environment of its own, with nothing of the tests' but what is named here.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import pytest

from support.postgres import NoPostgresError, postgres_binaries
from support.processes import commands_of

START_SECONDS = 120.0
STOP_SECONDS = 30.0
KEPT = ("PATH", "LANG", "PYTHONPATH", "PREFECT_SERVER_ANALYTICS_ENABLED", "PREFECT_WORKER_QUERY_SECONDS")
"""Of this process's environment: what every machine has, and what makes the tests quicker."""


def environment_of(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program of a user with this home folder and these settings, and nothing else."""
    home.mkdir(parents=True, exist_ok=True)
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**own, "HOME": str(home), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "300", **settings}


class Part:
    """One program. What it starts may outlive it, as at a worker, and ends with the topology.

    Args:
        name: For its logs and messages.
        command: To execute.
        environment: All of it.
        log: A file; each start adds to it.
        is_up: Whether it can be used; None if it is as soon as it runs.
        cwd: Where it is started.
        stop_signal: How its service manager stops it: this signal to the program alone.
        kill_after: Seconds that its service manager gives it to end; None if it has to end by itself.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, *,
        is_up: Callable[[], bool] | None = None, cwd: Path | None = None, stop_signal: signal.Signals = signal.SIGTERM,
        kill_after: float | None = None,
    ) -> None:  # fmt: skip
        self.name, self.command, self.environment, self.log = name, list(command), dict(environment), log
        self.is_up, self.cwd, self.stop_signal, self.kill_after = is_up, cwd, stop_signal, kill_after
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []

    @property
    def pid(self) -> int:
        """Its process ID."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> Self:
        """Start it, unless it runs; and wait until it can be used."""
        if not self.running:
            with self.log.open("ab") as out:
                self._process = subprocess.Popen(
                    self.command, cwd=self.cwd, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    start_new_session=True,
                )  # fmt: skip
            self._groups.append(self._process.pid)
        if wait:
            self.wait_until_up()
        return self

    def wait_until_up(self) -> None:
        """Wait until it can be used, or fail with the last lines of its log."""
        end = time.monotonic() + START_SECONDS
        while self.is_up is not None and not self.is_up():
            assert self.running, f"{self.name} ended:\n{self.tail()}"
            assert time.monotonic() < end, f"{self.name} is not up after {START_SECONDS:.0f} s:\n{self.tail()}"
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it as its service manager does."""
        try:
            self._end(self.stop_signal, self.kill_after or STOP_SECONDS)
        except subprocess.TimeoutExpired:
            if self.kill_after is None:
                raise
            self.kill()

    def kill(self) -> None:
        """Kill it, and leave what it has started."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def end(self) -> None:
        """Stop it, and everything that it has ever started."""
        if self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(STOP_SECONDS)

    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-25:])

    def _end(self, how: signal.Signals, within: float = STOP_SECONDS) -> None:
        if self.running:
            os.kill(self.pid, how)
            assert self._process is not None
            self._process.wait(within)


class Topology:
    """Parts by name, in the order in which they were added; they end in the reverse order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts: dict[str, Part] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for part in reversed(self.parts.values()):
            part.end()
        for pid in commands_of(str(self.folder)):  # runs, which a worker puts into groups of their own
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def __getitem__(self, name: str) -> Part:
        return self.parts[name]

    def add(
        self, name: str, command: Sequence[str], settings: Mapping[str, str], *, machine: str = "",
        is_up: Callable[[], bool] | None = None, cwd: Path | None = None, stop_signal: signal.Signals = signal.SIGTERM,
        kill_after: float | None = None,
    ) -> Part:  # fmt: skip
        """A part that is not started yet.

        Args:
            name: To find it again.
            command: To execute.
            settings: Of its environment.
            machine: Parts of the same one share a home folder; the default is one of its own.
            is_up: As for `Part`, like the others.
            cwd: See there.
            stop_signal: See there.
            kill_after: See there.
        """
        environment = environment_of(self.folder / "home" / (machine or name), settings)
        self.parts[name] = Part(
            name, command, environment, self.folder / f"{name}.log", is_up=is_up, cwd=cwd, stop_signal=stop_signal,
            kill_after=kill_after,
        )  # fmt: skip
        return self.parts[name]


@contextlib.contextmanager
def new_topology() -> Iterator[Topology]:
    """A topology with a folder of its own, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="reelflow-"))  # a socket's path is short, and others may read it
    try:
        folder.chmod(0o755)
        with Topology(folder) as topology:
            yield topology
    finally:
        shutil.rmtree(folder)


def answers(url: str) -> Callable[[], bool]:
    """Whether something answers at an address with a success."""

    def ask() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(url, trust_env=False, timeout=5).is_success
        return False

    return ask


def listens(port: int) -> Callable[[], bool]:
    """Whether something accepts connections at a port of this machine."""

    def connect() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    return connect


class Cluster:
    """A PostgreSQL with nobody but its administrator, who needs no password on its own machine, as on Debian.

    Args:
        topology: To which it belongs, as "postgresql".
        port: At which it listens once it is told to: until then, only its own machine can reach it.
    """

    def __init__(self, topology: Topology, port: int) -> None:
        try:
            binaries = postgres_binaries()
        except NoPostgresError as missing:
            pytest.skip(str(missing))
        folder = topology.folder / "postgresql"
        folder.mkdir()
        become = [
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
        ]  # runuser would keep signals from it
        as_user = become if os.getuid() == 0 else []
        user = "postgres" if as_user else getpass.getuser()
        if as_user:
            shutil.chown(folder, user)
        data = folder / "data"
        initdb = [*as_user, str(binaries / "initdb"), "-D", str(data), "-U", user, "-A", "peer", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, timeout=120)
        self.hba = data / "pg_hba.conf"
        self.hba.write_text(f"local  all  {user}  peer\n", "utf-8")
        with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"port = {port}\nunix_socket_directories = '{folder}'\nlisten_addresses = ''\n")
        path = f"PATH={binaries}:{os.environ['PATH']}"
        self.port = port
        self.as_admin = [*as_user, "env", path, f"PGHOST={folder}", f"PGPORT={port}", f"PGUSER={user}"]
        ready = [str(binaries / "pg_isready"), "-h", str(folder), "-p", str(port), "-q"]
        self.part = topology.add(
            "postgresql", [*as_user, str(binaries / "postgres"), "-D", str(data)], {}, cwd=folder,
            is_up=lambda: subprocess.run(ready, check=False, timeout=10).returncode == 0, stop_signal=signal.SIGINT,
        )  # fmt: skip
