"""What a newcomer does first: the demo."""

import os
import re
import subprocess
from pathlib import Path

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
    assert len(re.findall(r"^  \S.* published +http", done.stdout, re.MULTILINE)) == 6
    assert "Starting the Prefect server" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert processes_of(marker) == []
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("reelflow-")] == []
