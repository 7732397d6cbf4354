"""``reelflow demo``: publish a real video to a sandbox, in a real Prefect server, and exit."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from deployments.local.stack import BLOCK_NAME, local_stack


def demo() -> int:
    """Publish to all accounts of the sandbox; the exit code is 0 if every platform published."""
    with (
        tempfile.TemporaryDirectory(prefix="reelflow-demo-", ignore_cleanup_errors=True) as folder,
        local_stack(Path(folder), "--plan", "INFLUENCER") as stack,
    ):
        print(f"Publishing {stack.video.name} to every account, with the flow publish-video …\n", flush=True)
        # A process of its own has sent all its logs and events before it exits, and so before the server stops.
        command = [
            sys.executable,
            "-m",
            "deployments",
            "publish",
            str(stack.video),
            "--to",
            "all",
            "--block",
            BLOCK_NAME,
        ]
        done = subprocess.run(
            [*command, "--caption", "Sunset over the dunes #reelflow"],
            env={**os.environ, "PREFECT_LOGGING_LEVEL": "INFO"},
            check=False,
        )
        if done.returncode == 0:
            print(
                "\nThat was a real Prefect run, with a real upload to the sandbox. To see runs in the browser and\n"
                "start them from a form, run:  make up\n",
                flush=True,
            )
    return done.returncode
