"""The stage of ``reelflow demo`` and ``reelflow up``: a sandbox, a Prefect server, a video, the blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.programs import Program, say, start_sandbox, start_server, stopping, use_server

SANDBOX_PORT = 8099
SERVER_PORT = 4200
BLOCK_NAME = "sandbox"


@dataclass(frozen=True)
class Stage:
    """Where everything is."""

    folder: Path
    sandbox: str
    server: str
    video: Path
    programs: list[Program]


@contextlib.contextmanager
def stage(folder: Path, *sandbox_options: str) -> Iterator[Stage]:
    """Start everything in `folder`, save the blocks, and stop everything on the way out.

    From the first line of the body on, this process is a client of that Prefect server.
    """
    programs: list[Program] = []
    with stopping(programs):
        say("Starting the sandbox (stand-ins for Taisly and TikMatrix) …")
        sandbox, sandbox_url = start_sandbox(folder, SANDBOX_PORT, *sandbox_options)
        programs.append(sandbox)
        say("Starting a Prefect server with its UI (the first time it prepares its database: 10 to 40 s) …")
        server, server_url = start_server(folder, SERVER_PORT)
        programs.append(server)
        say("Making a video (6 s, 720x1280) …")
        video = _video(folder)
        sandbox.wait_for(f"{sandbox_url}/sandbox/state")
        server.wait_for(f"{server_url}/api/health")
        use_server(server_url, folder)
        _save_blocks(sandbox_url)
        yield Stage(folder, sandbox_url, server_url, video, programs)
        say("Stopping …")


def _video(folder: Path) -> Path:
    from reelflow.video.sample import make_sample

    video = folder / "dunes.mp4"
    if not video.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_sample(video)
    return video


def _save_blocks(sandbox: str) -> None:
    """Save the blocks that lead to the sandbox; of one that is there only the address is changed."""
    from blocks import TaislyAccount, TikMatrixHost
    from reelflow.sandbox.world import API_KEY, PHONES

    taisly = {"api_key": API_KEY, "plan": "INFLUENCER", "first_look_seconds": 1}
    _save(TaislyAccount, taisly, base_url=f"{sandbox}/api/private")
    _save(TikMatrixHost, {"phones": PHONES, "poll_seconds": 2}, base_url=f"{sandbox}/api/v1")


def _save(kind: Any, values: dict[str, Any], **address: str) -> None:
    with contextlib.suppress(ValueError):  # Prefect's way to say that there is none
        values = kind.load(BLOCK_NAME).model_dump()
    kind(**{**values, **address}).save(BLOCK_NAME, overwrite=True)
