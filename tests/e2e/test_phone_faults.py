"""Phone tasks made once, whatever breaks: real processes, real HTTP, killed and cut at random.

The counts are printed (`pytest -s`) and stand in docs/reliability.md. Repeat one with REELFLOW_SEED.
"""

import collections
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from phone_runner import HOST, form_of
from sandbox_process import SandboxProcess

from reelflow.ledger import Ledger
from reelflow.phones.batches import BatchState
from reelflow.phones.creating import settle_lost
from reelflow.tikmatrix import TikMatrixClient

pytestmark = pytest.mark.slow
RUNNER = str(Path(__file__).parents[1] / "phone_runner.py")
SEED = int(os.environ.get("REELFLOW_SEED") or 20261122)
BATCHES = 200
TROUBLE_SECONDS = 30.0
"""For how long there is trouble; the rest is made in peace."""
KINDS = ("drop_before", "drop_after", "status_before", "status_after", "garbage_after", "drop_mid_body")


def test_no_batch_is_made_twice(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """200 batches by two processes, killed at random, with answers lost at random and TikMatrix restarted."""
    chance = random.Random(SEED)
    box = SandboxProcess(tmp_path / "sandbox")
    box.start()
    request.addfinalizer(lambda: box.stop(signal.SIGKILL))
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    halves = [list(range(n, BATCHES, 2)) for n in range(2)]
    counts: collections.Counter[str] = collections.Counter()
    logs = [tmp_path / f"runner{n}.log" for n in range(2)]
    environment = {**os.environ, "REELFLOW_LEASE_SECONDS": "1.0"}

    def start(n: int) -> subprocess.Popen[bytes]:
        done = {int(line.split()[1]) for line in _lines(logs[n]) if line.startswith("done")}
        left = [number for number in halves[n] if number not in done]
        with logs[n].open("ab") as log:
            return subprocess.Popen(
                [sys.executable, RUNNER, f"{box.url}/api/v1", ledger_url, json.dumps(left)],
                stdout=log, stderr=log, env=environment,
            )  # fmt: skip

    runners = [start(n) for n in range(2)]
    begun = time.monotonic()
    while any(runner.poll() != 0 for runner in runners):
        assert time.monotonic() < begun + 120, [path.read_text()[-2000:] for path in logs]
        time.sleep(chance.uniform(0.05, 0.5))
        what = chance.random() if time.monotonic() < begun + TROUBLE_SECONDS else 1.0
        if what < 0.55:
            kind, status = chance.choice(KINDS), chance.choice((500, 502))
            method = chance.choice(("POST", "POST", "POST", "GET"))
            box.post("/sandbox/faults", fault=kind, method=method, path="/api/v1/task", status=status)
            counts["faults"] += 1
        elif what < 0.62:
            box.stop(signal.SIGKILL)
            box.start()
            counts["restarts"] += 1
        elif what < 0.75:
            n = chance.randrange(2)
            if runners[n].poll() is None:
                runners[n].kill()
                runners[n].wait(10)
                runners[n] = start(n)
                counts["kills"] += 1
        for n, runner in enumerate(runners):
            if runner.poll() not in (None, 0):
                counts["died"] += 1
                runners[n] = start(n)
    box.clear()

    later = Ledger(ledger_url, clock=lambda: time.time() + 1000)
    with TikMatrixClient(f"{box.url}/api/v1") as client:
        settle_lost(client, later, HOST)
    made = collections.Counter(
        (task["serial"], task["script_args"]["target_user"]) for task in box.state["phone_tasks"]
    )
    batches = later.batches()
    states = collections.Counter(batch.state.value for batch in batches)
    print(f"\nseed {SEED}: {BATCHES} batches, {sum(made.values())} tasks, {dict(states)}, {dict(counts)}")

    assert [pair for pair, number in made.items() if number > 1] == []
    assert counts["kills"] >= 5
    assert counts["faults"] >= 20
    for number in range(BATCHES):
        form = form_of(number)
        mine = [batch for batch in batches if batch.flow_run == f"run-{number}"]
        wanted = {(serial, user) for serial in form.devices for user in form.users}
        out = {pair for pair in wanted if made[pair]}
        on_record = {
            (task.serial, task.target) for task in later.phone_tasks([b.id for b in mine if b.state == "CREATED"])
        }
        ids = [task.task_id for task in later.phone_tasks([b.id for b in mine])]
        assert len(ids) == len(out), (number, mine, out)  # what is out is on record, what is on record is out
        assert not on_record - {("", "")} - wanted
        assert {b.state for b in mine} <= {BatchState.CREATED, BatchState.WITHDRAWN}, mine
        assert out == wanted or not any(b.state == "CREATED" for b in mine)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
