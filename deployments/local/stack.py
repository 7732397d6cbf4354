"""The local stack of ``reelflow demo`` and ``reelflow up``: a sandbox, a Prefect server, a video, the blocks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.local.occupied import Occupied, occupied
from deployments.local.processes import (
    LocalProcess,
    start_prefect_server,
    start_sandbox,
    stop_on_exit,
    use_prefect_server,
    wait_for_prefect_server,
    wait_for_sandbox,
)

SANDBOX_PORT = 8099
"""The default of `reelflow sandbox`; a free port instead if it is in use."""
SERVER_PORT = 4200
"""Prefect's default; a free port instead if it is in use."""
BLOCK_NAME = "sandbox"
"""The name of the blocks for the sandbox; setup names those for the real services "main"."""


@dataclass(frozen=True)
class LocalStack:
    """Where everything is."""

    folder: Path
    sandbox: str
    server: str
    video: Path
    processes: list[LocalProcess]
    occupied: Occupied

    def add(self, process: LocalProcess) -> None:
        """Stop another process, too, on the way out, even if this one is killed and only the next start can do it."""
        self.processes.append(process)
        self.occupied.note(self.server, self.processes)


@contextlib.contextmanager
def local_stack(folder: Path, *sandbox_options: str) -> Iterator[LocalStack]:
    """Start everything in `folder`, save the blocks, and stop everything on the way out.

    From the first line of the body on, this process is a client of that Prefect server; so nothing may have imported
    Prefect before.

    Raises:
        InputError: another process uses the folder already; nothing was started.
    """
    processes: list[LocalProcess] = []
    with occupied(folder) as own, stop_on_exit(processes):
        print("Starting the sandbox (stand-ins for Taisly and TikMatrix) …", flush=True)
        sandbox = start_sandbox(folder, SANDBOX_PORT, *sandbox_options)
        processes.append(sandbox)
        own.note("", processes)
        is_first = not (folder / "prefect" / "prefect.db").exists()
        more = " (the first start creates its database, which takes up to a minute)" if is_first else ""
        print(f"Starting the Prefect server{more} …", flush=True)
        server, server_url = start_prefect_server(folder, SERVER_PORT)
        processes.append(server)
        own.note(server_url, processes)
        video = _make_video(folder)
        sandbox_url = wait_for_sandbox(sandbox)
        wait_for_prefect_server(server, server_url, folder)
        use_prefect_server(server_url, folder)
        save_sandbox_blocks(sandbox_url)
        use_ledger_of(folder)
        store_variables(video.parent)
        yield LocalStack(folder, sandbox_url, server_url, video, processes, own)
        print("Stopping …", flush=True)


def use_ledger_of(folder: Path) -> None:
    """Make the folder's ledger the server's, unless the server has one: it may have been moved since the last start.

    From then on only the server's block says where it is, as on any other server.
    """
    from reelflow.ledger import URL_VARIABLE
    from tasks.ledger import close_ledgers, open_ledger, read_stored, server_client

    with server_client() as client:
        is_new = read_stored(client) is None
    if is_new:
        os.environ[URL_VARIABLE] = f"sqlite:///{folder / 'ledger.db'}"
    open_ledger()
    close_ledgers()
    os.environ.pop(URL_VARIABLE, None)


def store_variables(videos: Path) -> None:
    """Make this machine's time zone the server's, and `videos` what the forms offer, unless it has others."""
    from prefect.variables import Variable

    from reelflow.time_zones import machine_zone
    from tasks.choices import VIDEOS_VARIABLE
    from tasks.zone import TIME_ZONE_VARIABLE

    for name, value in ((TIME_ZONE_VARIABLE, machine_zone()), (VIDEOS_VARIABLE, str(videos))):
        if not Variable.get(name):
            Variable.set(name, value, overwrite=True)


def _make_video(folder: Path) -> Path:
    from reelflow.video.sample import make_sample

    video = folder / "videos" / "dunes.mp4"
    if not video.exists():
        print("Making a video (6 s, 720x1280) …", flush=True)
        video.parent.mkdir(parents=True, exist_ok=True)
        make_sample(video)
    return video


def save_sandbox_blocks(sandbox: str) -> None:
    """Save the blocks that lead to the sandbox. Of blocks that exist, only the address is changed.

    The other types are registered as well: the page of a form breaks off where it may choose a block of an unknown one.
    """
    from blocks import BY_SLUG, PostingSlots, TaislyAccount, TikMatrixHost
    from blocks.reference import register_block_type
    from reelflow.sandbox.catalog import API_KEY, PHONES

    for block_class in BY_SLUG.values():
        register_block_type(block_class)
    taisly = {"api_key": API_KEY, "plan": "INFLUENCER", "first_look_seconds": 1}
    _save(TaislyAccount, taisly, base_url=f"{sandbox}/api/private")
    _save(TikMatrixHost, {"phones": PHONES, "poll_seconds": 2}, base_url=f"{sandbox}/api/v1")
    _save(PostingSlots, {"slots": ["all: daily 9:00, 12:00 and 18:00"]})


def _save(block_class: Any, values: dict[str, Any], **address: str) -> None:
    with contextlib.suppress(ValueError):  # Prefect's way to say that there is none
        values = block_class.load(BLOCK_NAME).model_dump()
    block_class(**{**values, **address}).save(BLOCK_NAME, overwrite=True)
