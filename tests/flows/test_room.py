"""Whether a run that watches its posts makes room for others, against a real Prefect server."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.context import FlowRunContext, SyncClientContext
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running, Scheduled
from support.failing_server import failing_server

from blocks import TaislyAccount
from flows.finish import finish_open_posts
from flows.publish import publish_video
from tasks.finishers import FINISHER
from tasks.room import is_waited_for, others_wait

pytestmark = pytest.mark.usefixtures("server")


def _waits(deployment: UUID, seconds: float, name: str, *tags: str) -> UUID:
    """A run that was due some seconds ago, in a state of this name."""
    due = datetime.now(UTC) - timedelta(seconds=seconds)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=due), tags=tags)
        client.set_flow_run_state(run.id, Scheduled(name=name, scheduled_time=datetime.now(UTC)), force=True)
    return run.id


def test_a_run_sees_who_waits_for_its_room(server: str) -> None:
    """Runs that are due in its work pool; not those that no worker is offered, or that wait for another limit."""
    with get_client(sync_client=True) as client:
        for name in ("rooms", "other-rooms"):
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        queue = client.create_work_queue("second", work_pool_name="rooms").id
        mine, theirs, limited = (
            client.create_deployment(client.create_flow(publish_video), name, work_pool_name=pool, tags=["reelflow"])
            for name, pool in (("mine", "rooms"), ("theirs", "other-rooms"), ("limited", "rooms"))
        )
        run = client.create_flow_run_from_deployment(mine, tags=["reelflow"], state=Running())
        run = client.read_flow_run(run.id)

        def seen(deployment: UUID, seconds: float, name: str) -> bool:
            waiting = _waits(deployment, seconds, name)
            found = is_waited_for(client, run)
            client.delete_flow_run(waiting)
            return found

        assert seen(mine, 60, "Late")
        assert seen(limited, 60, "Late")
        assert not seen(mine, 5, "Scheduled")
        assert not seen(theirs, 60, "Late")
        assert not seen(limited, 60, "AwaitingConcurrencySlot")
        assert seen(mine, 60, "AwaitingConcurrencySlot")
        paused = client.create_deployment(
            client.create_flow(publish_video), "paused", work_pool_name="rooms", work_queue_name="second",
            tags=["reelflow"],
        )  # fmt: skip
        assert seen(paused, 60, "Late")
        client.update_work_queue(queue, is_paused=True)
        assert not seen(paused, 60, "Late")
        client.request("PATCH", "/work_pools/rooms", json={"is_paused": True})
        assert not seen(mine, 60, "Late")
        client.delete_flow_run(run.id)
        client.delete_deployment(paused)
        for deployment in (mine, theirs, limited):
            client.delete_deployment(deployment)


def test_a_run_that_is_served_sees_who_waits_for_its_room(server: str) -> None:
    """All of ours that are due, but not those that wait for a limit of another deployment."""
    with get_client(sync_client=True) as client:
        mine, other, foreign = (
            client.create_deployment(client.create_flow(publish_video), name, tags=tags)
            for name, tags in (("served", ["reelflow"]), ("served too", ["reelflow"]), ("theirs", ["theirs"]))
        )
        run = client.read_flow_run(client.create_flow_run_from_deployment(mine, state=Running()).id)

        def seen(deployment: UUID, name: str, *tags: str) -> bool:
            waiting = _waits(deployment, 60, name, *tags)
            found = is_waited_for(client, run)
            client.delete_flow_run(waiting)
            return found

        assert seen(other, "Late", "reelflow")
        assert not seen(foreign, "Late", "theirs")
        assert not seen(other, "AwaitingConcurrencySlot", "reelflow")
        assert seen(mine, "AwaitingConcurrencySlot", "reelflow")
        client.delete_flow_run(run.id)
        for deployment in (mine, other, foreign):
            client.delete_deployment(deployment)


@pytest.fixture
def watching(server: str) -> Iterator[FlowRun]:
    """A run of a deployment for the client bakery, while another run waits for its room."""
    for name in ("bakery", "cafe"):
        block: Any = TaislyAccount(api_key=f"taisly_{name}", base_url="http://127.0.0.1:9/api")
        block.save(name, overwrite=True)
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="room", type="process"), overwrite=True)
        made = client.create_deployment(client.create_flow(publish_video), "watching", work_pool_name="room")
        run = client.create_flow_run_from_deployment(made, parameters={"taisly": _ref("bakery")}, state=Running())
        waiting = _waits(made, 60, "Late")
        yield client.read_flow_run(run.id)
        for each in (run.id, waiting):
            client.delete_flow_run(each)
        client.delete_deployment(made)
    for name in ("bakery", "cafe"):
        TaislyAccount.delete(name)


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": {"block_document_slug": f"taisly-account/{name}"}}


def _gives_way(run: FlowRun | None) -> bool:
    with FlowRunContext.model_construct(flow=publish_video, flow_run=run):
        return others_wait()()


@contextmanager
def _finisher(parameters: dict[str, Any] | None = None, *, active: bool = True, name: str = FINISHER) -> Iterator[UUID]:
    """A deployment of finish-open-posts with one schedule."""
    every = IntervalSchedule(interval=timedelta(days=300))
    schedule = DeploymentScheduleCreate(schedule=every, parameters=parameters or {}, active=active, slug="often")
    with get_client(sync_client=True) as client:
        flow = client.create_flow(finish_open_posts)
        made = client.create_deployment(flow, name, schedules=[schedule])
        yield made
        client.delete_deployment(made)


def test_a_run_makes_room_only_while_another_one_reports_its_outcome(watching: FlowRun) -> None:
    """A schedule of finish-open-posts that is on, for all clients or for its own."""
    seen = {"missing": _gives_way(watching)}
    with _finisher() as made, get_client(sync_client=True) as client:
        seen["for all"] = _gives_way(watching)
        client.update_deployment(made, DeploymentUpdate(paused=True))
        seen["paused"] = _gives_way(watching)
    for what, parameters, active, name in (
        ("its own", {"taisly": _ref("bakery")}, True, FINISHER),
        ("another's", {"taisly": _ref("cafe")}, True, FINISHER),
        ("off", {}, False, FINISHER),
        ("of a person", {}, True, "every-hour"),
    ):
        with _finisher(parameters, active=active, name=name):
            seen[what] = _gives_way(watching)

    assert {what for what, gives_way in seen.items() if gives_way} == {"for all", "its own", "of a person"}


def test_a_run_that_nobody_else_finishes_makes_no_room(watching: FlowRun) -> None:
    """One without a deployment, as in a terminal; nor does any while Prefect does not answer."""
    with _finisher():
        assert _gives_way(watching)
        assert not _gives_way(watching.model_copy(update={"deployment_id": None}))
        assert not _gives_way(None)
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
            assert not _gives_way(watching)


def test_a_watch_goes_on_at_once_while_the_server_is_away(server: str, watching: FlowRun) -> None:
    """Prefect's client, which a run has in common with its engine, would be asking it for a minute before each look."""
    with ExitStack() as stack:
        api = stack.enter_context(failing_server(server, "/nothing"))
        with temporary_settings({PREFECT_API_URL: api}), SyncClientContext() as engine:
            engine.client.hello()
            stack.close()
            begun = time.monotonic()

            assert not _gives_way(watching)
            assert time.monotonic() - begun < 15
