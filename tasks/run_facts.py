"""What Prefect knows of a run: its states, its heartbeats, when it was due, and whether it may be started again."""

from datetime import datetime, timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventOrder,
    EventRelatedFilter,
)
from prefect.events.schemas.events import ResourceSpecification

from reelflow.posts.form import PostForm
from reelflow.upkeep.watchdog import Restart

TAG = "reelflow"
"""The tag of all reelflow deployments; other runs are ignored."""
HEARTBEAT = "prefect.flow-run.heartbeat"
SUBMITTED = timedelta(minutes=1)
"""A run whose time is so close to its creation was not scheduled: a person has just submitted it."""
WATCHER = "watch-runs/watch-runs"
"""The deployment that starts dead runs again."""
_STARTED_AGAIN = ("publish-video", "publish-and-engage", "publish-campaign")
"""Flows of which a run that died is started again: what one has sent is on record, and is not sent again.

Not those on phones, which would repeat warm-ups that nothing can tell apart; nor those that a person watches, such as
the replacement of a key; nor upkeep, whose next run does the same work.
"""
_LATENESS = "max_lateness_minutes"
_USUAL_LATENESS = float(PostForm.model_fields[_LATENESS].default)


def past_states(client: SyncPrefectClient, run: FlowRun) -> list[State[Any]]:
    """Every state that a run has been in. Its start time does not tell: Prefect sets it at the end, if not before."""
    states = client.request("GET", "/flow_run_states/", params={"flow_run_id": str(run.id)}).json()
    return [State[Any].model_validate(state) for state in states]


def due_of(run: FlowRun) -> datetime | None:
    """The time for which a run was scheduled, or handed over by another run; None for one that was just submitted."""
    due = run.expected_start_time
    if run.auto_scheduled or run.parent_task_run_id is not None:
        return due
    if due is None or run.created is None:
        return None
    return due if due - run.created > SUBMITTED else None


def restart_of(client: SyncPrefectClient, run: FlowRun) -> Restart:
    """What speaks for and against starting a run again whose process has died."""
    past = past_states(client, run)
    types = [state.type for state in past]
    has_begun = StateType.RUNNING in types
    was_stopped = StateType.CANCELLING in types or StateType.CANCELLED in types
    is_ours = run.deployment_id is not None and not was_stopped
    if is_ours and has_begun:
        is_ours = client.read_flow(run.flow_id).name in _STARTED_AGAIN
    return Restart(
        is_safe=is_ours,
        has_begun=has_begun,
        crashes=types.count(StateType.CRASHED),
        patience=_patience(run) if has_begun else None,
    )


def _patience(run: FlowRun) -> timedelta | None:
    """For how long nothing may be there to execute a run, by its own form; None for any time."""
    if due_of(run) is None:
        return None
    forms = (value for value in run.parameters.values() if isinstance(value, dict))
    given = next((form[_LATENESS] for form in forms if _LATENESS in form), _USUAL_LATENESS)
    return timedelta(minutes=float(given))


def runs_by_itself(client: SyncPrefectClient, deployment: str) -> bool:
    """Whether a deployment, "flow/name", has a schedule that is on."""
    found = client.read_deployment_by_name(deployment)
    return not found.paused and any(schedule.active for schedule in found.schedules)


def heartbeat_beside(
    client: SyncPrefectClient,
    run: FlowRun,
    since: datetime,
    until: datetime | None = None,
    order: EventOrder = EventOrder.ASC,
) -> datetime | None:
    """The first or last heartbeat of a run in the same work pool; without a pool, of any run of ours."""
    labels = {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}
    if run.work_pool_name:
        labels = {"prefect.resource.role": "work-pool", "prefect.resource.name": run.work_pool_name}
    occurred = EventOccurredFilter(since=since, until=until) if until else EventOccurredFilter(since=since)
    wanted = EventFilter(
        event=EventNameFilter(name=[HEARTBEAT]),
        occurred=occurred,
        related=EventRelatedFilter(labels=ResourceSpecification(labels)),
        order=order,
    )
    found = client.read_events(wanted, limit=1).events
    return found[0].occurred if found else None
