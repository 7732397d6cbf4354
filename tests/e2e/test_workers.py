"""Runs under real workers of a real work pool: killed, stopped, executed twice at once, cancelled."""

import itertools
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from support.clips import numbered
from support.heartbeats import last_heartbeat
from support.journal import journal_of
from support.pools import ROOT, Pool
from support.processes import processes_of
from support.race import at_once
from support.waiting import until

from blocks import TaislyAccount
from flows.publish import publish_video
from flows.watch_runs import watch_runs
from reelflow.ledger import Ledger
from reelflow.posts.form import PostForm
from reelflow.posts.requests import read_video
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, PostRequest
from reelflow.sandbox.catalog import ACCOUNTS
from reelflow.upkeep.form import WatchdogForm
from tasks.ledger import open_ledger

pytestmark = pytest.mark.slow
FLOW = "flows/publish.py:publish_video"


@pytest.fixture(scope="module")
def pools(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pool]]:
    found = [Pool(server, tmp_path_factory.mktemp(name), name) for name in ("publish", "publish-too")]
    yield found
    for pool in found:
        pool.stop()


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """The one that the runs use."""
    found = Ledger(ledger_url)
    yield found
    found.close()


@pytest.fixture
def publish(pools: list[Pool], sandbox: Any, tmp_path: Path) -> Callable[..., UUID]:
    """Start a run of publish-video in a pool, with a video of its own."""
    videos = itertools.count()
    taisly: Any = TaislyAccount(
        api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.2
    )
    taisly.save("workers", overwrite=True)
    deployments = {pool.name: pool.deploy(publish_video, FLOW, pool.name) for pool in pools}

    def start(pool: Pool, *, stream_output: bool = False, tags: Sequence[str] = (), **form: Any) -> UUID:
        form = {"video": str(numbered(tmp_path, next(videos))), **form}  # one each, or they would be duplicates
        block = {"$ref": {"block_document_slug": "taisly-account/workers"}}  # as a schedule has it
        post = PostForm(**form).model_dump(mode="json", exclude_none=True)
        return pool.run(deployments[pool.name], stream_output=stream_output, tags=tags, taisly=block, post=post)

    return start


def _record(ledger: Ledger) -> Counter[tuple[str, PostState]]:
    """Destinations by caption and state."""
    return Counter(
        (send.caption, o.state)
        for s in PostState
        for send, found in ledger.find(state=s)
        for o in found
        if o.state == s
    )


def test_a_worker_goes_in_the_middle_of_a_send(
    pools: list[Pool], publish: Callable[..., UUID], ledger: Ledger, sandbox: Any
) -> None:
    """SIGKILL leaves runs' processes behind, SIGTERM kills them; retried under a new worker: one post each.

    After SIGKILL a run is executed twice at once, by the process left behind, unless that dies at its next log line,
    and by the retry.
    """
    runs = {"killed": (pools[0], False), "killed, dies at a log line": (pools[0], True), "stopped": (pools[1], False)}
    sandbox.order_fault("slow", "POST", "/api/private/post", seconds=300, times=len(runs))
    form = {"accounts": ["x", "instagram"]}
    for pool in pools:
        pool.worker()
    ids = {
        caption: publish(pool, stream_output=streams, caption=caption, **form)
        for caption, (pool, streams) in runs.items()
    }

    def break_off(pool: Pool, how: signal.Signals) -> None:
        mine = [caption for caption, (its, _) in runs.items() if its is pool]
        until("the posts, whose answers are held back", lambda: {p["caption"] for p in sandbox.posts} >= {*mine})
        assert {_record(ledger)[caption, PostState.SENDING] for caption in mine} == {2}
        worker = pool.worker()
        worker.send_signal(how)
        worker.wait(60)
        pool.worker()
        for caption in mine:
            pool.retry(ids[caption])

    def ended(pool: Pool, run: UUID) -> bool:
        state = pool.state(run)
        if state == "CRASHED":  # the process that died had the last word; its owner presses Retry once more
            pool.retry(run)
        return state == "COMPLETED"

    at_once(2, lambda n: break_off(pools[n], (signal.SIGKILL, signal.SIGTERM)[n]))
    sandbox.clear_faults()  # the answers come

    for caption, (pool, _) in runs.items():
        until("the run's end", lambda pool=pool, run=ids[caption]: ended(pool, run))  # type: ignore[misc]
    out = dict.fromkeys(((caption, PostState.SUCCESS) for caption in runs), 2)
    until("the record", lambda: _record(ledger) == out)
    assert sorted(post["caption"] for post in sandbox.posts) == sorted(runs)
    assert sandbox.requests("POST /api/private/post") == len(runs)


def test_what_a_killed_worker_was_publishing_is_started_again(
    pools: list[Pool], publish: Callable[..., UUID], ledger: Ledger, sandbox: Any
) -> None:
    """By watch-runs, once nothing shows that it lives; it looks for the post, and sends it no second time."""
    begun = datetime.now(UTC)
    sandbox.order_fault("slow", "POST", "/api/private/post", seconds=300)
    run = publish(pools[0], caption="killed with its worker", accounts=["x"], tags=["reelflow"])
    worker = pools[0].worker()
    until("the post, whose answer is held back", lambda: sandbox.posts)
    until("its heartbeat, without which nothing tells that it died", lambda: last_heartbeat(run) > begun)
    pools[0].kill(run)
    worker.wait(60)
    sandbox.clear_faults()
    until("the end of its lease", lambda: str(run) not in ledger.runs_alive())

    form = WatchdogForm.model_construct(dead_after_minutes=0, late_after_minutes=60, dry_run=False)
    until("its restart", lambda: "1 started again" in str(watch_runs(form, return_state=True).message))
    pools[0].worker()

    until("the run's end", lambda: pools[0].state(run) == "COMPLETED")
    assert [post["caption"] for post in sandbox.posts] == ["killed with its worker"]


HELD = """
import time
from pathlib import Path
from tasks.step import flow

@flow(name="held", upkeep=True, alarms=False)
def held() -> None:
    Path({begun!r}).touch()
    time.sleep(600)
"""


def test_upkeep_that_is_killed_with_its_worker_frees_its_slot_within_90_seconds(
    pools: list[Pool], ledger_url: str, tmp_path: Path
) -> None:
    """Prefect's own lease is of five minutes, in which each next run of the schedule would be cancelled."""
    begun = tmp_path / "begun"
    (tmp_path / "held.py").write_text(HELD.format(begun=str(begun)))
    pool = pools[1]
    source: Any = flow(lambda: None, name="held").from_source(str(tmp_path), "held.py:held")
    one = ConcurrencyLimitConfig(limit=1, collision_strategy="CANCEL_NEW", grace_period_seconds=60)
    deployment = source.deploy(
        name="held", work_pool_name=pool.name, concurrency_limit=one, print_next_steps=False, ignore_warnings=True,
        job_variables={"stream_output": False, "env": {**pool.own, "PYTHONPATH": str(ROOT)}},
    )  # fmt: skip

    def taken() -> int:
        with get_client(sync_client=True) as client:
            limit = client.read_deployment(deployment).global_concurrency_limit
        return limit.active_slots if limit else -1

    open_ledger()
    worker = pool.worker()
    run = pool.run(deployment)
    until("the run, which has shortened its lease", begun.exists)
    assert taken() == 1
    pool.kill(run)
    worker.wait(60)
    killed = time.monotonic()

    until("the slot", lambda: taken() == 0, seconds=200)

    assert time.monotonic() - killed < 90


def test_a_cancelled_run_sends_nothing_and_cancels_what_its_form_says(
    pools: list[Pool], publish: Callable[..., UUID], ledger: Ledger, sandbox: Any, tmp_path: Path
) -> None:
    """Cancelled before the send: nothing is sent. After it: a scheduled post is cancelled, unless the person keeps it.

    A run that has scheduled its post ends at once. These still wait for another run, which sends to Instagram.
    """
    pool = pools[0]
    pool.worker()
    later = {"scheduled_for": datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)}
    form = {"accounts": ["x"]}
    ledger.lease_seconds = 600

    def scheduled(caption: str, number: int, **more: Any) -> UUID:
        video = numbered(tmp_path, number)
        instagram = next(a for a in ACCOUNTS if a["platform"] == "Instagram")
        account = Account(id=instagram["id"], platform="Instagram", name=instagram["displayName"])
        post = PostRequest(video=read_video(str(video)), accounts=[account], caption=caption, preview_second=0, **later)
        ledger.claim(post, service=sandbox.taisly_url, owner="another run", flow_run=None)
        return publish(pool, video=str(video), accounts=["x", "instagram"], caption=caption, **later, **more)

    def record() -> Counter[tuple[str, PostState]]:
        return Counter({key: number for key, number in _record(ledger).items() if key[1] is not PostState.CLAIMED})

    sandbox.order_fault("slow", "GET", "/api/private/platform/platforms", seconds=300)
    runs = {"not sent": publish(pool, caption="not sent", **form)}
    until("the check", lambda: sandbox.requests("GET /api/private/platform/platforms"))
    pool.cancel(runs["not sent"])
    runs["cancelled"] = scheduled("cancelled", 100)
    runs["kept"] = scheduled("kept", 101, cancel_post_with_run=False)
    until("the posts", lambda: record() == {(c, PostState.ACCEPTED): 1 for c in ("cancelled", "kept")})

    pool.cancel(runs["cancelled"])
    pool.cancel(runs["kept"])
    sandbox.order_fault("slow", "POST", "/api/private/post", seconds=300)
    runs["awaited"] = publish(pool, caption="awaited", **form)
    until("the post whose answer is held back", lambda: "awaited" in {p["caption"] for p in sandbox.posts})
    pool.cancel(runs["awaited"])

    for run in runs.values():
        pool.wait_until_cancelled(run)
        until("the end of its process", lambda run=run: not processes_of(str(run)))  # type: ignore[misc]
    after = {("cancelled", PostState.CANCELLED): 1, ("kept", PostState.ACCEPTED): 1, ("awaited", PostState.SENDING): 1}
    until("the cancellation", lambda: record() == after)
    assert [post["caption"] for post in sandbox.posts] == ["kept", "awaited"]
    assert sandbox.requests("POST /api/private/post") == 3  # the three that were cancelled after it
    words = {
        "not sent": "It posted nothing.",
        "cancelled": "The scheduled post was cancelled at Taisly too.",
        "kept": "The post stays scheduled for X @marabakes",
        "awaited": "The post may have been published to X @marabakes",
    }
    for caption, said in words.items():
        until(f"the message of {caption}", lambda run=runs[caption], said=said: said in pool.message(run))  # type: ignore[misc]
    for caption, state in after:
        ((send, _),) = ledger.find(state=state)
        assert journal_of(ledger, send.id)[-1]["state"] == state
        assert send.flow_run == str(runs[caption])


def test_a_cron_deployment_gets_runs(server: str, tmp_path: Path) -> None:
    """With a SQLAlchemy that is too new for Prefect the scheduler creates none, and says nothing."""
    pool = Pool(server, tmp_path, "cron")  # without a worker
    source: Any = publish_video.from_source(str(ROOT), FLOW)
    deployment = source.deploy(
        name="cron-test", work_pool_name=pool.name, cron="*/5 * * * *", print_next_steps=False, ignore_warnings=True
    )

    def scheduled() -> int:
        with get_client(sync_client=True) as client:
            found = client.get_scheduled_flow_runs_for_deployments([deployment])
        return len(found)

    until("scheduled runs", scheduled, seconds=90)
