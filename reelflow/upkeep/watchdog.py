"""Decide whether a run is dead, late or stuck: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from reelflow.upkeep.form import WatchdogForm

RESTART_WITHIN = timedelta(minutes=30)
"""A run that crashed longer ago has been seen by its owner, who decides."""
MOST_RESTARTS = 3
"""A run that crashes again and again will not begin."""


@dataclass(frozen=True)
class RunFacts:
    """A run as Prefect and the ledger know it.

    Attributes:
        state: RUNNING, PENDING, CANCELLING, SCHEDULED or CRASHED.
        since: When it entered that state.
        due: When it should have started.
        heartbeat: The last heartbeat that its process sent to Prefect.
        alive_in_ledger: Whether it holds a lease in the ledger now.
        has_begun: Whether its flow has ever been executed.
        crashes: How often it has crashed.
        worker_is_busy: Whether whoever would execute it is executing others: then it waits for room.
    """

    state: str
    since: datetime
    due: datetime | None
    heartbeat: datetime | None
    alive_in_ledger: bool
    has_begun: bool = True
    crashes: int = 0
    worker_is_busy: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run.

    Attributes:
        verdict: "dead": no process executes it any more. "stuck": nothing has picked it up yet. "restart": it crashed
            before it began, as runs do that start while the Prefect server is away.
        state: The state in which it was found.
        time: For how long: since its last heartbeat, since it entered the state, or since it was due.
    """

    verdict: Literal["dead", "stuck", "restart"]
    state: str
    time: timedelta


def diagnose(run: RunFacts, form: WatchdogForm, now: datetime) -> Diagnosis | None:
    """What is wrong with a run; None if nothing is."""
    if run.alive_in_ledger or run.worker_is_busy:
        return None
    if run.state == "CRASHED":
        is_worth_it = not run.has_begun and run.crashes <= MOST_RESTARTS and now - run.since <= RESTART_WITHIN
        return Diagnosis("restart", run.state, now - run.since) if is_worth_it else None
    if run.state == "RUNNING":
        silent = now - max(run.since, run.heartbeat or run.since)
        return Diagnosis("dead", run.state, silent) if silent > timedelta(minutes=form.dead_after_minutes) else None
    begun = run.since if run.state in ("PENDING", "CANCELLING") else run.due or run.since
    if now - begun <= timedelta(minutes=form.late_after_minutes):
        return None
    return Diagnosis("dead" if run.state == "PENDING" else "stuck", run.state, now - begun)
