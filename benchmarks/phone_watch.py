"""Watching 500 phone tasks on 20 phones: requests a look, memory, CPU, and how soon after the last end it ends.

The sandbox's tasks take 4 to 15 s each (`realtime`), and a phone does one at a time: some four minutes in all. For the
measurement its clock is moved on by the pause after each look, and the watcher's with it.
"""

import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.result import Result
from benchmarks.sandbox import running_sandbox
from reelflow.ledger import Ledger
from reelflow.phones.creating import create_tasks
from reelflow.phones.form import FollowForm
from reelflow.phones.limits import Guardrails, make_plan, read_phones
from reelflow.phones.requests import make_request
from reelflow.phones.watching import WatchSettings, watch_tasks
from reelflow.records.phone_states import TaskState
from reelflow.sandbox import SandboxControl
from reelflow.sandbox.catalog import DEVICES
from reelflow.tikmatrix import TikMatrixClient

TASKS = 500
INTERVAL = 10.0
"""Seconds between two looks, as a host block has it by default."""
PAGES = 5
"""500 tasks at 100 a page."""
MEMORY_BOUND_MB = 16.0
CPU_BOUND = 0.1
"""Seconds of CPU for each look at 500 tasks."""


def measure() -> list[Result]:
    """Make the tasks, watch them to their ends; once."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_sandbox("--realtime", "--license", "Pro") as box,
        TikMatrixClient(box.tikmatrix_url) as client,
    ):
        return _watch(box, client, Path(folder))


def _watch(box: SandboxControl, client: TikMatrixClient, folder: Path) -> list[Result]:
    clock = Offset()
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}", clock=clock)
    batch = _make(ledger, client)
    made, looks = box.requests(), []

    def sleep(seconds: float) -> None:
        clock.ahead += seconds
        box.advance_clock(seconds)
        looks.append((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time()))

    watched = watch_tasks(client, ledger, [batch], WatchSettings(7200, INTERVAL), sleep=sleep)
    ended = clock()
    requests = box.requests() - made
    tasks = ledger.phone_tasks([batch])
    done = sum(task.state is TaskState.COMPLETED for task in tasks)
    last = max(datetime.strptime(task.ended, "%Y-%m-%d %H:%M:%S").astimezone().timestamp() for task in tasks)
    half = len(looks) // 2
    growth = looks[-1][0] - looks[half][0]
    cpu = (looks[-1][1] - looks[0][1]) / max(1, len(looks) - 1)
    ledger.close()
    per_look = requests / watched.looks
    return [
        Result(
            f"requests a look at {TASKS} tasks on {len(DEVICES)} phones, vs one for each task",
            f"{per_look:.2f} vs {TASKS} ({requests} requests in {watched.looks} looks, {done} completed)",
            f"at most {PAGES}, and one for the phones' names",
            requests <= PAGES * watched.looks + 1 and done == TASKS,
        ),
        Result(
            "end of the watch after the last task's end",
            f"{ended - last:.1f} s",
            f"at most {INTERVAL + 2:.0f} s, one interval",
            ended - last <= INTERVAL + 2,
        ),
        Result(
            "memory of the watcher, second half of the watch",
            f"{growth:+.1f} MB",
            f"at most +{MEMORY_BOUND_MB:.0f} MB",
            growth <= MEMORY_BOUND_MB,
        ),
        Result("CPU of the watcher for each look", f"{cpu:.3f} s", f"at most {CPU_BOUND} s", cpu <= CPU_BOUND),
    ]


class Offset:
    """The real clock, and what was slept through."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Unix seconds."""
        return time.time() + self.ahead


def _make(ledger: Ledger, client: TikMatrixClient) -> str:
    rails = Guardrails(read_phones(list(DEVICES)), {"follow": TASKS}, ZoneInfo("UTC"))
    users = [f"user{n}" for n in range(TASKS // len(DEVICES))]
    form = FollowForm(devices=["all"], users=users, most_tasks=TASKS)
    request, now = make_request(form, rails), datetime.now(UTC)
    ledger.plan_tasks(
        request,
        lambda history: make_plan(request, rails, history, now),
        since=0,
        host="bench",
        owner="bench",
        flow_run="bench",
    )
    (batch,) = ledger.task_requests()
    create_tasks(client, ledger, [batch], owner="bench")
    return batch.id
