"""Whether a run that watches its posts makes room for others, against a real Prefect server."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Running, Scheduled

from flows.publish import publish_video
from tasks.room import count_waiting

pytestmark = pytest.mark.usefixtures("server")


def _waits(deployment: UUID, seconds: float, name: str) -> UUID:
    """A run that was due some seconds ago, in a state of this name."""
    due = datetime.now(UTC) - timedelta(seconds=seconds)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=due))
        client.set_flow_run_state(run.id, Scheduled(name=name, scheduled_time=datetime.now(UTC)), force=True)
    return run.id


def test_a_run_sees_who_waits_for_its_room(server: str) -> None:
    """Runs that are due in its work pool; not those that no worker was offered yet, or that wait for another limit."""
    with get_client(sync_client=True) as client:
        for name in ("rooms", "other-rooms"):
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        mine, theirs, limited = (
            client.create_deployment(client.create_flow(publish_video), name, work_pool_name=pool, tags=["reelflow"])
            for name, pool in (("mine", "rooms"), ("theirs", "other-rooms"), ("limited", "rooms"))
        )
        run = client.create_flow_run_from_deployment(mine, tags=["reelflow"], state=Running())
        run = client.read_flow_run(run.id)

        def counted(deployment: UUID, seconds: float, name: str) -> int:
            waiting = _waits(deployment, seconds, name)
            found = count_waiting(client, run)
            client.delete_flow_run(waiting)
            return found

        assert counted(mine, 60, "Late") == 1
        assert counted(limited, 60, "Late") == 1
        assert counted(mine, 5, "Scheduled") == 0
        assert counted(theirs, 60, "Late") == 0
        assert counted(limited, 60, "AwaitingConcurrencySlot") == 0
        assert counted(mine, 60, "AwaitingConcurrencySlot") == 1
        client.delete_flow_run(run.id)
        for deployment in (mine, theirs, limited):
            client.delete_deployment(deployment)
