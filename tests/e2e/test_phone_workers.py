"""Phone flows under real workers: cancelled, killed, and handed from one machine to another."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from support.phones import PHONES, SERIALS
from support.pools import Pool, flow_process
from support.waiting import until

from blocks import TaislyAccount, TikMatrixHost
from flows.comment import comment_on_posts
from flows.engage import publish_and_engage
from flows.finish_phones import finish_phone_tasks
from flows.warm_up import warm_up_accounts
from reelflow.phones.form import EngageForm, FinishPhonesForm, WarmUpForm
from reelflow.posts.form import PostForm
from tasks.ledger import open_ledger

pytestmark = pytest.mark.slow
WARM_UP = (warm_up_accounts, "flows/warm_up.py:warm_up_accounts")
COMMENT = (comment_on_posts, "flows/comment.py:comment_on_posts")
ENGAGE = (publish_and_engage, "flows/engage.py:publish_and_engage")


@pytest.fixture(scope="module")
def pools(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Pool]]:
    """The work pool of a PC with phones; made when it is first asked for."""
    found: dict[str, Pool] = {}

    def get(name: str) -> Pool:
        if name not in found:
            found[name] = Pool(server, tmp_path_factory.mktemp(name), f"phones-{name}")
        return found[name]

    yield get
    for pool in found.values():
        pool.stop()


@pytest.fixture
def pool(pools: Callable[[str], Pool]) -> Pool:
    return pools("studio")


def _taisly(sandbox: Any) -> Any:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.2)


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


def test_a_cancelled_run_cancels_its_tasks_wherever_they_are(
    pool: Pool, sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """Its own, and those of the part that it handed to another PC's worker; somebody else's are left, the post too.

    What waits or runs is stopped and deleted, and the run's log says what was done.
    """
    sandbox.world.realtime = True
    sandbox.tikmatrix().create_task("account_warmup", {}, serials=["R58N09SANDBOX"])
    own = pool.deploy(*WARM_UP, "21-studio", host=_host("studio", sandbox))
    parent = pool.deploy(*ENGAGE, "studio", taisly={"$ref": {"block_document_slug": "taisly-account/server"}})
    _taisly(sandbox).save("server", overwrite=True)
    pool.worker()
    post = PostForm(video=str(clip("small.mp4")), accounts=["TikTok @mara.bakes"], watch_minutes=2)
    engage = EngageForm(phone_pc="studio", devices=SERIALS[:3], warm_up_seconds=600)
    runs = [
        pool.run(own, warm_up=_form(devices=SERIALS[3:])),
        pool.run(parent, post=post.model_dump(mode="json", exclude_none=True), engage=engage.model_dump(mode="json")),
    ]

    def all_there() -> bool:
        for task in sandbox.world.data.phone_tasks:
            task.seconds = 600  # it would go on for ten minutes
        return {task["serial"] for task in sandbox.state["phone_tasks"]} == {*SERIALS, "R58N09SANDBOX"}

    until("the tasks of both", all_there)

    for run in runs:
        pool.cancel(run)

    for run in runs:
        pool.wait_until_cancelled(run)
    until("the clearing up", lambda: "The run was cancelled. " in _logs(runs[0]))
    until("the other PC's", lambda: [t["serial"] for t in sandbox.state["phone_tasks"]] == ["R58N09SANDBOX"])
    assert "Cancelled 2 phone tasks" in _logs(runs[0])
    assert len(sandbox.posts) == 1


def test_a_server_hands_the_phones_part_to_each_pc(
    pools: Callable[[str], Pool], sandbox: Any, second_sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """Two PCs with a TikMatrix, a pool and a worker each: the one that is named does it, and the run waits for it."""
    for name, its in (("studio", sandbox), ("cellar", second_sandbox)):
        host = _host(name, its)
        pools(name).deploy(*WARM_UP, f"21-{name}", host=host)
        pools(name).deploy(*COMMENT, f"22-{name}", host=host)
        pools(name).worker()
    post = PostForm(video=str(clip("small.mp4")), accounts=["TikTok @mara.bakes"], watch_minutes=2)
    engage = EngageForm(
        phone_pc="cellar", devices=SERIALS[:2], comments=["first!"], warm_up_seconds=60, watch_minutes=2
    )

    state = publish_and_engage(_taisly(sandbox), post, engage, return_state=True)

    assert state.is_completed(), state.message
    assert state.message.endswith("2 of 2 warm-ups completed. 2 of 2 comments completed.")
    assert sandbox.state["phone_tasks"] == []
    done = second_sandbox.state["phone_tasks"]
    assert sorted((task["script_name"], task["status"]) for task in done) == [
        ("account_warmup", 2), ("account_warmup", 2), ("comment", 2), ("comment", 2),
    ]  # fmt: skip


def test_what_a_killed_run_leaves_is_cancelled_by_the_finisher(pool: Pool, sandbox: Any) -> None:
    """Worker and run are killed with SIGKILL; the next run of the finisher clears up."""
    sandbox.world.realtime = True
    deployment = pool.deploy(*WARM_UP, "studio", host=_host("studio", sandbox))
    worker = pool.worker()
    run = pool.run(deployment, warm_up=_form(devices=SERIALS[:1]))
    until("a task", lambda: len(_statuses(sandbox)) == 1)
    sandbox.world.data.phone_tasks[0].seconds = 600  # it would go on for ten minutes

    os.kill(flow_process(run), signal.SIGKILL)
    until("that the worker says so", lambda: pool.state(run) == "CRASHED")
    worker.kill()
    worker.wait(60)
    left = _statuses(sandbox)
    until("the end of its lease", lambda: str(run) not in open_ledger().runs_alive())
    host: Any = TikMatrixHost.load("studio")
    state = finish_phone_tasks(host, FinishPhonesForm(minutes=0), return_state=True)

    assert state.is_completed(), state.message
    assert len(left) == 1
    assert _statuses(sandbox) == []
