"""Decide whether a run is dead, late or stuck: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from reelflow.upkeep.form import WatchdogForm


@dataclass(frozen=True)
class RunFacts:
    """A run as Prefect and the ledger know it.

    Attributes:
        state: RUNNING, PENDING, CANCELLING or SCHEDULED.
        since: When it entered that state.
        due: When it should have started.
        heartbeat: The last heartbeat that its process sent to Prefect.
        alive_in_ledger: Whether it holds a lease in the ledger now.
    """

    state: str
    since: datetime
    due: datetime | None
    heartbeat: datetime | None
    alive_in_ledger: bool


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run.

    Attributes:
        verdict: "dead": no process executes it any more. "stuck": nothing has picked it up yet.
        state: The state in which it was found.
        time: For how long: since its last heartbeat, since it entered the state, or since it was due.
    """

    verdict: Literal["dead", "stuck"]
    state: str
    time: timedelta


def diagnose(run: RunFacts, form: WatchdogForm, now: datetime) -> Diagnosis | None:
    """What is wrong with a run; None if nothing is."""
    if run.alive_in_ledger:
        return None
    if run.state == "RUNNING":
        silent = now - max(run.since, run.heartbeat or run.since)
        return Diagnosis("dead", run.state, silent) if silent > timedelta(minutes=form.dead_after_minutes) else None
    begun = run.since if run.state in ("PENDING", "CANCELLING") else run.due or run.since
    if now - begun <= timedelta(minutes=form.late_after_minutes):
        return None
    return Diagnosis("dead" if run.state == "PENDING" else "stuck", run.state, now - begun)
