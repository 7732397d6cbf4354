"""Skip a run that starts too late: after downtime, Prefect starts all missed runs at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from reelflow.time_zones import shown
from reelflow.wording import duration

LATE = "Skipped: nothing was sent."
"""How the message of such a run begins."""


def skip_if_late(max_minutes: float) -> State[Any] | None:
    """The final state of a run that started too late; None if it may continue.

    Only a run's first attempt can be late: whoever retries an old run knows that it is old.
    """
    if (flow_run.run_count or 0) > 1:
        return None
    due = flow_run.scheduled_start_time
    if due is None or (late := datetime.now(UTC) - due) <= timedelta(minutes=max_minutes):
        return None
    return Completed(
        name="Skipped",
        message=f"{LATE} This run was due {shown(due)}, {duration(late)} ago, and "
        f"may be at most {max_minutes:g} minutes late. To run it now, start a new run.",
    )
