"""The forms of the upkeep flows."""

from __future__ import annotations

from reelflow.fields import Form, entry


class WatchdogForm(Form):
    """When a run counts as dead, late or stuck."""

    dead_after_minutes: float = entry(
        0, "Dead after (minutes)", "A run counts as dead if Prefect has received no heartbeat from it for this long "
        "and the ledger shows no activity. Runs send a heartbeat every 30 seconds to 3 minutes.", 10, ge=2, le=1440,
    )  # fmt: skip
    late_after_minutes: float = entry(
        1, "Late or stuck after (minutes)", "How long a run may wait to start, or to be cancelled.",
        15, ge=1, le=1440,
    )  # fmt: skip
    dry_run: bool = entry(2, "Dry run", "Report what was found, without changing any run.", False)


WATCHDOG = WatchdogForm()
"""The form as it is when nobody fills it in, as in a schedule."""


class HistoryForm(Form):
    """How many days the report covers."""

    days: int = entry(0, "Days", "How many days of posts and phone tasks to report.", 7, ge=1, le=366)


WEEK = HistoryForm()
"""The form as it is when nobody fills it in, as in a schedule."""
