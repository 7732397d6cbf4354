"""Phone tasks made once, whatever breaks: real processes, real HTTP, killed and cut at random.

A short round in `make test`. `make soak` runs the long one and prints the counts that stand in docs/reliability.md.
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
import support
from support.outage import Locked, Outage
from support.phone_runner import HOST, form_of
from support.rounds import SEED, rounds
from support.sandbox_process import SandboxProcess

from reelflow.ledger import Ledger
from reelflow.phones.settling import settle_lost
from reelflow.records.phone_states import UNSETTLED
from reelflow.sandbox.dialect import DIALECT
from reelflow.tikmatrix import TikMatrixClient

pytestmark = pytest.mark.slow
RUNNER = str(Path(support.__file__).parent / "phone_runner.py")
BATCHES = rounds(40, 200)
TROUBLES = {"fault": rounds(15, 60), "kill": rounds(4, 10), "restart": rounds(2, 5), "dialect": rounds(4, 20),
            "outage": rounds(1, 5)}  # fmt: skip
"""What breaks, in an order of chance: spread over the first three quarters of the batches, so that it always does.

A dialect is another spelling of what TikMatrix shows; an outage is the ledger's.
"""
STALLED_SECONDS = 120.0
"""A runner that makes no batch for so long hangs. A batch takes a tenth of a second, on a busy machine a few."""
SPELLED = ("serials", "usernames", "statuses", "logged_in")
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


def test_no_batch_is_made_twice(tmp_path: Path, request: pytest.FixtureRequest, outage: Locked | Outage) -> None:
    """Made by two processes that are killed at random, with answers lost at random and TikMatrix restarted."""
    chance = random.Random(SEED)
    box = SandboxProcess(tmp_path / "sandbox")
    box.start()
    request.addfinalizer(lambda: box.stop(signal.SIGKILL))
    counts: collections.Counter[str] = collections.Counter()
    runners = [
        Runner(list(range(n, BATCHES, 2)), [f"{box.url}/api/v1", outage.url], tmp_path / f"runner{n}.log")
        for n in range(2)
    ]
    for runner in runners:
        request.addfinalizer(runner.kill)
    troubles = [kind for kind, number in TROUBLES.items() for _ in range(number)]
    chance.shuffle(troubles)
    due = sorted(chance.randrange(BATCHES * 3 // 4) for _ in troubles)
    made_so_far, since = 0, time.monotonic()
    while any(runner.process.poll() != 0 for runner in runners):
        time.sleep(chance.uniform(0.005, 0.05))
        if (made_now := sum(len(runner.done) for runner in runners)) > made_so_far:
            made_so_far, since = made_now, time.monotonic()
        assert time.monotonic() < since + STALLED_SECONDS, [runner.log.read_text()[-2000:] for runner in runners]
        trouble = troubles.pop() if troubles and made_so_far >= due[-len(troubles)] else None
        if trouble == "fault":
            kind, status = chance.choice(KINDS), chance.choice((500, 502))
            method = chance.choice(("POST", "POST", "POST", "GET"))
            box.order_fault(fault=kind, method=method, path="/api/v1/task", status=status)
            counts["faults"] += 1
        elif trouble == "restart":
            box.stop(signal.SIGKILL)
            box.start()
            counts["restarts"] += 1
        elif trouble == "dialect":
            box.set_dialect(**{name: chance.choice(DIALECT[name]) for name in SPELLED})
            counts["dialects"] += 1
        elif trouble == "outage":
            outage.cut()
            time.sleep(chance.uniform(0.2, 1.5))
            outage.restore()
            counts["outages of the ledger"] += 1
        elif trouble == "kill":
            running = [runner for runner in runners if runner.process.poll() is None]
            if running:
                runner = chance.choice(running)
                time.sleep(chance.uniform(0, 0.15))  # anywhere in a batch
                runner.kill()
                runner.start()
                counts["kills"] += 1
        for runner in runners:
            if runner.process.poll() not in (None, 0):
                counts["died"] += 1
                runner.start()
    box.clear_faults()

    later = Ledger(outage.url, clock=lambda: time.time() + 1000)
    request.addfinalizer(later.close)
    with TikMatrixClient(f"{box.url}/api/v1") as client:
        later.take_turn(HOST, "the test")
        settle_lost(client, later, HOST, "the test")
    made = collections.Counter((task["serial"], task["script_args"]["target_user"]) for task in box.phone_tasks)
    batches = later.task_requests()
    states = collections.Counter(batch.state.value for batch in batches)
    print(
        f"\nPhones on {later.url.get_backend_name()} (seed {SEED}): {BATCHES} batches by 2 processes, "
        f"{sum(made.values())} tasks; "
        + ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
        + f". Made twice: {sum(number > 1 for number in made.values())}. {dict(states)}"
    )

    assert [pair for pair, number in made.items() if number > 1] == []
    assert not troubles, "the batches were made before all of it had happened"
    assert counts["kills"] >= TROUBLES["kill"] // 2
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
        assert not any(b.state in UNSETTLED for b in mine), mine
        assert out == wanted or not any(b.state == "CREATED" for b in mine)
