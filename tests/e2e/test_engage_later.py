"""The phones' part of a scheduled post under a real worker that is killed, and across everything that restarts."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from support.phones import PHONES, SERIALS
from support.pools import Pool, flow_process
from support.waiting import until

from blocks import TaislyAccount, TikMatrixHost
from flows.engage import publish_and_engage
from flows.engage_later import engage_when_published
from flows.finish import finish_open_posts
from reelflow.phones.form import EngageForm
from reelflow.posts.form import FinishForm, PostForm
from reelflow.records.engagements import EngagementState
from tasks.ledger import open_ledger

pytestmark = pytest.mark.slow


@pytest.fixture
def pool(server: str, tmp_path: Path) -> Iterator[Pool]:
    found = Pool(server, tmp_path, "engaging")
    yield found
    found.stop()


@pytest.fixture
def host(sandbox: Any) -> TikMatrixHost:
    block = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=PHONES, poll_seconds=0.2, auto_retry=False)
    block.save("later", overwrite=True)
    return TikMatrixHost.load("later")


def _runs(deployment: Any) -> list[Any]:
    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
        return client.read_flow_runs(flow_run_filter=wanted)


def test_a_kill_in_the_middle_repeats_neither_warm_ups_nor_comments(
    pool: Pool, host: TikMatrixHost, sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """Its process and its worker are killed while the phones warm up; the next run watches those, and comments."""
    taisly = TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.2)
    later = pool.deploy(engage_when_published, "flows/engage_later.py:engage_when_published", "engage-when-published")
    at = datetime.now(UTC) + timedelta(seconds=15)
    post = PostForm(video=str(clip("small.mp4")), accounts=["TikTok @mara.bakes"], scheduled_for=at)
    engage = EngageForm(devices=SERIALS[:2], comments=["first!"], warm_up_seconds=60)
    scheduled = publish_and_engage(taisly, post, engage, host, return_state=True)
    sandbox.world.realtime = True

    def finish() -> Any:
        return finish_open_posts(taisly, FinishForm(minutes=0.2), return_state=True)

    def phone_tasks(script: str) -> list[dict[str, Any]]:
        return [task for task in sandbox.state["phone_tasks"] if task["script_name"] == script]

    def hold_warm_ups() -> bool:
        for task in sandbox.world.data.phone_tasks:
            task.seconds = 600
        return len(phone_tasks("account_warmup")) == 2

    until("the time of the post", lambda: time.time() > at.timestamp())
    until("the post to be out", lambda: "starts in engage-when-published" in finish().message)
    worker = pool.worker()
    until("the warm-ups", hold_warm_ups)
    (run,) = _runs(later)
    os.kill(flow_process(run.id), signal.SIGKILL)
    worker.kill()
    worker.wait(60)
    for task in sandbox.world.data.phone_tasks:
        task.seconds = 1
    (engagement,) = open_ledger().engagements()
    until("the end of its lease", lambda: not open_ledger().engagements()[0].is_held(time.time()))
    finish()
    pool.worker()

    until("the end", lambda: open_ledger().engagements(states=[EngagementState.DONE]), 180)

    assert scheduled.name == "Scheduled"
    assert (len(phone_tasks("account_warmup")), len(phone_tasks("comment"))) == (2, 2)
    (done,) = open_ledger().engagements()
    assert (done.id, done.attempts) == (engagement.id, 2)
    assert len(_runs(later)) == 2
    finish()
    assert len(_runs(later)) == 2
