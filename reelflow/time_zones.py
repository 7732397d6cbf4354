"""The one time zone in which people read and write times, time zones by name, and local times in them."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import tzlocal

from reelflow.errors import InputError

DAY = 86400.0
"""Seconds."""
_shown_zone: list[ZoneInfo] = []
"""The zone that `use_zone` was told; none: this machine's."""


def use_zone(name: str | None) -> None:
    """Show times in the time zone `name` from now on; None for this machine's.

    One for a process, like its language: whoever is told a time is the same person for every message.

    Raises:
        InputError: there is none of this name.
    """
    _shown_zone[:] = [read_zone(name)] if name else []


def shown_zone() -> ZoneInfo:
    """The time zone in which times are shown."""
    return _shown_zone[0] if _shown_zone else read_zone(machine_zone())


def machine_zone() -> str:
    """The name of this machine's time zone; UTC if it has none that has a name."""
    try:
        name = tzlocal.get_localzone_name() or "UTC"
        return "UTC" if name.startswith("Etc/U") else name  # Etc/UTC and its other names: what servers have
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the machine's own setting is broken
        return "UTC"


def shown(moment: datetime | float) -> str:
    """A moment as people read it: "Fri 27 Nov, 13:00 (Europe/Berlin)"; with its year if that is not this one.

    Args:
        moment: With a time zone, or Unix seconds.
    """
    return f"{shown_locally(moment)} ({shown_zone().key})"


def shown_locally(moment: datetime | float) -> str:
    """The same where the zone stands above: "Fri 27 Nov, 13:00"."""
    zone = shown_zone()
    local = datetime.fromtimestamp(moment, zone) if isinstance(moment, float | int) else moment.astimezone(zone)
    year = "" if local.year == datetime.now(zone).year else f" {local.year}"
    return f"{local:%a} {local.day} {local:%b}{year}, {local:%H:%M}"


def read_zone(name: str) -> ZoneInfo:
    """The time zone `name`.

    Raises:
        InputError: there is none of this name.
    """
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"Unknown time zone {name!r}. {_suggested(name)}") from None


def zone_names() -> list[str]:
    """The names of all time zones, sorted."""
    return sorted(available_timezones())


def _suggested(name: str) -> str:
    """The names that are most like a wrong one, by their last part too: people write "Berlin"."""
    wanted = name.strip().replace(" ", "_").lower()
    by_part = {part.lower(): full for full in zone_names() for part in (full, full.rpartition("/")[2])}
    found = dict.fromkeys(by_part[part] for part in get_close_matches(wanted, by_part, n=3, cutoff=0.75))
    return f"Did you mean {' or '.join(found)}?" if found else "Use a name such as Europe/Berlin."


def in_zone(when: datetime, name: str) -> datetime:
    """The local time `when`, which has no zone of its own, in the time zone `name`.

    Raises:
        InputError: there is no such zone, or the clocks skip this time there.
    """
    zone = read_zone(name)
    local = when.replace(tzinfo=zone)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != when:
        raise InputError(
            f"{when:%Y-%m-%d %H:%M} does not exist in {zone.key}: the clocks go forward then. Choose another time."
        )
    return local
