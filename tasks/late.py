"""Skip a run that starts too late: after downtime, Prefect starts all missed runs at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.states import Failed

from reelflow.errors import RunSkipped
from reelflow.time_zones import shown
from reelflow.wording import duration
from tasks.prefect_server import asking_prefect
from tasks.upkeep.watchdog import first_heartbeat_beside, past_states

SUBMITTED = timedelta(minutes=1)
"""A run whose time is so close to its creation was not scheduled: a person has just submitted it."""


def skip_if_late(max_minutes: float) -> State[Any] | None:
    """The final state of a run that could begin too late for its schedule; None if it may continue.

    Waiting for a slot, a worker that is busy, the plan or another run does not count. A run that a person submits is
    never late, unless they chose its time; nor is one that is retried, since whoever does that knows that it is old.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or (flow_run.run_count or 0) > 1 or (due := _due(run)) is None:
        return None
    allowed, now = timedelta(minutes=max_minutes), datetime.now(UTC)
    if now - due <= allowed:
        return None
    with asking_prefect(), get_client(sync_client=True) as client:
        late = _could_begin(client, run, due, now) - due
    if late <= allowed:
        return None
    message = (
        f"Skipped: nothing was sent. This run was due {shown(due)} and could begin only {duration(late)} later; it may "
        f"be at most {max_minutes:g} minutes late. To run it now, press Retry, or start a new run."
    )
    return Failed(name="Skipped", message=message, data=RunSkipped(message))


def _due(run: FlowRun) -> datetime | None:
    """The time for which a run was scheduled; None for one that was just submitted."""
    due = run.expected_start_time
    if due is None or run.auto_scheduled or run.created is None:
        return due if run.auto_scheduled else None
    return due if due - run.created > SUBMITTED else None


def _could_begin(client: SyncPrefectClient, run: FlowRun, due: datetime, now: datetime) -> datetime:
    """When something first was there to execute the run.

    That is when a worker took it up (Pending) or was told to wait for a slot. A worker that had no room itself leaves
    no trace on the run, but the runs that it was busy with send heartbeats.
    """
    states = past_states(client, run)
    begun = [s.timestamp for s in states if s.type is StateType.PENDING or s.name == "AwaitingConcurrencySlot"]
    other = first_heartbeat_beside(client, run, due)
    return max(due, min([now, *begun, *([other] if other else [])]))
