"""The watchdog and the events, against a real Prefect server."""

import contextvars
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId, FlowRunFilterExpectedStartTime
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.clients import AssertingEventsClient
from prefect.events.worker import EventsWorker
from prefect.states import Cancelling, Crashed, Pending, Running, Scheduled
from support.heartbeats import last_heartbeat, send_heartbeat
from support.waiting import until

from blocks import TaislyAccount, TikMatrixHost
from flows.publish import publish_video
from flows.warm_up import warm_up_accounts
from flows.watch_runs import watch_runs
from reelflow.phones.form import WarmUpForm
from reelflow.posts.form import PostForm
from reelflow.records.posts import PostRequest
from reelflow.upkeep.form import WatchdogForm
from tasks.alarms import ring_crashed
from tasks.ledger import open_ledger
from tasks.run_facts import past_states

pytestmark = pytest.mark.usefixtures("server")
Clip = Callable[[str], Path]
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"

IMPATIENT = WatchdogForm.model_construct(dead_after_minutes=0, late_after_minutes=15, dry_run=False)
"""At once, where the form asks for two minutes at least."""
MOST_IMPATIENT = WatchdogForm.model_construct(dead_after_minutes=0, late_after_minutes=0, dry_run=False)
"""Also with what has never been heard of."""


def _running(*tags: str) -> UUID:
    """A run that Prefect takes for running, and that no process executes."""

    @flow(name="nobody-runs-it")
    def nobody() -> None:
        """Nothing."""

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(nobody, tags=tags, state=Running())
    send_heartbeat(run.id)
    return run.id


def _rung(*runs: UUID) -> set[UUID]:
    """Those of which an alarm is on record."""
    return {UUID(alarm.flow_run) for alarm in open_ledger().alarms_of_runs(list(map(str, runs))) if alarm.flow_run}


def _state(run: UUID) -> Any:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run).state


def test_a_run_whose_process_died_becomes_crashed(checked: Callable[..., PostRequest]) -> None:
    """Only ours, and not while the ledger says that it is at work."""
    dead, foreign, busy = _running("reelflow"), _running("theirs"), _running("reelflow")
    open_ledger().claim(checked(), service="s", owner="me", flow_run=str(busy))

    dry = watch_runs(IMPATIENT.model_copy(update={"dry_run": True}), return_state=True)
    before = _state(dead).type
    state = watch_runs(IMPATIENT, return_state=True)

    assert dry.message == "Dry run: 1 dead run, 0 late or stuck."
    assert before is StateType.RUNNING
    assert state.message == "1 dead run, 0 late or stuck."
    assert _state(dead).type is StateType.CRASHED
    assert "Look at what it did, then retry it." in _state(dead).message
    assert {_state(foreign).type, _state(busy).type} == {StateType.RUNNING}
    _delete(dead, foreign, busy)


def test_a_run_that_crashed_before_it_began_is_started_again(server: str) -> None:
    """As runs do that start while the Prefect server restarts. One whose flow has begun is left to its owner."""

    @flow(name="served")
    def served() -> None:
        """Nothing."""

    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(served), "served", tags=["reelflow"])
        runs = [client.create_flow_run_from_deployment(deployment, tags=["reelflow"]).id for _ in range(2)]
        client.set_flow_run_state(runs[1], Running(), force=True)
        for run in runs:
            client.set_flow_run_state(run, Crashed(message="Flow run process exited with status code 1"), force=True)

    state = watch_runs(IMPATIENT, return_state=True)

    assert "1 started again" in str(state.message)
    assert _state(runs[0]).name in ("Scheduled", "Late")  # the name of one that no worker takes
    assert "before it began. Nothing was sent. It is started again." in _state(runs[0]).message
    assert _state(runs[1]).type is StateType.CRASHED


def _died(of: Any, *states: Any, schedule: bool = False, **parameters: Any) -> UUID:
    """A run of a deployment of ours, without a process, after it was in these states."""
    with get_client(sync_client=True) as client:
        made = client.create_deployment(client.create_flow(of), f"{of.name} dies", tags=["reelflow"])
        due = datetime.now(UTC) + timedelta(hours=1) if schedule else None  # as a person who chooses a time
        run = client.create_flow_run_from_deployment(
            made, parameters=parameters, tags=["reelflow"], state=Scheduled(scheduled_time=due)
        )
        for state in states:
            client.set_flow_run_state(run.id, state, force=True)
    if states[-1].is_running():
        send_heartbeat(run.id)
    return run.id


def _history(run: UUID) -> list[str]:
    with get_client(sync_client=True) as client:
        return [state.name or "" for state in past_states(client, client.read_flow_run(run))]


def test_a_run_that_publishes_is_started_again_after_its_process_died(server: str) -> None:
    """It may have sent its post, which is on record."""
    dies, again = _died(publish_video, Running()), _died(publish_video, Running(), Crashed(), Running())
    stopped, phones = _died(publish_video, Running(), Cancelling(), Running()), _died(warm_up_accounts, Running())
    often = _died(publish_video, Running(), Crashed(), Running(), Crashed(), Running(), Crashed(), Running())
    late = _died(publish_video, Running(), schedule=True, post={"max_lateness_minutes": 0})
    in_time = _died(publish_video, Running(), schedule=True, post={"max_lateness_minutes": 5})

    dry = watch_runs(IMPATIENT.model_copy(update={"dry_run": True}), return_state=True)
    before = {_state(run).type for run in (dies, again)}
    state = watch_runs(IMPATIENT, return_state=True)

    assert "3 to be started again" in str(dry.message)
    assert before == {StateType.RUNNING}
    assert "3 started again" in str(state.message)
    assert {_state(run).type for run in (dies, again, in_time)} == {StateType.SCHEDULED}
    assert "Crashed" in _history(dies)[-3:-1]  # which counts, and frees the slot of a limit; it may be late by now
    assert "It is started again: what it has sent is not sent again." in _state(dies).message
    assert {_state(run).type for run in (stopped, phones, often, late)} == {StateType.CRASHED}
    assert "Retry the run: what it has sent is not sent again." in _state(often).message
    assert "Look at what it did, then retry it." in _state(phones).message
    assert _rung(dies, again, in_time, stopped, phones, often, late) == {stopped, phones, often, late}

    watch_runs(IMPATIENT, return_state=True)

    assert {_state(run).type for run in (stopped, phones, often, late)} == {StateType.CRASHED}  # its own verdict stands
    _delete(dies, again, in_time, stopped, phones, often, late)


def _delete(*runs: UUID) -> None:
    with get_client(sync_client=True) as client:
        for run in runs:
            client.delete_flow_run(run)


def test_a_run_that_was_taken_and_did_not_begin_is_started_again_if_it_publishes(server: str) -> None:
    """Its process may only start slowly: what cannot be told from a second time is not begun a second time."""
    post, phones = _died(publish_video, Pending()), _died(warm_up_accounts, Pending())

    watch_runs(IMPATIENT, return_state=True)
    before = {_state(run).type for run in (post, phones)}
    watch_runs(MOST_IMPATIENT, return_state=True)
    said = _state(post).message
    watch_runs(MOST_IMPATIENT, return_state=True)

    assert before == {StateType.PENDING}
    assert _state(post).type is StateType.SCHEDULED
    assert _state(phones).type is StateType.CRASHED
    assert "Nothing was sent. It is started again." in said
    _delete(post, phones)


def test_a_run_that_is_heard_of_at_the_second_look_lives(server: str) -> None:
    """As after the Prefect server was away, or the machine asleep."""
    run = _died(publish_video, Running())
    patient = WatchdogForm.model_construct(dead_after_minutes=0.3, late_after_minutes=15, dry_run=False)
    until("its silence", lambda: last_heartbeat(run) < datetime.now(UTC) - timedelta(minutes=0.31))
    ended, looked = threading.Event(), datetime.now(UTC)

    def go_on() -> bool:
        until("the first look", lambda: last_heartbeat() > looked)
        while not ended.wait(0.3):
            send_heartbeat(run)
        return True

    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(contextvars.copy_context().run, go_on)
        state = watch_runs(patient, return_state=True)
        ended.set()
        assert heard.result(60)

    assert state.message == "0 dead runs, 0 late or stuck."
    assert _state(run).type is StateType.RUNNING
    _delete(run)


def test_nobody_is_taken_for_dead_while_heartbeats_do_not_arrive(server: str) -> None:
    """As while the server's services are down: that of watch-runs itself does not arrive, either."""
    run = _died(publish_video, Running())

    EventsWorker.set_client_override(AssertingEventsClient)  # it keeps them to itself
    try:
        state = watch_runs(IMPATIENT, return_state=True)
    finally:
        EventsWorker.set_client_override(None)

    assert state.message == "0 dead runs, 0 late or stuck."
    assert _state(run).type is StateType.RUNNING
    _delete(run)


def test_a_crash_that_waits_for_its_lease_to_end_does_not_ring(checked: Callable[..., PostRequest]) -> None:
    """It is started again once the ledger shows no activity."""
    run = _died(publish_video, Running(), Crashed())
    open_ledger().claim(checked(), service="s", owner="me", flow_run=str(run))

    watch_runs(IMPATIENT, return_state=True)

    assert _state(run).type is StateType.CRASHED
    assert _rung(run) == set()
    _delete(run)


def test_a_crash_rings_only_if_nothing_starts_the_run_again(server: str) -> None:
    """The worker that notices it leaves it to watch-runs, while that runs by itself."""
    runs = [_died(of, Running(), Crashed(message="status code -9")) for of in (publish_video, warm_up_accounts)]

    def ring(run: UUID) -> bool:
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run)
        ring_crashed(publish_video, found, found.state)
        return bool(_rung(run))

    schedule = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(days=300)), slug="often")
    with get_client(sync_client=True) as client:
        watcher = client.create_deployment(client.create_flow(watch_runs), "watch-runs", schedules=[schedule])
        rung = [ring(run) for run in runs]
        client.pause_deployment(watcher)
        rung_without = ring(runs[0])
        client.delete_deployment(watcher)
        for run in runs:
            client.delete_flow_run(run)

    assert (rung, rung_without) == ([False, True], True)


def _is_late(due: datetime) -> Any:
    return Scheduled(name="Late", scheduled_time=due)


def _late(*tags: str, folders: Sequence[str] = ("",)) -> list[UUID]:
    """Runs that nobody has executed, those of the schedule of each folder, the newest first; the last is a person's."""

    @flow(name="upkeep")
    def upkeep(folder: str = "") -> None:
        """Nothing."""

    schedule = IntervalSchedule(interval=timedelta(hours=1), anchor_date=datetime.now(UTC))
    with get_client(sync_client=True) as client:
        made = client.create_deployment(
            client.create_flow(upkeep), f"upkeep {tags} {folders}", tags=list(tags),
            schedules=[
                DeploymentScheduleCreate(schedule=schedule, parameters={"folder": folder}, slug=f"of-{folder}")
                for folder in folders
            ],
        )  # fmt: skip
        now = datetime.now(UTC)
        body = {"start_time": str(now - timedelta(hours=4)), "end_time": str(now), "max_runs": 3, "min_runs": 3}
        client.request("POST", f"/deployments/{made}/schedule", json=body)
        wanted = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[made]),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
        )
        found = client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_DESC)
        mine = client.create_flow_run_from_deployment(made, tags=list(tags), state=_is_late(now - timedelta(hours=9)))
        for run in found:
            client.set_flow_run_state(run.id, _is_late(run.expected_start_time or now), force=True)
        client.pause_deployment(made)
    return [*(run.id for run in found), mine.id]


def test_of_late_upkeep_runs_the_newest_is_enough(server: str) -> None:
    """The others of its schedule are cancelled; a person's own run is not, nor are posts, which are each their own."""
    newest, *older, mine = _late("reelflow", "upkeep")
    posts = _late("reelflow", "posts")

    dry = watch_runs(IMPATIENT.model_copy(update={"dry_run": True}), return_state=True)
    before = {_state(run).name for run in older}
    state = watch_runs(IMPATIENT, return_state=True)

    assert len(older) >= 2
    assert f"{len(older)} late upkeep to be cancelled" in str(dry.message)
    assert before == {"Late"}
    assert f"{len(older)} late upkeep cancelled" in str(state.message)
    assert {_state(run).message for run in older} == {"Cancelled: a newer run does the same work."}
    assert {_state(run).name for run in (newest, mine, *posts)} == {"Late"}
    with get_client(sync_client=True) as client:
        for run in (newest, mine, *posts):
            client.delete_flow_run(run)


def test_of_two_inboxes_each_keeps_its_newest_late_run(server: str) -> None:
    """Two schedules of one deployment with other parameters do other work."""
    *runs, mine = _late("reelflow", "upkeep", folders=("one", "two"))

    watch_runs(IMPATIENT, return_state=True)

    with get_client(sync_client=True) as client:
        left = [run for run in map(client.read_flow_run, runs) if run.state and run.state.name == "Late"]
        for run_id in (*runs, mine):
            client.delete_flow_run(run_id)
    assert len(runs) >= 6
    assert sorted(run.parameters["folder"] for run in left) == ["one", "two"]
    assert {run.id for run in left} == set(runs[:2])


def _events(name: str, run: Any, number: int) -> list[dict[str, Any]]:
    """The events of this name that a flow run has sent, once there are `number` of them."""
    EventsWorker.drain_all(timeout=20)
    since = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    wanted = {"filter": {"event": {"name": [name]}, "occurred": {"since": since}}, "limit": 50}
    mine: list[dict[str, Any]] = []
    with get_client(sync_client=True) as client:
        for _ in range(100):
            found = client.request("POST", "/events/filter", json=wanted).json()["events"]
            mine = [e for e in found if e["payload"]["flow_run_id"] == str(run.state_details.flow_run_id)]
            if len(mine) >= number:
                break
            time.sleep(0.2)  # the server digests them in its own time
    return mine


def _documented(name: str) -> set[str]:
    """The payload of an event, as docs/operations.md lists it."""
    rows = [line.split("|") for line in OPERATIONS.read_text("utf-8").splitlines() if line.startswith("| `reelflow.")]
    ((*_, payload, _),) = [row for row in rows if row[1].strip() == f"`{name}`"]
    return set(re.findall(r"`(\w+)`", payload))


def test_what_became_of_a_post_is_an_event(sandbox: Any, clip: Clip) -> None:
    """One for each account, with what others need to go on, and no secret."""
    sandbox.fail_next(platform="YouTube", reason="quota of the channel")
    taisly = TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)
    form = PostForm(video=str(clip("small.mp4")), accounts=["YouTube", "Instagram"], caption="ev", watch_minutes=1)

    state = publish_video(taisly, form, return_state=True)

    (good,) = _events("reelflow.post.published", state, 1)
    (bad,) = _events("reelflow.post.failed", state, 1)
    assert good["payload"]["link"].startswith("https://www.instagram.com/")
    assert (good["payload"]["platform"], good["payload"]["account"]) == ("Instagram", "mara.bakes")
    assert bad["payload"]["detail"] == "quota of the channel"
    assert bad["resource"]["prefect.resource.name"] == "small.mp4 at YouTube Mara Bakes"
    assert "taisly_sandbox" not in str(good) + str(bad)
    assert set(good["payload"]) == set(bad["payload"]) == _documented("reelflow.post.published")


def test_a_phone_task_that_failed_is_an_event(sandbox: Any) -> None:
    """With the phone and TikMatrix's own words."""
    sandbox.world.auto_retry = 0
    sandbox.fail_next(serial="R58N01SANDBOX", reason="not logged in")
    host = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=["R58N01SANDBOX"], poll_seconds=0.01, auto_retry=False)

    state = warm_up_accounts(host, WarmUpForm(devices=["all"], watch_minutes=1), return_state=True)

    (event,) = _events("reelflow.phone-task.failed", state, 1)
    assert (event["payload"]["serial"], event["payload"]["remark"]) == ("R58N01SANDBOX", "not logged in")
    assert set(event["payload"]) == _documented("reelflow.phone-task.failed")
