"""Pure decisions about runs: has its process died, is it late or stuck?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field


class WatchdogForm(BaseModel):
    """When a run is taken for dead, late or stuck."""

    dead_after_minutes: float = Field(
        10,
        title="Dead after (minutes)",
        description="A running run without a sign of life for this long, neither to Prefect nor in the ledger. "
        "Runs give one every 30 seconds to 3 minutes.",
        ge=2,
        le=1440,
        json_schema_extra={"position": 0},
    )
    late_after_minutes: float = Field(
        15,
        title="Late or stuck after (minutes)",
        description="A run that should have begun, or was about to begin or to be cancelled, for this long.",
        ge=1,
        le=1440,
        json_schema_extra={"position": 1},
    )
    dry_run: bool = Field(
        False, title="Dry run", description="Only say what was found.", json_schema_extra={"position": 2}
    )


WATCHDOG = WatchdogForm()
"""The form as it is when nobody fills it in, as in a schedule."""


@dataclass(frozen=True)
class RunSeen:
    """A run as Prefect and the ledger know it.

    Attributes:
        state: RUNNING, PENDING, CANCELLING or SCHEDULED.
        since: Since when it is in that state.
        due: When it should have begun.
        heartbeat: The last sign of life of its process to Prefect.
        alive_in_ledger: Whether it holds a lease in the ledger now.
    """

    state: str
    since: datetime
    due: datetime | None
    heartbeat: datetime | None
    alive_in_ledger: bool


def verdict(run: RunSeen, form: WatchdogForm, now: datetime) -> tuple[Literal["dead", "stuck"], str] | None:
    """What is wrong with a run, and why; None if nothing is."""
    if run.alive_in_ledger:
        return None
    if run.state == "RUNNING":
        last = max(run.since, run.heartbeat or run.since)
        silent = now - last
        if silent > timedelta(minutes=form.dead_after_minutes):
            return "dead", f"No sign of life for {_minutes(silent)}: its process has died. Starting it again is safe."
        return None
    begun = run.since if run.state in ("PENDING", "CANCELLING") else run.due or run.since
    waiting = now - begun
    if waiting <= timedelta(minutes=form.late_after_minutes):
        return None
    if run.state == "PENDING":
        return "dead", f"About to begin for {_minutes(waiting)}: its worker has died. Starting it again is safe."
    if run.state == "CANCELLING":
        return "stuck", f"Being cancelled for {_minutes(waiting)}: no worker is there to do it."
    return "stuck", f"Should have begun {_minutes(waiting)} ago: no worker has taken it."


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} minutes"
