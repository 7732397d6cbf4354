"""What a newcomer does first: the demo, and `reelflow up`."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.processes import REELFLOW, processes_of


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
    assert "Starting a Prefect server" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert processes_of(marker) == []
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("reelflow-")] == []


@pytest.mark.slow
def test_free_ports_are_used_when_the_usual_ones_are_taken(up: Any) -> None:
    """Nothing of somebody else's is disturbed, and the addresses printed are the true ones."""
    assert not up.address("Prefect UI").endswith(":4200")
    assert not up.address("Sandbox").endswith(":8099")


@pytest.mark.slow
def test_a_second_up_in_the_folder_says_where_the_first_is_and_leaves_it_alone(up: Any) -> None:
    """Its blocks still lead to its own sandbox, and it goes on."""
    second = subprocess.run(
        [*REELFLOW, "up"], cwd=up.log.parent, capture_output=True, text=True, timeout=60, check=False
    )

    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr.startswith(f"reelflow: reelflow is already running in {up.log.parent}")
    assert f"its UI is at {up.ui}. Nothing was started." in second.stderr
    assert second.stderr.count("\n") == 1
    assert up.process.poll() is None
