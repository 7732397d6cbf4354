"""When a post is published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reelflow.errors import InputError
from reelflow.time_zones import in_zone, shown, shown_zone
from reelflow.wording import duration


def publishing_time(when: datetime | None, time_zone: str, now: datetime) -> datetime | None:
    """`when` in UTC; a time without a zone is in `time_zone`, or in the one in which times are shown.

    Raises:
        InputError: an unknown zone, a time that does not exist there, or one in the past.
    """
    if when is None:
        return None
    if when.tzinfo is None:
        when = in_zone(when, time_zone or shown_zone().key)
    moment = when.astimezone(UTC)
    if moment <= now:
        raise InputError(
            f"The time {shown(moment)} is {_age(now - moment)} in the past. "
            "Choose a later one, or leave it empty to publish now."
        )
    return moment


def _age(time: timedelta) -> str:
    return duration(time) if time >= timedelta(minutes=1) else "less than a minute"
