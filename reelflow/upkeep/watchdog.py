"""Decide whether a run is dead, late or stuck: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from reelflow.upkeep.form import WatchdogForm
from reelflow.wording import duration


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


def diagnose(run: RunFacts, form: WatchdogForm, now: datetime) -> tuple[Literal["dead", "stuck"], str] | None:
    """What is wrong with a run, and why; None if nothing is."""
    if run.alive_in_ledger:
        return None
    if run.state == "RUNNING":
        last = max(run.since, run.heartbeat or run.since)
        silent = now - last
        if silent > timedelta(minutes=form.dead_after_minutes):
            return (
                "dead",
                f"No heartbeat for {duration(silent)}: the process has died. It is safe to start the run again.",
            )
        return None
    begun = run.since if run.state in ("PENDING", "CANCELLING") else run.due or run.since
    waiting = now - begun
    if waiting <= timedelta(minutes=form.late_after_minutes):
        return None
    if run.state == "PENDING":
        return (
            "dead",
            f"Pending for {duration(waiting)}: the worker has died. It is safe to start the run again.",
        )
    if run.state == "CANCELLING":
        return "stuck", f"Cancelling for {duration(waiting)}: no worker is running to cancel it."
    return (
        "stuck",
        f"Late by {duration(waiting)}. No worker has picked it up: is one running for its work pool?",
    )
