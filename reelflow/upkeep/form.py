"""The forms of the upkeep flows."""

from __future__ import annotations

from typing import Literal

from reelflow.fields import Form, entry


class WatchdogForm(Form):
    """When a run counts as dead, late or stuck."""

    dead_after_minutes: float = entry(
        0, "Dead after (minutes)", "A run counts as dead if it sent Prefect no heartbeat for this long, and the ledger "
        "shows no activity. Runs send a heartbeat every 30 seconds.", 3, ge=2, le=1440,
    )  # fmt: skip
    late_after_minutes: float = entry(
        1, "Late or stuck after (minutes)", "How long a run may wait to start, or to be cancelled, "
        "or run without a first heartbeat.",
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


class TidyForm(Form):
    """How long the ledger keeps what nobody needs any more."""

    keep_days: int = entry(
        0, "Keep for (days)", "How long to keep the journal of posts, alarms that were told, and the like. What keeps "
        "a post or a comment from being sent twice is always kept.", 365, ge=30, le=3650,
    )  # fmt: skip
    dry_run: bool = entry(1, "Dry run", "Show what would be removed, without removing anything.", False)


TIDY = TidyForm()
"""The form as it is when nobody fills it in, as in a schedule."""


class RotateKeyForm(Form):
    """Whether to replace the API key or to revoke it, after you have seen who uses it."""

    action: Literal["replace", "revoke"] = entry(
        0, "What to do", "'replace' generates a new key at Taisly and saves it into the block; runs go on with it. "
        "'revoke' only makes the key useless. Taisly can undo neither.", "replace",
    )  # fmt: skip
    dry_run: bool = entry(
        1, "Dry run", "Show who uses the key and what would happen, without changing the key or a block.", True
    )
    revoke_without_new_key: bool = entry(
        2, "Yes, revoke without a new key", "Only for 'revoke': nothing can be sent or checked with this block until "
        "you put another key into it. Whether posts that are scheduled at Taisly still go out is not known.", False,
    )  # fmt: skip
    wait_minutes: float = entry(
        10, "Wait for uploads (minutes)", "How long to wait for uploads in progress. If one takes longer, nothing is "
        "changed. No new upload begins meanwhile.", 10, advanced=True, ge=0, le=120,
    )  # fmt: skip
