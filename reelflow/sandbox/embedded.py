"""Runs a sandbox in this process, for a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import uvicorn

from reelflow.ports import listen
from reelflow.sandbox.control import NOT_RUNNING, SandboxControl
from reelflow.sandbox.server import make_server
from reelflow.sandbox.world import World

_STOP_SECONDS = 10.0
"""The server itself gives a running request one; the rest is for a machine under load."""


class Sandbox(SandboxControl):
    """A sandbox in a thread of this process, on a free port of 127.0.0.1.

    >>> from reelflow.sandbox import Sandbox
    >>> from reelflow.taisly import TaislyClient
    >>> with Sandbox(plan="PRO") as sandbox:
    ...     with TaislyClient(sandbox.api_key, sandbox.taisly_url) as client:
    ...         accounts = client.platforms()
    ...     sandbox.requests("GET /api/private/platform/platforms")
    1

    Two can run at once, and one can be started again after it was stopped; only what is in `data` is remembered then.

    Args:
        plan: Taisly's plan, STARTER, INFLUENCER or PRO: 50, 200 or 1000 requests an hour.
        license_plan: TikMatrix's licence, Starter (no API), Pro, Team or Business.
        seed: The same seed and the same requests give the same outcomes.
        realtime: Let posts and phone tasks take seconds. By default they advance each time they are read.
        auto_retry: How often TikMatrix retries a failed task on its own.
        requests_per_hour: Overrides the plan's quota, for tests under load.
        data: A folder that remembers everything across restarts.
        clients: Names of further Taisly accounts, each with the key `key_of(name)`, accounts and a quota of its own.
        port: The port; a free one instead if it is in use, or 0.
    """

    def __init__(
        self,
        *,
        plan: str = "STARTER",
        license_plan: str = "Pro",
        seed: int = 0,
        realtime: bool = False,
        auto_retry: int = 3,
        requests_per_hour: int | None = None,
        data: Path | None = None,
        port: int = 0,
        clients: Sequence[str] = (),
    ) -> None:
        super().__init__("")
        self._options: dict[str, Any] = {
            "plan": plan,
            "license_plan": license_plan,
            "seed": seed,
            "realtime": realtime,
            "auto_retry": auto_retry,
            "requests_per_hour": requests_per_hour,
            "keep": data is not None,
            "clients": clients,
        }
        self._data = data
        self._port = port
        self._world: World | None = None
        self._cleanup = ExitStack()

    @property
    def world(self) -> World:
        """The state itself, for white-box tests. It belongs to the server's thread: change it between requests.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        if self._world is None:
            raise RuntimeError(NOT_RUNNING)
        return self._world

    def start(self) -> Self:
        """Start serving; returns when requests are answered.

        Raises:
            RuntimeError: It is running already, or the server could not start.
            ValueError: There is no such plan or licence.
        """
        if self._url:
            raise RuntimeError(f"This sandbox is already running at {self._url}.")
        with ExitStack() as cleanup:
            folder = self._data or Path(cleanup.enter_context(TemporaryDirectory(prefix="reelflow-sandbox-")))
            world = World(folder, **self._options)
            sock = cleanup.enter_context(listen("127.0.0.1", self._port))
            # Without a log configuration of its own: logging belongs to the test's process.
            server = make_server(world, log_config=None)
            thread = threading.Thread(target=server.run, args=([sock],), name="reelflow-sandbox", daemon=True)
            thread.start()
            cleanup.callback(_stop, server, thread)
            while not server.started:
                if not thread.is_alive():
                    raise RuntimeError("The sandbox could not start; the log says why.")
                time.sleep(0.005)
            self._cleanup = cleanup.pop_all()
        self._world = world
        self._url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        return self

    def stop(self) -> None:
        """Stop serving and delete the temporary folder; a running request gets a second to end."""
        self._url, self._world = "", None
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _stop(server: uvicorn.Server, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join(_STOP_SECONDS)
    if thread.is_alive():
        raise RuntimeError(f"The sandbox did not stop within {_STOP_SECONDS:g} seconds.")
