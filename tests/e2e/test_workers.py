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
from pools import ROOT, Pool, until
from prefect.client.orchestration import get_client

from blocks import TaislyAccount
from flows.publish import publish_video
from reelflow.ledger import Ledger
from reelflow.models import PostForm, State

pytestmark = pytest.mark.slow
POOL = "publish"


class Workers(Pool):
    """A work pool with the deployment publish-video."""

    def __init__(self, server: str, folder: Path, ledger_url: str, taisly: TaislyAccount) -> None:
        super().__init__(server, folder, ledger_url, POOL)
        self.taisly = taisly
        self.deployment = self.deploy(publish_video, "flows/publish.py:publish_video", "worker-test")

    def publish(self, *, stream_output: bool = False, **form: Any) -> UUID:
        block = {"$ref": {"block_document_slug": "taisly-account/workers"}}  # as a schedule has it
        post = PostForm(**form).model_dump(mode="json", exclude_none=True)
        return self.run(self.deployment, stream_output=stream_output, taisly=block, post=post)


@pytest.fixture
def workers(server: str, sandbox: Any, tmp_path: Path, ledger_url: str) -> Iterator[Workers]:
    taisly: Any = TaislyAccount(
        api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.2
    )
    taisly.save("workers", overwrite=True)
    found = Workers(server, tmp_path, ledger_url, taisly)
    yield found
    found.stop()


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
    run = workers.publish(stream_output=stream_output, **form)
    until("the post, whose answer is 5 s away", lambda: sandbox.posts)

    worker.send_signal(how)
    worker.wait(60)
    workers.start()
    workers.retry(run)

    def ended() -> bool:
        state = workers.state(run)
        if state == "CRASHED":  # the stopped process had the last word; its owner presses Retry once more
            workers.retry(run)
        return state == "COMPLETED"

    until("the run's end", ended)
    until("the record", lambda: _record(workers.ledger) == [State.SUCCESS] * 2)
    assert len(sandbox.posts) == 1
    assert sandbox.asked("POST /api/private/post") == 1


def test_a_run_cancelled_before_the_send_sends_nothing(
    workers: Workers, sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """Cancelled while it checks the accounts."""
    sandbox.fault("slow", "GET", "/api/private/platform/platforms", seconds=6)
    workers.start()
    run = workers.publish(video=str(clip("small.mp4")), accounts=["x"], caption="cancelled")
    until("the check", lambda: sandbox.asked("GET /api/private/platform/platforms"))

    workers.cancel(run)

    until("the cancellation", lambda: workers.state(run) == "CANCELLED")
    time.sleep(1)
    assert sandbox.asked("POST /api/private/post") == 0
    assert sandbox.posts == []


@pytest.mark.parametrize("withdraw", [True, False], ids=["withdrawn", "kept"])
def test_a_run_cancelled_after_the_send_withdraws_what_its_form_says(
    workers: Workers, sandbox: Any, clip: Callable[[str], Path], withdraw: bool
) -> None:
    """A scheduled post is withdrawn only if the person chose so, and the ledger says what happened."""
    workers.start()
    run = workers.publish(
        video=str(clip("small.mp4")), accounts=["x"], caption="later", withdraw_if_cancelled=withdraw,
        scheduled_for=datetime.now(UTC) + timedelta(hours=2), watch_minutes=10,
    )  # fmt: skip
    until("the post", lambda: _record(workers.ledger) == [State.ACCEPTED])

    workers.cancel(run)

    until("the cancellation", lambda: workers.state(run) == "CANCELLED")
    if withdraw:
        until("the withdrawal", lambda: _record(workers.ledger) == [State.CANCELLED])
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

    until("scheduled runs", scheduled, seconds=90)


def _pool(server: str) -> str:
    subprocess.run(
        [sys.executable, "-m", "prefect", "work-pool", "create", "cron", "--type", "process", "--overwrite"],
        env={**os.environ, "PREFECT_API_URL": f"{server}/api"}, check=True, capture_output=True,
    )  # fmt: skip
    return "cron"
