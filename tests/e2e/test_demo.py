"""What a newcomer does: the demo, and then the UI in a real browser."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.processes import processes_of

REELFLOW = [sys.executable, "-m", "deployments"]
START_SECONDS = 150


@pytest.mark.slow
def test_the_demo_publishes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Exit 0, each outcome printed, no process and no file left."""
    marker = f"REELFLOW_TEST={tmp_path}"
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "REELFLOW_TEST": str(tmp_path),
        "HOME": str(tmp_path / "home"),
    }

    done = subprocess.run(
        [*REELFLOW, "demo"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Published to 6 of 6 accounts." in done.stdout
    assert done.stdout.count("SUCCESS") == 6
    assert "waiting for" in done.stdout or "Starting a Prefect server" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert processes_of(marker) == []
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("reelflow-")] == []


@pytest.mark.slow
def test_free_ports_are_used_when_the_usual_ones_are_taken(up: Any) -> None:
    """Nothing of somebody else's is disturbed, and the addresses printed are the true ones."""
    assert not up.address("Prefect UI").endswith(":4200")
    assert not up.address("Sandbox").endswith(":8099")
