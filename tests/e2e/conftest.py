"""`reelflow up` and a real Chromium, each started once for a module."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.deployed_server import DeployedServer
from support.prefect_server import UNSCHEDULED
from support.processes import REELFLOW, processes_of

START_SECONDS = 150


class Up(DeployedServer):
    """A running `reelflow up`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    def address(self, name: str) -> str:
        return next(line.split()[-1] for line in self.log.read_text().splitlines() if line.startswith(f"  {name}"))

    @property
    def ui(self) -> str:
        return self.address("Prefect UI")

    def sandbox(self) -> dict[str, Any]:
        """What the sandbox has."""
        found: dict[str, Any] = httpx.get(f"{self.address('Sandbox')}/sandbox/state", trust_env=False).json()
        return found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`reelflow up` from a folder of its own, while its usual ports are taken by somebody else.

    No longer than a module: what it serves asks for runs all the time. What the tests start is not to meet what a
    schedule starts.
    """
    folder = tmp_path_factory.mktemp("up")
    holders = []
    for port in (4200, 8099):
        holder = socket.socket()
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", port))
            holder.listen()
        except OSError:
            pass  # taken already: just as well
        holders.append(holder)
    log = folder / "up.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*REELFLOW, "up"],
            cwd=folder,
            env={**os.environ, **UNSCHEDULED, "REELFLOW_TEST": str(folder), "HOME": str(folder / "home")},
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    end = time.monotonic() + START_SECONDS
    while "Ready." not in log.read_text() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
    assert "Ready." in log.read_text(), log.read_text()
    yield Up(process, log)
    process.send_signal(signal.SIGINT)
    code = process.wait(60)
    for holder in holders:
        holder.close()
    assert code == 130
    assert log.read_text().rstrip().endswith("Nothing is left running.")
    assert processes_of(f"REELFLOW_TEST={folder}") == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's or the user's own Chromium.

    No longer than a module: while it is open there is an event loop in this thread, in which Prefect's functions are
    coroutines.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: the browser tests need `chromium` or `google-chrome` on the PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=quiet)
        sync_api.expect.set_options(timeout=60_000)
        yield found
        found.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh page."""
    found = browser.new_page(viewport={"width": 1400, "height": 1400})
    found.set_default_timeout(60_000)
    yield found
    found.close()
