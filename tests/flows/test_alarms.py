"""Alarms of runs, from the ledger to the event on a real Prefect server."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.events import Event
from prefect.events.worker import EventsWorker
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running, Scheduled
from support.heartbeats import send_heartbeat
from support.scheduled import execute, scheduled_run
from support.waiting import until

from blocks import TaislyAccount, TikMatrixHost
from flows.connections import check_connections
from flows.finish import finish_open_posts
from flows.publish import publish_video
from flows.resolve import resolve_post
from flows.warm_up import warm_up_accounts
from flows.watch_runs import watch_runs
from reelflow.ledger import Ledger
from reelflow.phones.form import WarmUpForm
from reelflow.posts.form import FinishForm, PostForm, ResolveForm
from reelflow.records.alarms import Alarm
from reelflow.records.posts import PostRequest
from reelflow.upkeep.form import WatchdogForm
from tasks.alarms import ring
from tasks.events import emit_stuck
from tasks.ledger import open_ledger
from tasks.run_facts import heartbeat_beside
from tasks.upkeep.watchdog import BUSY_WITHIN

pytestmark = pytest.mark.usefixtures("server")
Clip = Callable[[str], Path]
ROOT = Path(__file__).parents[2]
IMPATIENT = WatchdogForm.model_construct(dead_after_minutes=0, late_after_minutes=15, dry_run=False)


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


class Bell:
    """The alarms that the server got since the test began."""

    def __init__(self) -> None:
        self.since = datetime.now(UTC)

    def rung(self) -> list[dict[str, Any]]:
        wanted = {
            "filter": {
                "event": {"name": ["reelflow.alarm"]},
                "occurred": {"since": self.since.isoformat()},
                "order": "ASC",
            },
            "limit": 50,
        }
        with get_client(sync_client=True) as client:
            found = client.request("POST", "/events/filter", json=wanted).json()["events"]
        return [event["payload"] for event in found]

    def wait_for(self, number: int) -> list[dict[str, Any]]:
        """All of them, once there are so many: the server digests them in its own time."""
        until(f"{number} alarms", lambda: len(self.rung()) >= number, 30)
        return self.all()

    def all(self) -> list[dict[str, Any]]:
        """Every one that was sent until now: the server stores events in their order, so once it has a later one."""
        marker = Event(event="test.marker", resource={"prefect.resource.id": f"test.{uuid.uuid4()}"})
        wanted = {"filter": {"id": {"id": [str(marker.id)]}, "occurred": {"since": self.since.isoformat()}}}
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=[marker.model_dump(mode="json")])
            until("the marker", lambda: client.request("POST", "/events/filter", json=wanted).json()["events"], 30)
        return self.rung()


@pytest.fixture
def bell(server: str) -> Bell:
    return Bell()


def _publish(taisly: TaislyAccount, video: Path | str, **form: Any) -> Any:
    post = PostForm(video=str(video), **({"accounts": ["x"], "watch_minutes": 1} | form))
    return publish_video(taisly, post, return_state=True)


def _untold() -> list[Alarm]:
    return [alarm for group in open_ledger().claim_alarms() for alarm in group.alarms]


def test_a_platform_that_failed_rings_once(taisly: TaislyAccount, sandbox: Any, clip: Clip, bell: Bell) -> None:
    """With video, account, reason and a link to the run; and not again when later runs end."""
    sandbox.fail_next(platform="YouTube", reason="quota of the channel")

    state = _publish(taisly, clip("small.mp4"), accounts=["YouTube", "Instagram"])
    finish_open_posts(taisly, FinishForm(minutes=0.01))
    (alarm,) = bell.wait_for(1)

    run = str(state.state_details.flow_run_id)
    assert state.is_failed()
    assert alarm["subject"] == "reelflow: small.mp4 failed (YouTube Mara Bakes)"
    assert "quota of the channel" in alarm["body"]
    assert f"/runs/flow-run/{run}" in alarm["body"]
    assert alarm["flow_run_ids"] == [run]
    assert _untold() == []


def test_several_accounts_with_one_reason_are_one_message(
    taisly: TaislyAccount, sandbox: Any, clip: Clip, bell: Bell
) -> None:
    """With each account."""
    for platform in ("YouTube", "Instagram"):
        sandbox.fail_next(platform=platform, reason="too loud")

    _publish(taisly, clip("small.mp4"), accounts=["YouTube", "Instagram"])
    (alarm,) = bell.wait_for(1)

    assert alarm["subject"] == "reelflow: small.mp4 failed (2 accounts)"
    assert "YouTube Mara Bakes" in alarm["body"]
    assert "Instagram mara.bakes" in alarm["body"]


def test_a_wrong_account_rings_and_many_runs_with_it_ring_once(taisly: TaislyAccount, clip: Clip, bell: Bell) -> None:
    """The run never came to an outcome, so the run itself is the alarm. The others wait for the next message."""
    states = [_publish(taisly, clip("small.mp4"), accounts=["Myspace"]) for _ in range(3)]
    (alarm,) = bell.wait_for(1)

    assert all(state.is_failed() for state in states)
    assert "Myspace" in alarm["body"]
    assert alarm["subject"] == "reelflow: small.mp4 to Myspace failed"
    assert len(open_ledger().alarms_of_runs([str(s.state_details.flow_run_id) for s in states])) == 3
    assert _untold() == []


def test_a_dry_run_rings_nothing(taisly: TaislyAccount, clip: Clip, bell: Bell) -> None:
    """A person reads it."""
    state = _publish(taisly, clip("small.mp4"), accounts=["Myspace"], dry_run=True)

    assert state.is_failed()
    assert open_ledger().alarms_of_runs([str(state.state_details.flow_run_id)]) == []
    assert bell.all() == []


def test_what_a_person_starts_and_reads_rings_nothing(bell: Bell) -> None:
    """Such as the answer for a post that does not exist."""
    state = resolve_post(ResolveForm(send_id="nope", answer="published"), return_state=True)

    assert state.is_failed()
    assert open_ledger().alarms_of_runs([str(state.state_details.flow_run_id)]) == []


def test_a_later_run_rings_what_a_process_left_when_it_died(
    taisly: TaislyAccount, sandbox: Any, checked: Callable[..., PostRequest], bell: Bell
) -> None:
    """It was killed between the outcome and the alarm: the ledger has both."""
    post, ledger = checked(), open_ledger()
    code = (
        "import os, signal, sys; from reelflow.ledger import Ledger;"
        "from reelflow.records.post_states import PostState;"
        "ledger = Ledger(sys.argv[1]);"
        "ledger.settle(sys.argv[2], PostState.REFUSED, 'no such key'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    send_id = ledger.claim(post, service=taisly.service, owner="me", flow_run=None).send_id
    assert send_id
    ledger.begin(send_id, "me")

    killed = subprocess.run([sys.executable, "-c", code, ledger.full_url, send_id], cwd=ROOT, check=False, timeout=120)
    finish_open_posts(taisly, FinishForm(minutes=0.01))
    (alarm,) = bell.wait_for(1)

    assert killed.returncode == -signal.SIGKILL
    assert alarm["subject"] == "reelflow: small.mp4 refused (3 accounts)"
    assert "no such key" in alarm["body"]


def test_a_run_that_dies_before_its_hooks_rings(tmp_path: Path, server: str, bell: Bell) -> None:
    """It has failed, so nothing finds it crashed; what it failed of is on record before that."""
    script = tmp_path / "doomed.py"
    script.write_text("""
import os, signal
from reelflow.errors import InputError
from tasks.step import flow

def die(flow, flow_run, state):
    os.kill(os.getpid(), signal.SIGKILL)

@flow(name="doomed", flow_run_name="doomed", on_failure=[die])
def doomed():
    raise InputError("The video is gone.")

doomed()
""")
    environment = {**os.environ, "PREFECT_API_URL": f"{server}/api", "PYTHONPATH": str(ROOT)}

    killed = subprocess.run([sys.executable, str(script)], cwd=ROOT, env=environment, check=False, timeout=120)
    ring()
    (alarm,) = bell.wait_for(1)

    assert killed.returncode == -signal.SIGKILL
    assert alarm["subject"] == "reelflow: doomed failed"
    assert "The video is gone." in alarm["body"]


def test_a_failure_that_is_found_later_rings(
    taisly: TaislyAccount, checked: Callable[..., PostRequest], bell: Bell
) -> None:
    """By finish-open-posts, for a post that its own run could not see to its end."""
    post, ledger = checked(), open_ledger()
    send_id = ledger.claim(post, service=taisly.service, owner="me", flow_run=None).send_id
    assert send_id
    ledger.begin(send_id, "me")
    ledger.seal(send_id, "me")
    ledger.answer_lost(send_id, "timeout")
    taisly.unconfirmed_after_minutes = 0
    for _ in range(2):
        finish_open_posts(taisly, FinishForm(minutes=0.01))
    ledger_of_the_future = Ledger(ledger.full_url, clock=lambda: ledger.now() + 120)
    ledger_of_the_future.give_up(send_id, "it is not in the history")
    ledger_of_the_future.close()

    finish_open_posts(taisly, FinishForm(minutes=0.01))
    (alarm,) = bell.wait_for(1)

    assert alarm["subject"] == "reelflow: small.mp4 unconfirmed (3 accounts)"
    assert f"send ID {send_id}" in alarm["body"]
    assert "resolve-post" in alarm["body"]


def test_a_phone_task_that_failed_rings(sandbox: Any, bell: Bell) -> None:
    """With the phone and TikMatrix's words."""
    sandbox.world.auto_retry = 0
    sandbox.fail_next(serial="R58N01SANDBOX", reason="not logged in")
    host = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=["R58N01SANDBOX"], poll_seconds=0.01, auto_retry=False)

    state = warm_up_accounts(host, WarmUpForm(devices=["all"], watch_minutes=1), return_state=True)
    (alarm,) = bell.wait_for(1)

    assert state.is_failed()
    assert "R58N01SANDBOX" in alarm["subject"]
    assert "not logged in" in alarm["body"]


def test_a_run_that_is_too_late_rings(taisly: TaislyAccount, clip: Clip, bell: Bell) -> None:
    """Nobody else says that it was skipped; however many were, that is one cause."""
    for days in (1, 2):  # before any heartbeat of the runs of other tests
        run = scheduled_run(publish_video, datetime.now(UTC) - timedelta(days=days))
        post = PostForm(video=str(clip("small.mp4")), accounts=["x"])
        execute(publish_video, run, {"taisly": taisly, "post": post})
    (alarm,) = bell.wait_for(1)

    assert alarm["subject"].endswith("skipped")
    assert "Skipped: nothing was sent. This run was due" in alarm["body"]


def _are_others_at_work(run: FlowRun) -> bool:
    """Whether runs have sent heartbeats of late, so that those that have not begun wait for room and are not late."""
    with get_client(sync_client=True) as client:
        return heartbeat_beside(client, run, datetime.now(UTC) - BUSY_WITHIN) is not None


def test_dead_and_late_runs_ring(bell: Bell) -> None:
    """The watchdog's findings: one message for the dead, one for the late ones of a work pool."""
    with get_client(sync_client=True) as client:
        dead = [client.create_flow_run(publish_video, tags=["reelflow"], state=Running()) for _ in range(2)]
        until("the end of what tests before did", lambda: not _are_others_at_work(dead[0]), 150)
        due = datetime.now(UTC) - timedelta(hours=1)
        states = [Scheduled(name="Late", scheduled_time=due) for _ in range(2)]
        late = [client.create_flow_run(publish_video, tags=["reelflow"], state=state) for state in states]
    for run in dead:
        send_heartbeat(run.id)
    # Of this one the event was sent by a process that died right after it.
    emit_stuck(str(late[0].id), late[0].name, "late")
    EventsWorker.drain_all(timeout=20)

    try:
        watch_runs(IMPATIENT.model_copy(update={"dry_run": True}), return_state=True)
        before = bell.all()
        for _ in range(2):
            watch_runs(IMPATIENT, return_state=True)
        alarms = bell.wait_for(2)
    finally:
        with get_client(sync_client=True) as client:
            for run in late:
                client.delete_flow_run(run.id)
    crashed, stuck = sorted(alarms, key=lambda alarm: "crashed" not in alarm["subject"])

    assert before == []
    assert {str(run.id) for run in dead} <= set(crashed["flow_run_ids"])  # beside those of the tests before
    assert crashed["subject"].endswith(" runs crashed")
    assert "Look at what the run did, then retry it." in crashed["body"]
    assert stuck["subject"] == "reelflow: 2 runs late or stuck"
    assert "Late by 60 minutes" in stuck["body"]
    assert _untold() == []


def test_a_failed_check_rings(bell: Bell) -> None:
    """With what failed."""
    TaislyAccount(api_key="taisly_sandbox", base_url="http://127.0.0.1:9/api").save("gone", overwrite=True)
    try:
        state = check_connections(return_state=True)
    finally:
        TaislyAccount.delete("gone")
    (alarm,) = bell.wait_for(1)

    assert state.is_failed()
    assert "Taisly Account 'gone'" in alarm["body"]


def test_a_ledger_that_cannot_be_used_rings_at_once(
    taisly: TaislyAccount, clip: Clip, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not again for each run, although nothing remembers it but the server."""
    open_ledger()
    monkeypatch.setenv("REELFLOW_LEDGER_URL", "sqlite:////nowhere/at/all/ledger.db")

    for _ in range(2):
        state = _publish(taisly, clip("small.mp4"))
        (alarm,) = bell.wait_for(1)

    assert state.is_failed()
    assert "/nowhere/at/all/ledger.db" in alarm["body"]


def test_a_form_that_cannot_be_read_rings(taisly: TaislyAccount, bell: Bell) -> None:
    """Such as a block that was deleted: the flow never begins."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(publish_video)
    wrong: Any = {"taisly": {"$ref": {"block_document_slug": "taisly-account/deleted"}}, "post": {"accounts": ["x"]}}

    state: Any = run_flow(publish_video, run, wrong, return_type="state")
    (alarm,) = bell.wait_for(1)

    assert state.is_failed()
    assert alarm["subject"].endswith("failed")


def test_alarms_wait_for_a_server_that_is_away() -> None:
    """What could not be sent is still to be told, and the run is as it is."""
    ledger = open_ledger()
    ledger.add_alarms([Alarm("k", "run", "FAILED", "r", "", "no", "cause", None)])

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        ring()

    assert [alarm.key for alarm in _untold()] == ["k"]
