"""Runs under real workers of a real work pool: killed, stopped, executed twice at once, cancelled."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelling, Scheduled

from blocks import TaislyAccount
from flows.publish import publish_video
from reelflow.ledger import Ledger
from reelflow.models import PostForm, State

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
POOL = "publish"


class Workers:
    """A work pool with the deployment publish-video, and workers for it that may be killed."""

    def __init__(self, server: str, folder: Path, ledger_url: str, taisly: TaislyAccount) -> None:
        self.folder = folder
        self.ledger = Ledger(ledger_url)
        self.taisly = taisly
        self.environment = {
            **os.environ,
            "PREFECT_API_URL": f"{server}/api",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_HOME": str(folder / "home"),
        }
        own = {"REELFLOW_LEDGER_URL": ledger_url, "REELFLOW_LEASE_SECONDS": "2"}
        command = [sys.executable, "-m", "prefect", "work-pool", "create", POOL, "--type", "process", "--overwrite"]
        subprocess.run(command, env=self.environment, check=True, capture_output=True)
        source: Any = publish_video.from_source(str(ROOT), "flows/publish.py:publish_video")
        self.deployment: Any = source.deploy(
            name="worker-test", work_pool_name=POOL, print_next_steps=False, ignore_warnings=True,
            job_variables={"stream_output": False, "env": {**own, "PREFECT_HOME": str(folder / "home")}},
        )  # fmt: skip
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL],
                env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.running.append(worker)
        return worker

    def run(self, *, stream_output: bool = False, **form: Any) -> UUID:
        block = {"$ref": {"block_document_id": str(self.taisly._block_document_id)}}
        post = PostForm(**form).model_dump(mode="json", exclude_none=True)
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(
                self.deployment,
                parameters={"taisly": block, "post": post},
                job_variables={"stream_output": stream_output},
            )
        return run.id

    def retry(self, run: UUID) -> None:
        """What the button Retry does."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Scheduled(name="AwaitingRetry"), force=True)

    def cancel(self, run: UUID) -> None:
        """What the button Cancel does."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Cancelling())

    def state(self, run: UUID) -> str:
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run).state
        return found.type.value if found else ""

    def stop(self) -> None:
        for worker in self.running:
            for each in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(worker.pid, each)
                except ProcessLookupError:
                    break
                time.sleep(1)
            worker.wait(20)
        self.ledger.close()


@pytest.fixture
def workers(server: str, sandbox: Any, tmp_path: Path, ledger_url: str) -> Iterator[Workers]:
    taisly: Any = TaislyAccount(
        api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.2
    )
    taisly.save("workers", overwrite=True)
    found = Workers(server, tmp_path, ledger_url, taisly)
    yield found
    found.stop()


def _until(what: str, condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for: {what}; now {condition()!r}"
        time.sleep(0.1)


def _record(ledger: Ledger) -> list[State]:
    return [o.state for s in State for _, found in ledger.find(state=s) for o in found if o.state == s]


@pytest.mark.parametrize(
    ("how", "stream_output"),
    [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGTERM, False)],
    ids=["killed", "killed, its run dies at a log line", "stopped"],
)
def test_a_worker_goes_in_the_middle_of_a_send(
    workers: Workers, sandbox: Any, clip: Callable[[str], Path], how: signal.Signals, stream_output: bool
) -> None:
    """SIGKILL leaves the run's process behind, SIGTERM kills it; retried under a new worker: one post either way.

    After SIGKILL the run is executed twice at once, by the process left behind and by the retry.
    """
    sandbox.fault("slow", "POST", "/api/private/post", seconds=5)
    worker = workers.start()
    form = {"video": str(clip("good.mp4")), "accounts": ["x", "instagram"], "caption": how.name}
    run = workers.run(stream_output=stream_output, **form)
    _until("the post, whose answer is 5 s away", lambda: sandbox.posts)

    worker.send_signal(how)
    worker.wait(20)
    workers.start()
    workers.retry(run)

    def ended() -> bool:
        state = workers.state(run)
        if state == "CRASHED":  # the stopped process had the last word; its owner presses Retry once more
            workers.retry(run)
        return state == "COMPLETED"

    _until("the run's end", ended)
    _until("the record", lambda: _record(workers.ledger) == [State.SUCCESS] * 2)
    assert len(sandbox.posts) == 1
    assert sandbox.asked("POST /api/private/post") == 1


def test_a_run_cancelled_before_the_send_sends_nothing(
    workers: Workers, sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """Cancelled while it checks the accounts."""
    sandbox.fault("slow", "GET", "/api/private/platform/platforms", seconds=6)
    workers.start()
    run = workers.run(video=str(clip("small.mp4")), accounts=["x"], caption="cancelled")
    _until("the check", lambda: sandbox.asked("GET /api/private/platform/platforms"))

    workers.cancel(run)

    _until("the cancellation", lambda: workers.state(run) == "CANCELLED")
    time.sleep(1)
    assert sandbox.asked("POST /api/private/post") == 0
    assert sandbox.posts == []


@pytest.mark.parametrize("withdraw", [True, False], ids=["withdrawn", "kept"])
def test_a_run_cancelled_after_the_send_withdraws_what_its_form_says(
    workers: Workers, sandbox: Any, clip: Callable[[str], Path], withdraw: bool
) -> None:
    """A scheduled post is withdrawn only if the person chose so, and the ledger says what happened."""
    workers.start()
    run = workers.run(
        video=str(clip("small.mp4")), accounts=["x"], caption="later", withdraw_if_cancelled=withdraw,
        scheduled_for=datetime.now(UTC) + timedelta(hours=2), watch_minutes=10,
    )  # fmt: skip
    _until("the post", lambda: _record(workers.ledger) == [State.ACCEPTED])

    workers.cancel(run)

    _until("the cancellation", lambda: workers.state(run) == "CANCELLED")
    if withdraw:
        _until("the withdrawal", lambda: _record(workers.ledger) == [State.CANCELLED])
    assert len(sandbox.posts) == (not withdraw)
    ((send, _),) = workers.ledger.find(state=State.CANCELLED if withdraw else State.ACCEPTED)
    assert (workers.ledger.trail(send.id)[-1]["state"] == "CANCELLED") is withdraw
    assert send.flow_run == str(run)


def test_a_cron_deployment_gets_runs(server: str) -> None:
    """With a SQLAlchemy that is too new for Prefect the scheduler creates none, and says nothing."""
    source: Any = publish_video.from_source(str(ROOT), "flows/publish.py:publish_video")
    deployment = source.deploy(
        name="cron-test", work_pool_name=_pool(server), cron="*/5 * * * *", print_next_steps=False, ignore_warnings=True
    )

    def scheduled() -> int:
        with get_client(sync_client=True) as client:
            found = client.get_scheduled_flow_runs_for_deployments([deployment])
        return len(found)

    _until("scheduled runs", scheduled, seconds=90)


def _pool(server: str) -> str:
    subprocess.run(
        [sys.executable, "-m", "prefect", "work-pool", "create", "cron", "--type", "process", "--overwrite"],
        env={**os.environ, "PREFECT_API_URL": f"{server}/api"}, check=True, capture_output=True,
    )  # fmt: skip
    return "cron"
