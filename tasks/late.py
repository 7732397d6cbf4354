"""Skip a run that starts too late: after downtime, Prefect starts all missed runs at once."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.events.filters import EventOrder
from prefect.runtime import flow_run
from prefect.states import Failed

from reelflow.errors import RunSkipped
from reelflow.time_zones import shown
from reelflow.wording import duration
from tasks.prefect_server import read_patiently
from tasks.run_facts import due_of, heartbeat_beside, past_states

SHORTEST = timedelta(minutes=1)
"""Runs send heartbeats every 30 s, so a shorter time without one says nothing."""


def skip_if_late(max_minutes: float) -> State[Any] | None:
    """The final state of a run of a schedule that nothing was there to start for too long; None if it may continue.

    Waiting for a slot, a worker that is busy, the plan or another run does not count. A run that a person submits is
    never late, unless they chose its time; nor is one that is retried, since whoever does that knows that it is old.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or (flow_run.run_count or 0) > 1 or (due := due_of(run)) is None:
        return None
    allowed, now = timedelta(minutes=max_minutes), datetime.now(UTC)
    if now - due <= allowed:
        return None
    gap = read_patiently(partial(_unattended, run, due, now, max(allowed, SHORTEST)))
    if gap is None:
        return None
    message = (
        f"Skipped: nothing was sent. This run was due {shown(due)}, and for {duration(gap)} nothing was there to start "
        f"it; {max_minutes:g} minutes are allowed. To run it now, press Retry, or start a new run."
    )
    return Failed(name="Skipped", message=message, data=RunSkipped(message))


def _unattended(run: FlowRun, due: datetime, now: datetime, allowed: timedelta) -> timedelta | None:
    """How long nothing was there to execute the run, if that was at one time longer than allowed.

    None also for a run that goes on after it has waited for a person. Something was there when a worker took the run
    up (Pending) or was told to wait for a slot, and at each heartbeat of another run: a worker that has no room leaves
    no trace on the run, but those that it is busy with do.
    """
    with get_client(sync_client=True) as client:
        past = past_states(client, run)
        if any(state.type is StateType.PAUSED for state in past):
            return None
        own = [s.timestamp for s in past if s.type is StateType.PENDING or s.name == "AwaitingConcurrencySlot"]
        alive = due
        while now - alive > allowed:
            later = [t for t in own if alive < t <= alive + allowed]
            found = _heartbeat(client, run, alive, alive + allowed, EventOrder.DESC)
            if seen := [*later, *([found] if found else [])]:
                alive = max(seen)
                continue
            after = _heartbeat(client, run, alive, now, EventOrder.ASC)
            return min([now, *(t for t in own if t > alive), *([after] if after else [])]) - alive
        return None


def _heartbeat(
    client: SyncPrefectClient, run: FlowRun, since: datetime, until: datetime, order: EventOrder
) -> datetime | None:
    return heartbeat_beside(client, run, since + timedelta(microseconds=1), until, order)
