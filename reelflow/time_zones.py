"""Time zones by name, and local times in them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reelflow.errors import InputError


def read_zone(name: str) -> ZoneInfo:
    """The time zone `name`.

    Raises:
        InputError: there is none of this name.
    """
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"Unknown time zone {name!r}. Use a name such as Europe/Berlin.") from None


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
