"""Real parts for the tests, each made once a session: video files, a sandbox, a Prefect server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import uvicorn
from clips import BY_NAME

from reelflow.ledger import Ledger
from reelflow.metered import MeteredTaisly
from reelflow.models import Account, CheckedPost, Video
from reelflow.sandbox.faults import CuttableProtocol
from reelflow.sandbox.server import bind, build_app
from reelflow.sandbox.world import ACCOUNTS, API_KEY, World
from reelflow.taisly import TaislyClient
from reelflow.tikmatrix import TikMatrixClient
from reelflow.video.probe import fingerprint

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Started in the background by a shell: what the tests start would inherit that, and not end when it is told to.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a recipe in tests/clips.py, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("clips")

    def get(name: str) -> Path:
        path = folder / name
        if not path.exists():
            BY_NAME[name].make(path)
        return path

    return get


@pytest.fixture(autouse=True)
def ledger_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger of its own for each test; never the user's."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("REELFLOW_LEDGER_URL", url)
    return url


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own; skipped where none is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) if Path("/usr/lib/postgresql").is_dir() else []
    binaries = found[-1].parent if found else Path(shutil.which("initdb") or "/none").parent
    if not (binaries / "initdb").exists():
        pytest.skip("PostgreSQL is not installed on this machine (initdb not found)")
    # Not below pytest's own folder: the next pytest that starts takes the right to read it from everybody else.
    folder = Path(tempfile.mkdtemp(prefix="reelflow-postgres-"))
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    run = lambda *words: subprocess.run([*as_user, *words], check=True, capture_output=True, cwd=folder)  # noqa: E731
    run(str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "reelflow", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    run(str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    yield f"postgresql://reelflow@/postgres?host={folder}"
    run(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, ledger_url: str) -> Iterator[str]:
    if request.param == "sqlite":
        yield ledger_url
        return
    server: str = request.getfixturevalue("postgres")
    yield server
    engine = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()


class Clock:
    """Time that passes only by sleeping, beginning now."""

    def __init__(self) -> None:
        self.now = time.time()
        self.start = self.now
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now

    @property
    def passed(self) -> float:
        return self.now - self.start


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Sandbox:
    """A sandbox that runs in this process, and what a test wants from it."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.url = url
        self.http = httpx.Client(base_url=url, trust_env=False)
        self._clients: list[TaislyClient | TikMatrixClient] = []

    @property
    def taisly_url(self) -> str:
        return f"{self.url}/api/private"

    @property
    def tikmatrix_url(self) -> str:
        return f"{self.url}/api/v1"

    def taisly(self, key: str = API_KEY) -> TaislyClient:
        client = TaislyClient(key, self.taisly_url)
        self._clients.append(client)
        return client

    def metered(self, ledger: Ledger, clock: Clock, *, key: str = API_KEY, plan: str = "PRO") -> MeteredTaisly:
        return MeteredTaisly(
            self.taisly(key), ledger, api_key=key, service=self.taisly_url, plan=plan, sleep=clock.sleep
        )

    def tikmatrix(self) -> TikMatrixClient:
        client = TikMatrixClient(self.tikmatrix_url)
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        while self._clients:
            self._clients.pop().close()

    def fault(self, fault: str, method: str = "*", path: str = "*", **more: Any) -> None:
        answer = self.http.post("/sandbox/faults", json={"fault": fault, "method": method, "path": path, **more})
        assert answer.status_code == 200, answer.text

    def fail_next(self, **what: Any) -> None:
        assert self.http.post("/sandbox/fail-next", json=what).status_code == 200

    @property
    def state(self) -> dict[str, Any]:
        return self.http.get("/sandbox/state").json()

    @property
    def posts(self) -> list[dict[str, Any]]:
        return self.state["posts"]

    def asked(self, name: str) -> int:
        return self.state["requests"].get(name, 0)


def _run(folder: Path, **options: Any) -> Iterator[Sandbox]:
    world = World(folder, **options)
    sock = bind("127.0.0.1", 0)
    config = uvicorn.Config(
        build_app(world), http=CuttableProtocol, log_level="error", access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    sandbox = Sandbox(world, f"http://127.0.0.1:{sock.getsockname()[1]}")
    yield sandbox
    sandbox.http.close()
    server.should_exit = True
    thread.join(5)
    sock.close()


@pytest.fixture
def ledger(ledger_url: str, clock: Clock) -> Iterator[Ledger]:
    """A ledger with the test's clock."""
    found = Ledger(ledger_url, clock=clock)
    yield found
    found.close()


@pytest.fixture
def checked(clip: Callable[[str], Path]) -> Callable[..., CheckedPost]:
    """A post of a small video that has been checked, for a sandbox."""
    path = clip("small.mp4")
    sha256, (size, modified) = fingerprint(path)
    video = Video(path=path, sha256=sha256, size_bytes=size, modified_ns=modified, width=270, height=480, duration=4)
    accounts = [Account(id=a["id"], platform=a["platform"], name=a["displayName"]) for a in ACCOUNTS]

    def make(caption: str = "one", accounts: list[Account] = accounts[::2], **changes: Any) -> CheckedPost:
        values = {"video": video, "scheduled_for": None, "preview_second": 0} | changes
        return CheckedPost(caption=caption, accounts=accounts, **values)

    return make


@pytest.fixture(scope="session")
def _shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    yield from _run(tmp_path_factory.mktemp("sandbox"), plan="PRO")


@pytest.fixture
def second_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Another PC with TikMatrix, and its own tasks and numbers."""
    yield from _run(tmp_path / "second", plan="PRO")


@pytest.fixture
def sandbox(_shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox on the plan PRO, as new."""
    _shared_sandbox.http.post("/sandbox/reset")
    _shared_sandbox.world.plan, _shared_sandbox.world.license_plan = "PRO", "Pro"
    _shared_sandbox.world.auto_retry, _shared_sandbox.world.realtime = 3, False
    yield _shared_sandbox
    _shared_sandbox.close_clients()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Prefect server with its UI; this process is its client."""
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_HOME, temporary_settings

    from deployments.programs import start_server

    folder = tmp_path_factory.mktemp("prefect")
    program, address = start_server(folder, 0)
    try:
        program.wait_for(f"{address}/api/health")
        with temporary_settings(
            {
                PREFECT_API_URL: f"{address}/api",
                PREFECT_HOME: folder / "client",  # results of one session must not be found by the next
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # a flow without heartbeats ends a second sooner
            }
        ):
            yield address
            APILogWorker.drain_all(timeout=20)  # else the process waits for a server that has gone
    finally:
        program.stop()
