"""Real parts for the tests, each made once a session: video files, a sandbox, a Prefect server."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.clips import BY_NAME, numbered
from support.clock import Clock
from support.ledgers import forget_ledger
from support.outage import Locked, Outage
from support.phones import Phones
from support.postgres import NoPostgresError, running_postgres
from support.sandbox import SandboxWithClients

from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.requests import read_video
from reelflow.records.posts import Account, PostRequest
from reelflow.sandbox.catalog import ACCOUNTS

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Started in the background by a shell: what the tests start would inherit that, and not end when it is told to.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Prefect's own settings, for every process that the tests start: workers and served flows ask for runs every 10 s, and
# logs are sent every 2 s.
os.environ["PREFECT_WORKER_QUERY_SECONDS"] = "0.5"
os.environ["PREFECT_RUNNER_POLL_FREQUENCY"] = "1"
os.environ["PREFECT_LOGGING_TO_API_BATCH_INTERVAL"] = "0.2"
# Ours: a step that reads is retried for three minutes.
os.environ["REELFLOW_RETRY_SECONDS"] = "0.5"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a recipe in tests/support/clips.py, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("clips")

    def get(name: str) -> Path:
        path = folder / name
        if not path.exists():
            BY_NAME[name].make(path)
        return path

    return get


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A small video by its number; no two look alike to a check of pictures and length."""
    folder = tmp_path_factory.mktemp("numbered")
    return lambda number: numbered(folder, number)


@pytest.fixture(autouse=True)
def ledger_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger of its own for each test; never the user's."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("REELFLOW_LEDGER_URL", url)
    return url


@pytest.fixture(autouse=True)
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for the downloads of each test; never the user's."""
    folder = tmp_path / "downloads"
    monkeypatch.setenv("REELFLOW_DOWNLOADS", str(folder))
    return folder


@pytest.fixture
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files may be loaded from this machine, as a user allows it."""
    monkeypatch.setenv("REELFLOW_PRIVATE_ADDRESSES", "127.0.0.1")


@pytest.fixture(autouse=True)
def _server_without_ledger(request: pytest.FixtureRequest) -> None:
    """The shared Prefect server knows no ledger when a test begins: each test has its own."""
    if "server" in request.fixturenames and isinstance(address := request.getfixturevalue("server"), str):
        forget_ledger(address)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own; skipped where none is installed."""
    try:
        with running_postgres() as url:
            yield url
    except NoPostgresError as missing:
        pytest.skip(str(missing))


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


@pytest.fixture
def outage(url: str) -> Iterator[Locked | Outage]:
    """The way to the ledger of `url`, which can be cut."""
    if url.startswith("sqlite"):
        yield Locked(url)
        return
    with tempfile.TemporaryDirectory(prefix="reelflow-") as folder:  # a socket's path may not be long
        outage = Outage(Path(folder), Path(url.partition("host=")[2]))
        yield outage
        outage.cut()


@pytest.fixture
def engine_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What the engine logs, also where a flow has run before in this process: from then on its log is the run's."""
    monkeypatch.setattr(logging.getLogger("reelflow"), "propagate", True)
    return caplog


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(ledger_url: str, clock: Clock) -> Iterator[Ledger]:
    """A ledger with the test's clock."""
    found = Ledger(ledger_url, clock=clock)
    yield found
    found.close()


@pytest.fixture
def ledger_on_each(url: str, clock: Clock) -> Iterator[Ledger]:
    """The same on SQLite and on PostgreSQL."""
    found = Ledger(url, clock=clock)
    yield found
    found.close()


@pytest.fixture
def checked(clip: Callable[[str], Path]) -> Callable[..., PostRequest]:
    """A post of a small video that has been checked, for a sandbox."""
    video = read_video(str(clip("small.mp4")))
    wanted = ("TikTok", "Instagram", "X")  # one account on each
    accounts = [Account(id=a["id"], platform=a["platform"], name=a["displayName"]) for a in ACCOUNTS]
    three = [next(a for a in accounts if a.platform == platform) for platform in wanted]

    def make(caption: str = "one", accounts: list[Account] = three, **changes: Any) -> PostRequest:
        # Each caption is another video's: one video with two captions would be a duplicate.
        other = video.model_copy(update={"sha256": hashlib.sha256(caption.encode()).hexdigest(), "pictures": ()})
        values = {"video": other, "scheduled_for": None, "preview_second": 0} | changes
        return PostRequest(caption=caption, accounts=accounts, **values)

    return make


@pytest.fixture(scope="session")
def _shared_sandbox() -> Iterator[SandboxWithClients]:
    with SandboxWithClients(plan="PRO") as sandbox:
        yield sandbox


@pytest.fixture
def second_sandbox() -> Iterator[SandboxWithClients]:
    """Another PC with TikMatrix, and its own tasks and numbers."""
    with SandboxWithClients(plan="PRO") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_shared_sandbox: SandboxWithClients) -> Iterator[SandboxWithClients]:
    """A sandbox on the plan PRO, as new."""
    _shared_sandbox.reset()
    _shared_sandbox.world.plan, _shared_sandbox.world.license_plan = "PRO", "Pro"
    _shared_sandbox.world.auto_retry, _shared_sandbox.world.realtime = 3, False
    yield _shared_sandbox
    _shared_sandbox.close_clients()


@pytest.fixture
def taisly(sandbox: SandboxWithClients, ledger: Ledger, clock: Clock) -> RateLimitedTaisly:
    """The sandbox's Taisly on the plan PRO, with a ledger and the test's clock."""
    return sandbox.rate_limited(ledger, clock)


@pytest.fixture
def phones(sandbox: SandboxWithClients, ledger: Ledger, clock: Clock) -> Phones:
    """A run on phones: the sandbox's TikMatrix, a ledger, and the test's clock."""
    return Phones(sandbox, ledger, clock)


@pytest.fixture(scope="session")
def _prefect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def new_database(_prefect: Path, server: str) -> Path:
    """Prefect's database as a server's first start leaves it: with a copy of it a server starts 5 s sooner."""
    return _prefect / "new.db"


@pytest.fixture(scope="session")
def server(_prefect: Path) -> Iterator[str]:
    """The address of a real Prefect server with its UI; this process is its client."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_HOME
    from support.client import client_of

    from deployments.local.processes import start_prefect_server, wait_for_prefect_server

    process, address = start_prefect_server(_prefect, 0)
    try:
        wait_for_prefect_server(process, address, _prefect)
        with (
            contextlib.closing(sqlite3.connect(_prefect / "prefect" / "prefect.db")) as source,
            contextlib.closing(sqlite3.connect(_prefect / "new.db")) as copy,
        ):
            source.backup(copy)
        settings = {
            PREFECT_HOME: _prefect / "client",  # results of one session must not be found by the next
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # a flow without heartbeats ends a second sooner
        }
        with client_of(f"{address}/api", settings):
            yield address
    finally:
        process.stop()
