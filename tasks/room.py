"""Whether other runs wait for the room that this one takes, so that it leaves to others what they can do as well."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext

from tasks.run_facts import TAG, runs_by_itself

TAKEN_WITHIN = timedelta(seconds=20)
"""A worker asks for runs every 10 s: a run that is due for less has perhaps not been offered to anybody."""
NO_SLOT = "AwaitingConcurrencySlot"
"""The state of a run whose deployment has a limit that is reached."""
FINISHER = "finish-open-posts/finish-open-posts"
"""The deployment that reports the outcomes of posts which no run watches."""


def others_wait() -> Callable[[], bool]:
    """A question for a run that watches its posts: whether to end, so that a run which waits for room can begin.

    Only a run of a deployment gives way, and only while finish-open-posts runs by itself, which then reports the
    outcomes. Where Prefect does not answer, nobody waits.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None

    def ask() -> bool:
        if run is None or run.deployment_id is None:
            return False
        try:
            with get_client(sync_client=True) as client:
                return count_waiting(client, run) > 0 and runs_by_itself(client, FINISHER)
        except Exception as error:  # noqa: BLE001 - a watch that goes on is what there was before
            get_run_logger().debug("Whether other runs wait cannot be read: %s", error)
            return False

    return ask


def count_waiting(client: SyncPrefectClient, run: FlowRun) -> int:
    """How many runs are due and wait for the room of `run`.

    In a work pool, those that no worker has taken, and those that wait for a slot of the same deployment, where a
    person gave it a limit. Without a pool, all of ours.
    """
    due = datetime.now(UTC) - TAKEN_WITHIN
    if not run.work_pool_name:
        return _count(client, due, tags=FlowRunFilterTags(all_=[TAG]))
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[run.work_pool_name])).model_dump(mode="json")
    no_slot = FlowRunFilterStateName(not_any_=[NO_SLOT])
    return _count(client, due, no_slot, work_pools=pool) or _count(
        client, due, deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id] if run.deployment_id else [])
    )


def _count(
    client: SyncPrefectClient,
    due: datetime,
    name: FlowRunFilterStateName | None = None,
    *,
    work_pools: dict[str, Any] | None = None,
    **more: Any,
) -> int:
    waiting = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]), name=name),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=due),
        **more,
    )
    body = {"flow_runs": waiting.model_dump(mode="json"), "work_pools": work_pools}
    return int(client.request("POST", "/flow_runs/count", json=body).json())
