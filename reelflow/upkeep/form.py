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


class WeekForm(Form):
    """Which days to show, and files to write of them."""

    days_back: int = entry(0, "Days back", "How many days before today.", 7, ge=0, le=366)
    days_ahead: int = entry(1, "Days ahead", "How many days after today.", 14, ge=0, le=366)
    csv: str = entry(
        2, "Save as CSV", "A file that ends in .csv, on the machine that runs the flow: one row for each post and "
        "account. It is replaced if it is there. Empty: none.", "", advanced=True, examples=["/reports/week.csv"],
    )  # fmt: skip
    ics: str = entry(
        3, "Save as calendar", "A file that ends in .ics, on the machine that runs the flow, for a calendar program: "
        "one event for each post. It is replaced if it is there. Empty: none.", "", advanced=True,
        examples=["/reports/week.ics"],
    )  # fmt: skip


WEEK = WeekForm()
"""The form as it is when nobody fills it in, as in a schedule."""
