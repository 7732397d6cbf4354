"""Phone flows under real workers: cancelled, killed, and handed from one machine to another."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pools import Pool, until
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

from blocks import TaislyAccount, TikMatrixHost
from flows.comment import comment_on_posts
from flows.engage import publish_and_engage
from flows.finish_phones import finish_phone_tasks
from flows.warm_up import warm_up_accounts
from reelflow.models import PostForm
from reelflow.phones.forms import EngageForm, WarmUpForm

pytestmark = pytest.mark.slow
SERIALS = [f"R58N{n:02d}SANDBOX" for n in range(1, 4)]
PHONES = [f"{serial}: {name}.daily" for serial, name in zip(SERIALS, ("ada", "ben", "cleo"), strict=True)]


@pytest.fixture
def pool(server: str, tmp_path: Path, ledger_url: str) -> Iterator[Pool]:
    found = Pool(server, tmp_path, ledger_url, "phones-studio")
    yield found
    found.stop()


def _host(name: str, sandbox: Any) -> dict[str, Any]:
    block: Any = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=PHONES, poll_seconds=0.5, auto_retry=False)
    block.save(name, overwrite=True)
    return {"$ref": {"block_document_slug": f"tikmatrix-host/{name}"}}


def _form(**changes: Any) -> dict[str, Any]:
    return WarmUpForm(**({"devices": SERIALS, "watch_minutes": 10} | changes)).model_dump(mode="json")


def _statuses(sandbox: Any) -> list[int]:
    return sorted(task["status"] for task in sandbox.state["phone_tasks"])


def _logs(run: UUID) -> str:
    with get_client(sync_client=True) as client:
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])))
    return "\n".join(log.message for log in logs)


def test_a_cancelled_run_takes_its_tasks_back(pool: Pool, sandbox: Any) -> None:
    """What waits or runs is stopped and deleted, somebody else's task is left, and the run's log says what was done."""
    sandbox.world.realtime = True
    sandbox.tikmatrix().create_task("account_warmup", {}, serials=["R58N09SANDBOX"])
    deployment = pool.deploy(
        warm_up_accounts, "flows/warm_up.py:warm_up_accounts", "studio", host=_host("studio", sandbox)
    )
    pool.start()
    run = pool.run(deployment, warm_up=_form())
    until("three tasks", lambda: len(_statuses(sandbox)) == 4)

    pool.cancel(run)

    until("the cancellation", lambda: pool.state(run) == "CANCELLED")
    until("the clearing up", lambda: "The run was cancelled: " in _logs(run))
    assert [task["serial"] for task in sandbox.state["phone_tasks"] if task["status"] != 2] == ["R58N09SANDBOX"]
    assert "taken back" in _logs(run)


def test_what_a_killed_run_leaves_is_taken_back_by_the_finisher(pool: Pool, sandbox: Any) -> None:
    """Worker and run are killed with SIGKILL; the scheduled finisher of a new worker clears up."""
    sandbox.world.realtime = True
    sandbox.world.data.fail_next.clear()
    host = _host("studio", sandbox)
    deployment = pool.deploy(warm_up_accounts, "flows/warm_up.py:warm_up_accounts", "studio", host=host)
    finisher = pool.deploy(finish_phone_tasks, "flows/finish_phones.py:finish_phone_tasks", "studio", host=host)
    worker = pool.start()
    run = pool.run(deployment, warm_up=_form(devices=SERIALS[:1]))
    until("a task", lambda: len(_statuses(sandbox)) == 1)
    sandbox.world.data.phone_tasks[0].seconds = 600  # it would go on for ten minutes

    os.kill(_flow_process(run), signal.SIGKILL)
    until("that the worker says so", lambda: pool.state(run) == "CRASHED")
    worker.kill()
    worker.wait(60)
    left = _statuses(sandbox)
    pool.start()
    cleared = pool.run(finisher, finish={"minutes": 0})

    until("the finisher", lambda: pool.state(cleared) == "COMPLETED")
    assert len(left) == 1
    assert _statuses(sandbox) == []


def _flow_process(run: UUID) -> int:
    """The process that executes a run, found by the id in its environment."""
    for folder in Path("/proc").iterdir():
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if str(run).encode() in environment and b"prefect" in command:
            return int(folder.name)
    raise AssertionError("the run has no process")


def test_a_server_hands_the_phones_part_to_each_pc(
    server: str, tmp_path: Path, ledger_url: str, sandbox: Any, second_sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """Two PCs with a TikMatrix, a pool and a worker each: the one that is named does it, and the run waits for it."""
    taisly: Any = TaislyAccount(
        api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.2
    )
    taisly.save("server", overwrite=True)
    pools = [Pool(server, tmp_path, ledger_url, f"phones-{name}") for name in ("attic", "cellar")]
    try:
        for pool, name, its in zip(pools, ("attic", "cellar"), (sandbox, second_sandbox), strict=True):
            host = _host(name, its)
            pool.deploy(warm_up_accounts, "flows/warm_up.py:warm_up_accounts", name, host=host)
            pool.deploy(comment_on_posts, "flows/comment.py:comment_on_posts", name, host=host)
            pool.start()
        post = PostForm(video=str(clip("small.mp4")), accounts=["TikTok @mara.bakes"], watch_minutes=2)
        engage = EngageForm(
            phone_pc="cellar", devices=SERIALS[:2], comments=["first!"], warm_up_seconds=60, watch_minutes=2
        )

        state = publish_and_engage(taisly, post, engage, return_state=True)
    finally:
        for pool in pools:
            pool.stop()

    assert state.is_completed(), state.message
    assert state.message.endswith("2 of 2 warm-ups completed. 2 of 2 comments completed.")
    assert sandbox.state["phone_tasks"] == []
    done = second_sandbox.state["phone_tasks"]
    assert sorted((task["script_name"], task["status"]) for task in done) == [
        ("account_warmup", 2), ("account_warmup", 2), ("comment", 2), ("comment", 2),
    ]  # fmt: skip


def test_cancelling_the_run_cancels_what_it_handed_over(pool: Pool, sandbox: Any, clip: Callable[[str], Path]) -> None:
    """The part on the other PC is cancelled too, and its worker takes the tasks back; the post stays out."""
    sandbox.world.realtime = True
    taisly: Any = TaislyAccount(
        api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.2
    )
    taisly.save("server", overwrite=True)
    pool.deploy(warm_up_accounts, "flows/warm_up.py:warm_up_accounts", "studio", host=_host("studio", sandbox))
    parent = pool.deploy(
        publish_and_engage, "flows/engage.py:publish_and_engage", "studio",
        taisly={"$ref": {"block_document_slug": "taisly-account/server"}},
    )  # fmt: skip
    pool.start()
    post = PostForm(video=str(clip("small.mp4")), accounts=["TikTok @mara.bakes"], watch_minutes=2)
    engage = EngageForm(phone_pc="studio", devices=SERIALS, warm_up_seconds=600)
    run = pool.run(parent, post=post.model_dump(mode="json", exclude_none=True), engage=engage.model_dump(mode="json"))
    until("tasks on the other PC", lambda: len(_statuses(sandbox)) == 3)
    for task in sandbox.world.data.phone_tasks:
        task.seconds = 600

    pool.cancel(run)

    until("the cancellation", lambda: pool.state(run) == "CANCELLED")
    until("the clearing up", lambda: not _statuses(sandbox))
    assert len(sandbox.posts) == 1
