"""``reelflow up``: a sandbox and a Prefect server with everything ready to use from the UI, until Ctrl-C."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from deployments.local.processes import LocalProcess, wait_until
from deployments.local.stack import BLOCK_NAME, LocalStack, local_stack
from deployments.spec import deployment_specs, spec_of
from reelflow.errors import ReelflowError
from reelflow.phones.limits import read_phones
from reelflow.sandbox.catalog import PHONES

FOLDER = Path(".reelflow") / "up"
"""Kept between starts, below the folder that it is started in: the runs, the blocks, the sandbox's posts."""
INBOX = "inbox"
"""In the folder of the videos."""
SERVE_TIMEOUT = 120.0
"""Seconds; the process imports every flow and registers its deployment before it serves the first."""


def up() -> int:
    """Start everything, and stay until Ctrl-C or until one of the processes has exited."""
    try:
        _run(FOLDER.resolve())
    except KeyboardInterrupt:
        print("Stopped. Nothing is left running.", flush=True)
        raise
    return 0


def _run(folder: Path) -> None:
    with local_stack(folder, "--plan", "INFLUENCER", "--realtime", "--data", str(folder / "sandbox")) as stack:
        print("Serving the flows …", flush=True)
        server = _serve_flows(stack)
        stack.add(server)
        print(_welcome(stack, _wait_for_deployments(server)), flush=True)
        while all(process.running for process in stack.processes):
            time.sleep(0.5)
        exited = next(process for process in stack.processes if not process.running)
        raise ReelflowError(f"{exited.name} exited unexpectedly. Log: {exited.log}")


def _serve_flows(stack: LocalStack) -> LocalProcess:
    (stack.video.parent / INBOX).mkdir(exist_ok=True)
    forms = stack.folder / "forms.json"
    forms.write_text(json.dumps(example_forms(stack.video)), "utf-8")
    return LocalProcess(
        "the process that serves the flows",
        [sys.executable, "-m", "deployments", "serve", "--client", BLOCK_NAME, "--forms", str(forms)],
        stack.folder / "serve.log",
        {"PREFECT_RUNNER_POLL_FREQUENCY": "3"},
    )


def example_forms(video: Path) -> dict[str, dict[str, Any]]:
    """Parameters by flow, with which each runs on the sandbox as it is."""
    post = {"video": video.name, "accounts": ["all"], "caption": "Sunset over the dunes #reelflow"}
    phones = {"devices": [phone.name for phone in read_phones(PHONES)[:3]]}  # as the lists offer them
    post_url = "https://www.tiktok.com/@mara.bakes/video/7231338487075638570"
    return {
        "publish-video": {"post": post},
        "publish-inbox": {"inbox": {"folder": INBOX, "accounts": ["Instagram"]}},
        "publish-and-engage": {"post": post, "engage": {**phones, "comments": ["Lovely!"], "warm_up_seconds": 60}},
        "warm-up-accounts": {"warm_up": {**phones, "duration_seconds": 60, "topics": ["baking"]}},
        "comment-on-posts": {"comments": {**phones, "post_urls": [post_url], "comments": ["Lovely!"]}},
        "follow-users": {"follows": {**phones, "users": ["mara.bakes"]}},
        "unfollow-users": {"unfollows": {**phones, "users": ["mara.bakes"]}},
        "post-from-phones": {"posts": {**phones, "captions": "Fresh bread"}},
    }


def _wait_for_deployments(server: LocalProcess) -> str:
    """Wait until every flow is served; the id of publish-video."""
    from prefect.client.orchestration import get_client  # now that PREFECT_API_URL is set

    names = {spec.deployment for spec in deployment_specs()}
    ready: dict[str, str] = {}

    def all_ready() -> bool:
        if not server.running:
            raise ReelflowError(f"{server.name} exited while starting. Log: {server.log}")
        found = client.read_deployments(limit=200)
        served = [d for d in found if str(d.status).endswith(".READY") and not d.paused]  # paused: since the last stop
        ready.update({d.name: str(d.id) for d in served})
        return names <= set(ready)

    with get_client(sync_client=True) as client:
        if not wait_until(all_ready, SERVE_TIMEOUT):
            missing = ", ".join(sorted(names - set(ready)))
            raise ReelflowError(
                f"After {SERVE_TIMEOUT:.0f} s these flows are still not served: {missing}. Log: {server.log}"
            )
    return ready[spec_of("publish-video").deployment]


def _welcome(stack: LocalStack, publish_video: str) -> str:
    return f"""
Ready.

  Publish a video  {stack.server}/v2/deployments/deployment/{publish_video}/run
                   The form is filled in: press Submit, then follow the run.
  Prefect UI       {stack.server}
                   All {len(deployment_specs())} flows, under Deployments; tags: posts, phones, upkeep.
  Sandbox          {stack.sandbox}
                   The posts and phones, as they would be at Taisly and TikMatrix.
  Your own videos  Put them into {stack.video.parent}, and run check-connections: the forms offer them.

For commands in another terminal, such as reelflow doctor or reelflow publish --block {BLOCK_NAME}:
  export PREFECT_API_URL={stack.server}/api

Everything is kept in {os.path.relpath(FOLDER)} until `make clean`. Stop with Ctrl-C.
"""
