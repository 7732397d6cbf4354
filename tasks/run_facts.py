"""What Prefect knows of a run: its states, its heartbeats, when it was due, and whether it may be started again."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType
from prefect.context import FlowRunContext
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventOrder,
    EventRelatedFilter,
)
from prefect.events.schemas.events import ResourceSpecification
from prefect.runtime import flow_run

from reelflow.posts.form import PostForm
from reelflow.upkeep.watchdog import Restart
from tasks.prefect_server import read_patiently

TAG = "reelflow"
"""The tag of all reelflow deployments; other runs are ignored."""
HEARTBEAT = "prefect.flow-run.heartbeat"
SUBMITTED = timedelta(minutes=1)
"""A run whose time is so close to its creation was not scheduled: a person has just submitted it."""
WATCHER = "watch-runs/watch-runs"
"""The deployment that starts dead runs again."""
STARTED_AGAIN = "It is started again"
"""In the message of a run that it starts again."""
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


def is_restart() -> bool:
    """Whether *watch-runs* started this run again, and not a person.

    Raises:
        OutcomeUnknown: the Prefect server cannot be asked.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or (flow_run.run_count or 0) <= 1:
        return False
    started = [s for s in read_patiently(partial(_own_states, run)) if s.name in ("Scheduled", "AwaitingRetry")]
    return bool(started) and STARTED_AGAIN in (max(started, key=lambda s: s.timestamp).message or "")


def _own_states(run: FlowRun) -> list[State[Any]]:
    with get_client(sync_client=True) as client:
        return past_states(client, run)


GIVEN_UP = StateDetails(retriable=False)
"""Marks the crash of a run that *watch-runs* found dead and does not start again: a person decides."""


def restart_of(client: SyncPrefectClient, run: FlowRun) -> Restart:
    """What speaks for and against starting a run again whose process has died.

    One that had not begun is started again, whatever it does, where the worker itself saw it die; where that is only
    taken for granted, the process may still begin.
    """
    past = past_states(client, run)
    types = [state.type for state in past]
    has_begun = StateType.RUNNING in types
    was_stopped = StateType.CANCELLING in types or StateType.CANCELLED in types
    sends_once = client.read_flow(run.flow_id).name in _STARTED_AGAIN
    has_crashed = run.state is not None and run.state.is_crashed()
    is_given_up = has_crashed and run.state is not None and run.state.state_details.retriable is False
    may_run_again = sends_once or (has_crashed and not has_begun)
    return Restart(
        is_safe=run.deployment_id is not None and may_run_again and not was_stopped and not is_given_up,
        sends_once=sends_once,
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
