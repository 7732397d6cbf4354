"""Find runs whose process has died, and runs that are late or stuck."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import emit_event
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
from tasks.run_facts import GIVEN_UP, HEARTBEAT, STARTED_AGAIN, TAG, heartbeat_beside, restart_of
from tasks.step import step

MOST_RUNS = 200
"""Runs read with one request; Prefect's API returns no more by default."""
UPKEEP_TAG = "upkeep"
"""The tag of deployments that do for all runs what is open, whenever they run."""
BUSY_WITHIN = timedelta(minutes=2)
"""A worker whose runs sent a heartbeat within this time is at work: what it has not begun waits for room."""
LOOK_AGAIN = timedelta(seconds=40)
"""Heartbeats come every 30 s: a run that lives has sent one by then, also if the Prefect server was away before, or the
machine asleep."""
ARRIVAL_SECONDS = 10.0
"""How long a heartbeat may take until Prefect shows it."""
_REASONS = {
    "RUNNING": "No heartbeat for {time}: the process has died. {next}",
    "PENDING": "Pending for {time}: the worker has died. {next}",
    "CANCELLING": "Cancelling for {time}: no worker is running to cancel it.",
    "SCHEDULED": "Late by {time}. No worker has picked it up: is one running for its work pool?",
    "CRASHED": "Crashed {time} ago{begun}. {next}",
}
_WHAT = {"dead": "dead", "restart": "dead, and started again", "stuck": "late or stuck"}
_WHAT_DRY = {**_WHAT, "restart": "dead, and would be started again"}
_NOTHING_TWICE = "what it has sent is not sent again"


@step("check every run")
def check_runs(form: WatchdogForm) -> str:
    """Set runs of dead processes to Crashed, and start those again that may be.

    Reports late or stuck runs, too; returns a one-line summary.
    """
    log = get_run_logger()
    found: dict[str, list[tuple[str, str]]] = {"dead": [], "restart": [], "stuck": []}
    with get_client(sync_client=True) as client:
        superseded = cancel_superseded(client, dry_run=form.dry_run)
        runs = [run for run in _our_runs(client) if run.id not in superseded and str(run.id) != flow_run.id]
        for run, facts, diagnosis in _examined(client, runs, form):
            if diagnosis is None:
                if _is_crash_to_tell(facts) and not form.dry_run:
                    alarm_crashed(run, run.state.message or "" if run.state else "")  # if nobody else has
                continue
            reason = _reason(diagnosis, dry_run=form.dry_run)
            found[diagnosis.verdict].append((run.name, reason))
            log.warning("%s: %s", run.name, reason)
            if not form.dry_run:
                _act(client, run, diagnosis, reason)
    what = _WHAT_DRY if form.dry_run else _WHAT
    if rows := [(what[verdict], *row) for verdict, its in found.items() for row in its]:
        columns = {
            "Run": [plain_text(name) for _, name, _ in rows],
            "What": [kind for kind, _, _ in rows],
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


Examined = list[tuple[FlowRun, RunFacts, Diagnosis | None]]


def _examined(client: SyncPrefectClient, runs: list[FlowRun], form: WatchdogForm) -> Examined:
    """What is known of each run, and what is wrong with it. One that seems to be dead is looked at twice.

    Heartbeats may be missing because they do not arrive: then nobody is taken for dead.
    """
    found = _looked_at(client, runs, form)
    silent = {run.id for run, _, diagnosis in found if diagnosis and diagnosis.state in ("RUNNING", "PENDING")}
    if not silent:
        return found
    others = [each for each in found if each[0].id not in silent]
    if not _heartbeats_arrive(client, min(LOOK_AGAIN, timedelta(minutes=form.dead_after_minutes))):
        get_run_logger().warning(
            "Heartbeats do not arrive at the Prefect server, so no run is taken for dead. Are its services running?"
        )
        return others
    wanted = FlowRunFilter(
        id=FlowRunFilterId(any_=list(silent)),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])),
    )
    return others + _looked_at(client, client.read_flow_runs(flow_run_filter=wanted, limit=MOST_RUNS), form)


def _heartbeats_arrive(client: SyncPrefectClient, pause: timedelta) -> bool:
    """Whether a heartbeat of this very run is on record some time after it was sent."""
    sent = emit_event(HEARTBEAT, resource={"prefect.resource.id": f"prefect.flow-run.{flow_run.id}"})
    time.sleep(pause.total_seconds())
    end = time.monotonic() + ARRIVAL_SECONDS
    while sent is not None and time.monotonic() < end:
        seen = _last_event(client, str(flow_run.id), HEARTBEAT)
        if seen is not None and seen >= sent.occurred:
            return True
        time.sleep(ARRIVAL_SECONDS / 50)
    return False


def _looked_at(client: SyncPrefectClient, runs: list[FlowRun], form: WatchdogForm) -> Examined:
    now, alive = datetime.now(UTC), open_ledger().runs_alive()
    busy: dict[str | None, bool] = {}  # by work pool
    examined: Examined = []
    for run in runs:
        facts = _facts(client, run, alive, now)
        if run.state_type is StateType.SCHEDULED:
            if run.work_pool_name not in busy:
                busy[run.work_pool_name] = heartbeat_beside(client, run, now - BUSY_WITHIN) is not None
            facts = replace(facts, worker_is_busy=busy[run.work_pool_name])
        examined.append((run, facts, diagnose(facts, form, now)))
    return examined


def _is_crash_to_tell(facts: RunFacts) -> bool:
    """Whether a run has crashed and is not started again, now or once its lease in the ledger has ended."""
    return facts.state == "CRASHED" and not facts.restart.is_due(datetime.now(UTC) - facts.since)


def _reason(diagnosis: Diagnosis, *, dry_run: bool = False) -> str:
    begun = "" if diagnosis.has_begun else " before it began"
    then = _next(diagnosis, dry_run=dry_run)
    return _REASONS[diagnosis.state].format(time=duration(diagnosis.time), next=then, begun=begun)


def _next(diagnosis: Diagnosis, *, dry_run: bool) -> str:
    if diagnosis.verdict == "restart":
        again = "It would be started again" if dry_run else STARTED_AGAIN
        return f"{again}: {_NOTHING_TWICE}." if diagnosis.has_begun else f"Nothing was sent. {again}."
    if not diagnosis.sends_once:
        return "Look at what it did, then retry it."
    return f"Retry the run: {_NOTHING_TWICE}."


def _act(client: SyncPrefectClient, run: FlowRun, diagnosis: Diagnosis, reason: str) -> None:
    if diagnosis.verdict == "dead":
        client.set_flow_run_state(run.id, Crashed(message=reason, state_details=GIVEN_UP), force=True)
        alarm_crashed(run, reason)
    elif diagnosis.verdict == "restart":
        if diagnosis.state != "CRASHED":  # counted as one, and its deployment's slot is free
            client.set_flow_run_state(run.id, Crashed(message=reason), force=True)
        # Not AwaitingRetry, which Prefect never calls late
        client.set_flow_run_state(run.id, Scheduled(message=reason), force=True)
    else:
        alarm_late(str(run.id), run.name, reason, run.work_pool_name or "none")  # recorded once, however often found
        if _last_event(client, str(run.id), RUN_STUCK) is None:  # one event is enough
            emit_stuck(str(run.id), run.name, reason)


def _facts(client: SyncPrefectClient, run: FlowRun, alive: set[str], now: datetime) -> RunFacts:
    may_be_dead = run.state_type in (StateType.RUNNING, StateType.PENDING, StateType.CRASHED)
    due = run.state.state_details.scheduled_time if run.state else None  # a run that is started again is due again
    return RunFacts(
        state=run.state_type.value if run.state_type else "",
        since=run.state.timestamp if run.state else now,
        due=due or run.expected_start_time,
        heartbeat=_last_event(client, str(run.id), HEARTBEAT) if run.state_type is StateType.RUNNING else None,
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


def _last_event(client: SyncPrefectClient, run_id: str, event: str) -> datetime | None:
    """When an event of a run was last seen within two days."""
    wanted = EventFilter(
        event=EventNameFilter(name=[event]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run_id}"]),
        occurred=EventOccurredFilter(since=datetime.now(UTC) - timedelta(days=2)),
    )
    found = client.read_events(wanted, limit=1).events
    return found[0].occurred if found else None
