"""Find runs whose process has died, and runs that are late or stuck."""

from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.runtime import flow_run
from prefect.states import Crashed

from reelflow.runs import RunSeen, WatchdogForm, verdict
from tasks.announce import RUN_STUCK, announce_stuck
from tasks.record import open_ledger
from tasks.step import step

TAG = "reelflow"
"""Every deployment of ours has it; other people's runs are not looked at."""
MOST_RUNS = 200
HEARTBEAT = "prefect.flow-run.heartbeat"


@step("look at every run")
def look_at_runs(form: WatchdogForm) -> str:
    """Set runs of dead processes to Crashed, and say which runs are late or stuck; one line that sums it up."""
    log, now = get_run_logger(), datetime.now(UTC)
    alive = open_ledger().runs_alive()
    dead: list[tuple[str, str]] = []
    stuck: list[tuple[str, str]] = []
    with get_client(sync_client=True) as client:
        for run in _ours(client):
            if str(run.id) == flow_run.id:
                continue
            seen = RunSeen(
                state=run.state_type.value if run.state_type else "",
                since=run.state.timestamp if run.state else now,
                due=run.expected_start_time,
                heartbeat=_last(client, run, HEARTBEAT) if run.state_type is StateType.RUNNING else None,
                alive_in_ledger=str(run.id) in alive,
            )
            found = verdict(seen, form, now)
            if found is None:
                continue
            kind, words = found
            (dead if kind == "dead" else stuck).append((run.name, words))
            log.warning("%s: %s", run.name, words)
            if kind == "dead" and not form.dry_run:
                client.set_flow_run_state(run.id, Crashed(message=words), force=True)
            elif kind == "stuck" and not form.dry_run and _last(client, run, RUN_STUCK) is None:  # one alarm will do
                announce_stuck(str(run.id), run.name, words)
    if dead or stuck:
        rows = [{"Run": name, "What": "its process died", "Found": words} for name, words in dead]
        rows += [{"Run": name, "What": "late or stuck", "Found": words} for name, words in stuck]
        create_table_artifact(table=rows, description="Runs that need a look")
    said = f"{len(dead)} runs of dead processes, {len(stuck)} late or stuck"
    return f"Dry run: {said}." if form.dry_run else f"{said}."


def _ours(client: SyncPrefectClient) -> list[FlowRun]:
    """Runs of ours that are not ended: running, about to run, or due."""
    types = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    mine = FlowRunFilterTags(all_=[TAG])
    under_way = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types)), tags=mine),
        limit=MOST_RUNS,
    )
    late = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"])), tags=mine),
        limit=MOST_RUNS,
    )
    return [*under_way, *late]


def _last(client: SyncPrefectClient, run: FlowRun, event: str) -> datetime | None:
    """When an event of a run was last seen, in the last two days."""
    wanted: dict[str, Any] = {
        "filter": {
            "event": {"name": [event]},
            "resource": {"id": [f"prefect.flow-run.{run.id}"]},
            "occurred": {"since": (datetime.now(UTC) - timedelta(days=2)).isoformat()},
        },
        "limit": 1,
    }
    found = client.request("POST", "/events/filter", json=wanted).json().get("events", [])
    return datetime.fromisoformat(found[0]["occurred"]) if found else None
