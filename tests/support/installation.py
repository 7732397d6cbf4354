"""The server of docs/deployment.md on this machine: its commands and files as they stand there, in their order."""

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from reelflow.ports import free_port
from support.document import File, Shell, blocks_of, section_of, settings_of, unit_of
from support.terminal import talk
from support.topology import Cluster, Part, Topology, answers, environment_of, listens

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "deployment.md"
TITLE = "## A server with PostgreSQL and Redis"
SHELL_SECONDS = 300
PASSWORDS = {"PREFECT_PASSWORD": "prefectSecret1", "REDIS_PASSWORD": "redisSecret2", "API_PASSWORD": "apiSecret3"}
ADMIN = ("admin", PASSWORDS["API_PASSWORD"])
"""Who may use the API."""
LEDGER_PASSWORD = "ledgerSecret4"
TYPED = {
    "Enter password for new role: ": [PASSWORDS["PREFECT_PASSWORD"], LEDGER_PASSWORD],
    "Enter it again: ": [PASSWORDS["PREFECT_PASSWORD"], LEDGER_PASSWORD],
    "]: ": ["Europe/Berlin"],
    "(hidden): ": [LEDGER_PASSWORD],
}
"""What a person types, by the end of the question, in the order of asking."""


class Installation:
    """Everything of the document, on the free ports of this machine.

    Args:
        topology: In which it runs: the parts are named like the units, those of workers like their pools.
        sandbox: The address that stands in for Taisly and TikMatrix.
    """

    def __init__(self, topology: Topology, sandbox: str) -> None:
        self.topology, self.folder = topology, topology.folder
        if (redis := shutil.which("redis-server")) is None:
            pytest.skip("Redis is not installed on this machine (redis-server not found)")
        pytest.importorskip("prefect_redis", reason="the package prefect-redis is not installed")
        self.redis = redis
        self.postgres_port, self.redis_port, self.port = free_port(), free_port(), free_port()
        self.cluster = Cluster(topology, self.postgres_port)
        self.terminal = self.folder / "home" / "terminal"
        substitutes = {
            "sudo -u postgres": shlex.join(self.cluster.as_admin),
            "db.example": "127.0.0.1",
            "5432": str(self.postgres_port),
            "listen_addresses = '*'": "listen_addresses = '127.0.0.1'",
            "10.0.0.0/24": "127.0.0.0/24",
            "redis.example": "127.0.0.1",
            "6379": str(self.redis_port),
            "bind 0.0.0.0": f"bind 127.0.0.1\ndir {self.folder}",
            "server.example": "127.0.0.1",
            "4200": str(self.port),
            "--host 0.0.0.0": "--host 127.0.0.1",
            "apt-get install --yes": "echo",  # what the test needs is there, and this machine gets no new users
            "make -C /opt/reelflow install": "echo",
            "uv pip install": "uv pip install --dry-run --offline",  # it says so if the package is not there
            "useradd": "echo",
            "usermod": "echo",
            "-g reelflow": f"-g {os.getgid()}",
            "/home/reelflow": f"{self.folder}/home/server",
            "/opt/reelflow/.venv/bin": str(Path(sys.executable).parent),
            "/opt/reelflow": str(ROOT),
            "/etc/": f"{self.folder}/etc/",
            "reelflow setup": f"reelflow setup --sandbox {sandbox}",
            **PASSWORDS,
        }
        self.blocks = blocks_of(section_of(DOCUMENT, TITLE), substitutes)
        self._typed = {prompt: iter(answers) for prompt, answers in TYPED.items()}

    @property
    def api(self) -> str:
        """The address of Prefect's API."""
        return f"http://127.0.0.1:{self.port}/api"

    def install(self) -> Iterator[str]:
        """Do all that the document says, one block after the other; what each block of commands printed."""
        self.cluster.part.start()
        for block in self.blocks:
            if (printed := self._do(block)) is not None:
                yield printed

    def in_terminal(self, *lines: str) -> str:
        """Commands in a new terminal: its shell has no variables but those of the system."""
        return self._shell([*self._terminal_settings(), *lines])

    def enable(self, name: str, *, pool: str = "") -> Part:
        """A program under systemd, started by its unit: with the unit's settings, and stopped as it says."""
        template = f"{name}@" if pool else name
        unit = unit_of((self.folder / f"etc/systemd/system/{template}.service").read_text("utf-8"))
        assert (unit.pop("Restart"), unit.pop("RestartSec")) == ("always", "5")
        assert unit.pop("User") == "reelflow"
        how = signal.Signals[unit.pop("KillSignal", "SIGTERM")]
        patience = float(unit.pop("TimeoutStopSec", "0")) or None
        assert unit.pop("KillMode", "process") == "process"  # the server's processes start no others
        settings = settings_of(Path(unit.pop("EnvironmentFile")).read_text("utf-8"))
        start = unit.pop("ExecStart").replace("%i", pool).replace("%H", "server1")
        command, cwd = shlex.split(start), Path(unit.pop("WorkingDirectory"))
        assert not unit, f"lines of {template}.service that this does not know: {unit}"
        is_up = answers(f"{self.api}/ready") if name == "prefect-server" else None
        part = self.topology.add(
            pool or name, command, settings, cwd=cwd, stop_signal=how, kill_after=patience, is_up=is_up
        )
        return part.start(wait=False)

    def can_open(self, database: str, *, user: str, password: str) -> bool:
        """Whether PostgreSQL lets somebody in from this machine."""
        port = self.postgres_port
        try:
            psycopg.connect(
                host="127.0.0.1", port=port, dbname=database, user=user, password=password, passfile="/dev/null"
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    def _do(self, block: Shell | File) -> str | None:
        if isinstance(block, Shell):
            lines = [line for line in block.lines if not line.startswith("systemctl ")]
            printed = self._shell(lines) if lines else ""
            for line in block.lines[len(lines) :]:
                self._enable_all(line)
            return printed
        if block.name == "pg_hba.conf":
            with self.cluster.hba.open("a", encoding="utf-8") as file:
                file.write(block.text)
            self.cluster.part.restart()
            return None
        path = Path(block.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
        if path.name == "redis.conf":
            self.topology.add("redis", [self.redis, str(path)], {}, is_up=listens(self.redis_port)).start()
        return None

    def _enable_all(self, line: str) -> None:
        words = shlex.split(line)
        assert words[:3] == ["systemctl", "enable", "--now"], line
        parts = [self.enable(*name.split("@")[:1], pool=name.partition("@")[2]) for name in words[3:]]
        for part in parts:
            part.wait_until_up()

    def _terminal_settings(self) -> list[str]:
        """The first lines of the document's last terminal."""
        shells = [block for block in self.blocks if isinstance(block, Shell)]
        return shells[-1].lines[:2]

    def _shell(self, lines: Sequence[str]) -> str:
        """What commands print in a terminal, in which their questions are answered."""
        code, printed = talk(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)], self._typed, cwd=self.terminal,
            env=environment_of(self.terminal, {}), seconds=SHELL_SECONDS,
        )  # fmt: skip
        assert code == 0, f"exit code {code} of {lines}:\n{printed[-3000:]}"
        return printed
