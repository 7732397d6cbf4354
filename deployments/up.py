"""``reelflow up``: a sandbox and a Prefect server with everything ready to be run from the UI, until Ctrl-C."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from deployments.plan import planned
from deployments.programs import Program, end, say, wait_until
from deployments.stage import BLOCK_NAME, stage
from reelflow.errors import ReelflowError

FOLDER = Path(".reelflow") / "up"
"""Kept between starts, below the folder it is started in: the runs, the blocks, the sandbox's posts."""
SERVE_TIMEOUT = 120.0


def run() -> int:
    """Start everything, publish once, and stay until a signal or until one of the programs has died."""
    folder = FOLDER.resolve()
    with stage(folder, "--plan", "INFLUENCER", "--realtime", "--data", str(folder / "sandbox")) as at:
        say("Serving the flows …")
        runner = Program(
            "the flow runner",
            [sys.executable, "-m", "deployments.up_serve", BLOCK_NAME, str(at.video)],
            folder / "serve.log",
            {"PREFECT_RUNNER_POLL_FREQUENCY": "3"},
        )
        at.programs.append(runner)
        say(_welcome(at.server, at.sandbox, at.video, _wait_for_deployments(runner)))
        while all(program.running for program in at.programs):
            time.sleep(0.5)
        dead = next(program for program in at.programs if not program.running)
        raise ReelflowError(f"{dead.name} has ended by itself; its words are in {dead.log}")


def _wait_for_deployments(runner: Program) -> str:
    """Wait until every flow is served; the id of publish-video."""
    from prefect.client.orchestration import get_client

    names = {each.name for each in planned()}
    ready: dict[str, str] = {}

    def there() -> bool:
        if not runner.running:
            raise ReelflowError(f"The flow runner ended at its start; its words are in {runner.log}")
        found = client.read_deployments(limit=200)
        served = [d for d in found if str(d.status).endswith(".READY") and not d.paused]  # paused: since the last stop
        ready.update({d.name: str(d.id) for d in served})
        return names <= set(ready)

    with get_client(sync_client=True) as client:
        if not wait_until(there, SERVE_TIMEOUT):
            missing = ", ".join(sorted(names - set(ready)))
            raise ReelflowError(f"Not being served: {missing}; the runner's words are in {runner.log}")
    return ready["publish-video"]


def _welcome(server: str, sandbox: str, video: Path, first: str) -> str:
    return f"""
Ready.

  Publish a video  {server}/v2/deployments/deployment/{first}/run
                   The form is filled in: press Submit, then follow the run.
  Prefect UI       {server}
                   All {len(planned())} flows, under Deployments; tags: posts, phones, upkeep.
  Sandbox          {sandbox}
                   The posts and phones, as they would be at Taisly and TikMatrix.
  A video to try   {video}

Everything is kept in {os.path.relpath(FOLDER)} until `make clean`. End with Ctrl-C.
"""


if __name__ == "__main__":
    end(run, goodbye="Stopped. Nothing is left running.")
