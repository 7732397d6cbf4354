"""The server with PostgreSQL and Redis of docs/deployment.md: its settings and commands as they stand there."""

import importlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.api import ask
from support.deployments import SPECS
from support.prefect_server import turn_off_schedules
from support.sink import Sink, save_notification
from support.waiting import until

from deployments.local.processes import PLAIN, LocalProcess
from deployments.setup.desired import desired_automations
from deployments.spec import deployment_specs
from reelflow.ports import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TITLE = "## A server with PostgreSQL and Redis"


def _recipe() -> tuple[dict[str, str], list[list[str]]]:
    """The settings and the commands, as they stand in the document."""
    section = (ROOT / "docs" / "deployment.md").read_text("utf-8").partition(TITLE)[2]
    lines = section.split("```")[1].strip().splitlines()
    settings = [line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export ")]
    commands = [shlex.split(line.partition("#")[0].strip(" &")) for line in lines if line.startswith("prefect ")]
    return dict(settings), commands


class Mortal(LocalProcess):
    """A process that can be killed."""

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait(10)


class Server:
    """The two processes of the recipe."""

    def __init__(self, folder: Path, environment: dict[str, str], commands: list[list[str]]) -> None:
        self.folder = folder
        self.environment = environment
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.upgrade, self.services, self.server = commands
        self.processes: list[Mortal] = []

    def start(self) -> None:
        own = ["--host", "127.0.0.1", "--port", str(self.port)]
        for name, words in (("services", self.services), ("server", [*self.server[:-2], *own])):
            command = [sys.executable, "-m", *words]
            self.processes.append(Mortal(name, command, self.folder / f"{name}.log", self.environment))
        self.processes[-1].wait_for(f"{self.api}/health")

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
        self.processes.clear()

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, env={**os.environ, **self.client}, check=False,
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def client(self) -> dict[str, str]:
        return {"PREFECT_API_URL": self.api, "PREFECT_HOME": str(self.folder / "home"), "NO_COLOR": "1"}

    def get(self, path: str) -> Any:
        return ask("GET", self.api + path)

    def post(self, path: str, **body: Any) -> Any:
        return ask("POST", self.api + path, **body)

    def log_of(self, run: str) -> str:
        """The log of a run."""
        return str(self.post("/logs/filter", logs={"flow_run_id": {"any_": [run]}}))

    def deployment(self, name: str) -> Any:
        return self.get(f"/deployments/name/{SPECS[name].full_name}")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[int]:
    """The port of a Redis of our own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed on this machine (redis-server not found)")
    pytest.importorskip("prefect_redis", reason="the package prefect-redis is not installed")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    running = LocalProcess("Redis", command, tmp_path / "redis.log", {})
    yield port
    running.stop()


def _size(port: int, database: int) -> int:
    """How many keys a database of Redis has."""
    with importlib.import_module("redis").Redis(port=port, db=database) as client:
        return int(client.dbsize())


def _database(server: str, name: str) -> str:
    """The URL of a new database."""
    engine = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def server(postgres: str, redis: int, tmp_path: Path) -> Iterator[Server]:
    settings, commands = _recipe()
    database = _database(postgres, "prefect").replace("postgresql://", "postgresql+asyncpg://")
    settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
    settings["PREFECT_REDIS_MESSAGING_HOST"] = "127.0.0.1"
    settings["PREFECT_REDIS_MESSAGING_PORT"] = str(redis)
    settings["PREFECT_SERVER_DOCKET_URL"] = f"redis://127.0.0.1:{redis}/1"
    environment = {**PLAIN, **settings, "PREFECT_HOME": str(tmp_path / "server"), "PREFECT_API_URL": ""}
    found = Server(tmp_path, environment, commands)
    subprocess.run([sys.executable, "-m", *found.upgrade], env={**os.environ, **environment}, check=True, timeout=120)
    found.start()
    yield found
    found.kill()


def test_the_server_of_the_document(
    server: Server, postgres: str, redis: int, sandbox: Any, clip: Any, tmp_path: Path
) -> None:
    """Setup, worker, schedule, alarm; and both its processes killed while a run waits for its answer: one post."""
    sink = Sink()
    save_notification(server.api, sink.url)
    ledger = _database(postgres, "ledger")
    words = server.run(
        "deployments", "setup", "--sandbox", sandbox.url, "--ledger-url", ledger, "--notify", "custom-webhook/sink"
    )
    assert f"{6 + len(deployment_specs()) + len(desired_automations(str(uuid.uuid4())))} created" in words
    turn_off_schedules(server.api, but="finish-open-posts")
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "reelflow"],
            cwd=ROOT, env={**os.environ, **server.client, "REELFLOW_LEDGER_URL": ""}, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        finisher = server.deployment("finish-open-posts")
        publish = server.deployment("publish-video")
        sandbox.order_fault("slow", "POST", "/api/private/post", seconds=4)
        sandbox.fail_next(platform="X", reason="Duplicate content")
        form = {"video": str(clip("good.mp4")), "accounts": ["x", "instagram"], "caption": "away", "watch_minutes": 5}
        run = server.post(
            f"/deployments/{publish['id']}/create_flow_run",
            parameters={**publish["parameters"], "post": form}, state={"type": "SCHEDULED"},
        )["id"]  # fmt: skip
        until("the post, whose answer is 4 s away", lambda: sandbox.posts, seconds=120)
        server.kill()
        server.start()
        ended = ("COMPLETED", "FAILED")
        until("the run's end", lambda: server.get(f"/flow_runs/{run}")["state_type"] in ended, seconds=180)
        until("the alarm", lambda: any("Duplicate content" in got for got in sink.got), seconds=120)
        body = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}, "deployment_id": {"any_": [finisher["id"]]}}}
        until("scheduled runs", lambda: server.post("/flow_runs/filter", **body), seconds=120)
        until("the run's last words", lambda: "Finished in state Failed" in server.log_of(run))
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(60)
        sink.close()

    for number in (0, 1):  # the events, and the services' tasks
        assert _size(redis, number) > 0
    assert len(sandbox.posts) == 1
    assert sandbox.requests("POST /api/private/post") == 1
    assert "Traceback" not in server.log_of(run)
    assert "Duplicate content" in server.get(f"/flow_runs/{run}")["state"]["message"]
