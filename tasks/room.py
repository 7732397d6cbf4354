"""Whether a run that only watches should end, so that a waiting run can begin."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

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
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from blocks import TaislyAccount
from blocks.reference import saved_ids
from reelflow.block_references import saved_block
from reelflow.form_schema import TAISLY
from tasks.finishers import clients_of_finishers
from tasks.run_facts import TAG

TAKEN_WITHIN = timedelta(seconds=20)
"""A worker asks for runs every 10 s: a run that is due for less has perhaps not been offered to anybody."""
NO_SLOT = "AwaitingConcurrencySlot"
"""The state of a run whose deployment has a limit that is reached."""


def others_wait() -> Callable[[], bool]:
    """A question for a run that watches its posts: whether to end, so that a run which waits for room can begin.

    Only a run of a deployment gives way, and only while finish-open-posts runs by itself for its client, and so reports
    the outcomes. If Prefect does not answer, the answer is no, at once: with the retries of its client, each look at
    the posts would begin a minute late.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None

    def ask() -> bool:
        if run is None or run.deployment_id is None:
            return False
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
                return is_waited_for(client, run) and _is_finished_by_others(client, run)
        except Exception as error:  # noqa: BLE001 - a watch that goes on is what there was before
            get_run_logger().debug("Whether other runs wait cannot be read: %s", error)
            return False

    return ask


def is_waited_for(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether runs are due and wait for the room of `run`.

    In a work pool, those that no worker has taken, unless a person has paused their queue, or the pool. Without a pool,
    all of ours. In both cases also those that wait for a slot of the same deployment, where it has a limit.
    """
    due, no_slot = datetime.now(UTC) - TAKEN_WITHIN, FlowRunFilterStateName(not_any_=[NO_SLOT])
    own = FlowRunFilterDeploymentId(any_=[run.deployment_id] if run.deployment_id else [])
    if not run.work_pool_name:
        return _any(client, due, no_slot, tags=FlowRunFilterTags(all_=[TAG])) or _any(client, due, deployment_id=own)
    if not (queues := _unpaused_queues(client, run.work_pool_name)):
        return False
    return _any(client, due, no_slot, queues=queues) or _any(client, due, queues=queues, deployment_id=own)


def _unpaused_queues(client: SyncPrefectClient, pool: str) -> list[UUID]:
    """The work queues of a pool that nobody has paused; none if the pool is paused."""
    if client.read_work_pool(pool).is_paused:
        return []
    return [queue.id for queue in client.read_work_queues(work_pool_name=pool) if not queue.is_paused]


def _is_finished_by_others(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether a schedule of finish-open-posts is on that is for all clients, or for that of this run."""
    ids = saved_ids(TaislyAccount)
    mine = saved_block(run.parameters.get(TAISLY), ids)
    return any(name in (None, mine) for name in clients_of_finishers(client, ids))


def _any(
    client: SyncPrefectClient,
    due: datetime,
    name: FlowRunFilterStateName | None = None,
    *,
    queues: Sequence[UUID] = (),
    **more: Any,
) -> bool:
    waiting = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]), name=name),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=due),
        **more,
    )
    body: dict[str, Any] = {"flow_runs": waiting.model_dump(mode="json")}
    if queues:
        body["work_pool_queues"] = {"id": {"any_": list(map(str, queues))}}
    return bool(client.request("POST", "/flow_runs/count", json=body).json())
