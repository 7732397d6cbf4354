"""Late is not now: Prefect starts missed runs in a burst after a downtime."""

from datetime import UTC, datetime

from prefect.runtime import flow_run

from reelflow.publishing import too_late


def too_late_now(minutes: float) -> str | None:
    """Why this run must not begin, if it is more than so many minutes late; a person who retries it knows that."""
    if (flow_run.run_count or 0) > 1:
        return None
    return too_late(flow_run.scheduled_start_time, datetime.now(UTC), minutes)
