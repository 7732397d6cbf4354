"""One `reelflow up` for each folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import reelflow
from support.processes import processes_of

from deployments.local.occupied import occupied
from deployments.local.processes import LocalProcess
from reelflow.errors import InputError


def test_a_folder_in_use_is_refused_with_where_it_is_and_how_to_stop_it(tmp_path: Path) -> None:
    """Also while the first is still starting; and it is free again afterwards."""
    with occupied(tmp_path) as first:
        with pytest.raises(InputError, match="it is just starting"), occupied(tmp_path):
            pass
        first.note("http://127.0.0.1:4200", [])

        with pytest.raises(InputError) as refused, occupied(tmp_path):
            pass

    assert str(refused.value) == (
        f"reelflow is already running in {tmp_path}: its UI is at http://127.0.0.1:4200. Nothing was started. Use that "
        f"one, or stop it with Ctrl-C in its terminal (process {os.getpid()}), or start another in a different folder."
    )
    with occupied(tmp_path):
        pass


def test_up_says_so_in_one_line_and_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1; not even a log file is there afterwards."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".reelflow" / "up"

    with occupied(folder):
        before = sorted(path.name for path in folder.iterdir())
        done = reelflow("up")
        after = sorted(path.name for path in folder.iterdir())

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "already running" in done.stderr
    assert after == before


KILLED = """
import os, signal, sys
from pathlib import Path
from deployments.local.occupied import occupied
from deployments.local.processes import LocalProcess
folder = Path(sys.argv[1])
with occupied(folder) as own:
    own.note("http://127.0.0.1:1", [LocalProcess("a child", sys.argv[2:], folder / "child.log", {})])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are Unix's")
def test_a_killed_one_does_not_block_the_next_which_stops_what_it_left(tmp_path: Path) -> None:
    """Else the old server would go on beside the new one, on the same database."""
    child = [sys.executable, "-c", f"import time; time.sleep(600)  # {tmp_path}"]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), *child], check=False, timeout=30)
    assert killed.returncode == -signal.SIGKILL
    assert len(processes_of(f"time.sleep(600)  # {tmp_path}")) == 1

    with occupied(tmp_path):
        left = processes_of(f"time.sleep(600)  # {tmp_path}")

    assert left == []


@pytest.mark.skipif(os.name != "posix", reason="process groups are Unix's")
def test_somebody_elses_process_with_an_old_number_is_left_alone(tmp_path: Path) -> None:
    """Numbers are used again; the command tells whose it is."""
    other = LocalProcess("another", [sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log", {})
    notes = f'{{"pid": 1, "ui": "", "processes": [{{"pid": {other.pid}, "command": "{other.pid} reelflow sandbox"}}]}}'
    (tmp_path / "running.json").write_text(notes)

    with occupied(tmp_path):
        is_running = other.running
    other.stop()

    assert is_running
