"""Pieces of the messages about campaigns."""

from datetime import datetime

from reelflow.time_zones import shown


def time_shown(moment: datetime | None) -> str:
    """When a post is published, for a table."""
    return shown(moment) if moment else "now"
