"""``reelflow demo``: publish a real video to an embedded sandbox, in a real Prefect server, and end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from deployments.programs import end, say
from deployments.stage import BLOCK_NAME, stage


def run() -> int:
    """Publish to all accounts of the sandbox; 0 if every platform published."""
    with (
        tempfile.TemporaryDirectory(prefix="reelflow-demo-", ignore_cleanup_errors=True) as folder,
        stage(Path(folder), "--plan", "INFLUENCER") as at,
    ):
        say(f"Publishing {at.video.name} to every account, with the flow publish_video …\n")
        # A process of its own has sent all its logs and events before it ends, and so before the server does.
        command = [sys.executable, "-m", "deployments.publish", str(at.video), "--to", "all", "--block", BLOCK_NAME]
        done = subprocess.run(
            [*command, "--caption", "Sunset over the dunes #reelflow"],
            env={**os.environ, "PREFECT_LOGGING_LEVEL": "INFO"},
            check=False,
        )
        if done.returncode == 0:
            say(
                "\nThat was a real Prefect run, with a real upload to the sandbox. To look at it in the browser, and\n"
                "to start runs yourself from a form:  make up\n"
            )
    return done.returncode


if __name__ == "__main__":
    end(run)
