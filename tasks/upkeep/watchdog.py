"""Find runs whose process has died, and runs that are late or stuck."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventResourceFilter,
)
from prefect.runtime import flow_run
from prefect.states import Cancelled, Crashed, Scheduled

from reelflow.upkeep.form import WatchdogForm
from reelflow.upkeep.watchdog import NO_RESTART, RESTART_WITHIN, Diagnosis, RunFacts, diagnose
from reelflow.wording import count, duration
from tasks.alarms import alarm_crashed, alarm_late
from tasks.artifacts import plain_text, show_markdown, table
from tasks.events import RUN_STUCK, emit_stuck
from tasks.ledger import open_ledger
from tasks.run_facts import HEARTBEAT, TAG, heartbeat_beside, restart_of
from tasks.step import step

MOST_RUNS = 200
"""Runs read with one request; Prefect's API returns no more by default."""
UPKEEP_TAG = "upkeep"
"""The tag of deployments that do for all runs what is open, whenever they run."""
BUSY_WITHIN = timedelta(minutes=2)
"""A worker whose runs sent a heartbeat within this time is at work: what it has not begun waits for room."""
_REASONS = {
    "RUNNING": "No heartbeat for {time}: the process has died. {next}",
    "PENDING": "Pending for {time}: the worker has died. {next}",
    "CANCELLING": "Cancelling for {time}: no worker is running to cancel it.",
    "SCHEDULED": "Late by {time}. No worker has picked it up: is one running for its work pool?",
    "CRASHED": "Crashed {time} ago{begun}. {next}",
}
_WHAT = {"dead": "dead", "restart": "dead, and started again", "stuck": "late or stuck"}
_RETRY = "Retry the run: what it has sent is not sent again."
_AGAIN = "It is started again: what it has sent is not sent again."
_NOT_BEGUN = "Nothing was sent. It is started again."


@step("check every run")
def check_runs(form: WatchdogForm) -> str:
    """Set runs of dead processes to Crashed, and start those again that may be.

    Reports late or stuck runs, too; returns a one-line summary.
    """
    log, now = get_run_logger(), datetime.now(UTC)
    alive = open_ledger().runs_alive()
    found: dict[str, list[tuple[str, str]]] = {"dead": [], "restart": [], "stuck": []}
    with get_client(sync_client=True) as client:
        superseded = cancel_superseded(client, dry_run=form.dry_run)
        for run in _our_runs(client):
            if run.id in superseded:
                continue
            if str(run.id) == flow_run.id:
                continue
            diagnosis = diagnose(_facts(client, run, alive, now), form, now)
            if diagnosis is None:
                if run.state is not None and run.state.is_crashed() and not form.dry_run:
                    alarm_crashed(run, run.state.message or "")  # if nobody else has: its worker may be gone, too
                continue
            reason = _reason(diagnosis)
            found[diagnosis.verdict].append((run.name, reason))
            log.warning("%s: %s", run.name, reason)
            if not form.dry_run:
                _act(client, run, diagnosis, reason)
    if rows := [(_WHAT[verdict], *row) for verdict, its in found.items() for row in its]:
        columns = {
            "Run": [plain_text(name) for _, name, _ in rows],
            "What": [what for what, _, _ in rows],
            "Found": [plain_text(reason) for _, _, reason in rows],
        }
        show_markdown(table(columns), "Runs that need attention")
    summary = f"{count(len(found['dead']), 'dead run')}, {len(found['stuck'])} late or stuck"
    if found["restart"]:
        summary += f", {len(found['restart'])} to be started again" if form.dry_run else ""
        summary += "" if form.dry_run else f", {len(found['restart'])} started again"
    if superseded:
        summary += f", {len(superseded)} late upkeep {'to be cancelled' if form.dry_run else 'cancelled'}"
    return f"Dry run: {summary}." if form.dry_run else f"{summary}."


def cancel_superseded(client: SyncPrefectClient, *, dry_run: bool) -> set[UUID]:
    """Cancel the late runs of upkeep schedules but the newest with the same parameters: that one does all of the work.

    They pile up by the hundred while a machine is off, and would all be executed when it is back. Returns their IDs.
    """
    wanted = FlowRunFilter(
        state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"])),
        tags=FlowRunFilterTags(all_=[TAG, UPKEEP_TAG]),
    )
    late: list[FlowRun] = []
    while len(page := client.read_flow_runs(
        flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=MOST_RUNS, offset=len(late)
    )) == MOST_RUNS:  # fmt: skip
        late += page
    kept, superseded = set[tuple[UUID, str]](), set[UUID]()
    for run in [*late, *page]:
        if not run.auto_scheduled or run.deployment_id is None:  # a person started it
            continue
        work = (run.deployment_id, json.dumps(run.parameters, sort_keys=True))  # two schedules may name two inboxes
        if work in kept:
            superseded.add(run.id)
        kept.add(work)
    for run_id in superseded if not dry_run else ():
        client.set_flow_run_state(run_id, Cancelled(message="Cancelled: a newer run does the same work."))
    return superseded


def _reason(diagnosis: Diagnosis) -> str:
    then = _RETRY
    if diagnosis.verdict == "restart":
        then = _AGAIN if diagnosis.has_begun else _NOT_BEGUN
    begun = "" if diagnosis.has_begun else " before it began"
    return _REASONS[diagnosis.state].format(time=duration(diagnosis.time), next=then, begun=begun)


def _act(client: SyncPrefectClient, run: FlowRun, diagnosis: Diagnosis, reason: str) -> None:
    if diagnosis.verdict == "dead":
        client.set_flow_run_state(run.id, Crashed(message=reason), force=True)
        alarm_crashed(run, reason)
    elif diagnosis.verdict == "restart":
        if diagnosis.state != "CRASHED":  # counted as one, and its deployment's slot is free
            client.set_flow_run_state(run.id, Crashed(message=reason), force=True)
        client.set_flow_run_state(run.id, Scheduled(name="AwaitingRetry", message=reason), force=True)
    else:
        alarm_late(str(run.id), run.name, reason, run.work_pool_name or "none")  # recorded once, however often found
        if _last_event(client, run, RUN_STUCK) is None:  # one event is enough
            emit_stuck(str(run.id), run.name, reason)


def _facts(client: SyncPrefectClient, run: FlowRun, alive: set[str], now: datetime) -> RunFacts:
    may_be_dead = run.state_type in (StateType.RUNNING, StateType.PENDING, StateType.CRASHED)
    return RunFacts(
        state=run.state_type.value if run.state_type else "",
        since=run.state.timestamp if run.state else now,
        due=run.expected_start_time,
        heartbeat=_last_event(client, run, HEARTBEAT) if run.state_type is StateType.RUNNING else None,
        worker_is_busy=run.state_type is StateType.SCHEDULED
        and heartbeat_beside(client, run, now - BUSY_WITHIN) is not None,
        alive_in_ledger=str(run.id) in alive,
        restart=restart_of(client, run) if may_be_dead else NO_RESTART,
    )


def _our_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """Our runs that have not ended: running, pending, cancelling or late; and those that crashed just now."""
    types = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    mine = FlowRunFilterTags(all_=[TAG])
    started = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types)), tags=mine),
        limit=MOST_RUNS,
    )
    late = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"])), tags=mine),
        limit=MOST_RUNS,
    )
    crashed = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])),
            end_time=FlowRunFilterEndTime(after_=datetime.now(UTC) - 2 * RESTART_WITHIN),
            tags=mine,
        ),
        limit=MOST_RUNS,
    )
    return [*started, *late, *(run for run in crashed if run.deployment_id is not None)]


def _last_event(client: SyncPrefectClient, run: FlowRun, event: str) -> datetime | None:
    """When an event of a run was last seen within two days."""
    wanted = EventFilter(
        event=EventNameFilter(name=[event]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
        occurred=EventOccurredFilter(since=datetime.now(UTC) - timedelta(days=2)),
    )
    found = client.read_events(wanted, limit=1).events
    return found[0].occurred if found else None
