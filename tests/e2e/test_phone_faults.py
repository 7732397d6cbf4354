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
TROUBLES = {"fault": 60, "kill": 10, "restart": 5}
"""What breaks, in an order of chance; when all of it has happened, the rest is made in peace."""
STALLED_SECONDS = 120.0
"""A runner that makes no batch for so long hangs. A batch takes a tenth of a second, on a busy machine a few."""
KINDS = ("drop_before", "drop_after", "status_before", "status_after", "garbage_after", "drop_mid_body")


class Runner:
    """A process that makes one half of the batches, started again from where it was."""

    def __init__(self, numbers: list[int], arguments: list[str], log: Path) -> None:
        self.numbers = numbers
        self.arguments = arguments
        self.log = log
        self.start()

    def start(self) -> None:
        left = [number for number in self.numbers if number not in self.done]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, RUNNER, *self.arguments, json.dumps(left)],
                stdout=log, stderr=log, env={**os.environ, "REELFLOW_LEASE_SECONDS": "1.0"},
            )  # fmt: skip

    @property
    def done(self) -> set[int]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return {int(line.split()[1]) for line in lines if line.startswith("done ") and line[5:].isdigit()}

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


def test_no_batch_is_made_twice(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """200 batches by two processes, killed at random, with answers lost at random and TikMatrix restarted."""
    chance = random.Random(SEED)
    box = SandboxProcess(tmp_path / "sandbox")
    box.start()
    request.addfinalizer(lambda: box.stop(signal.SIGKILL))
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    counts: collections.Counter[str] = collections.Counter()
    runners = [
        Runner(list(range(n, BATCHES, 2)), [f"{box.url}/api/v1", ledger_url], tmp_path / f"runner{n}.log")
        for n in range(2)
    ]
    for runner in runners:
        request.addfinalizer(runner.kill)
    troubles = [kind for kind, number in TROUBLES.items() for _ in range(number)]
    chance.shuffle(troubles)
    made_so_far, since = 0, time.monotonic()
    while any(runner.process.poll() != 0 for runner in runners):
        time.sleep(chance.uniform(0.05, 0.5))
        if (made_now := sum(len(runner.done) for runner in runners)) > made_so_far:
            made_so_far, since = made_now, time.monotonic()
        assert time.monotonic() < since + STALLED_SECONDS, [runner.log.read_text()[-2000:] for runner in runners]
        trouble = troubles.pop() if troubles else None
        if trouble == "fault":
            kind, status = chance.choice(KINDS), chance.choice((500, 502))
            method = chance.choice(("POST", "POST", "POST", "GET"))
            box.post("/sandbox/faults", fault=kind, method=method, path="/api/v1/task", status=status)
            counts["faults"] += 1
        elif trouble == "restart":
            box.stop(signal.SIGKILL)
            box.start()
            counts["restarts"] += 1
        elif trouble == "kill":
            runner = chance.choice(runners)
            if runner.process.poll() is None:
                runner.kill()
                runner.start()
                counts["kills"] += 1
        for runner in runners:
            if runner.process.poll() not in (None, 0):
                counts["died"] += 1
                runner.start()
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
    assert not troubles, "the batches were made before all of it had happened"
    assert counts["kills"] >= 5
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
