"""Pieces of the messages about campaigns."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from prefect.runtime import flow_run

from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.inbox_form import InboxForm
from reelflow.time_zones import shown_locally, shown_zone
from tasks.run_names import name_for_client

MOST_WARNINGS = 50
"""Lines of a report about what is sent all the same."""


def campaign_run_name() -> str:
    """A name for the runs of a campaign or of an inbox: "week-48", "check inbox"."""
    given = flow_run.parameters
    name, kind = ("inbox", InboxForm) if "inbox" in given else ("campaign", CampaignForm)
    form = kind.model_validate(given[name])
    return name_for_client(f"{'check ' if form.dry_run else ''}{form.name}")


def time_shown(moment: datetime | None) -> str:
    """When a post is published, for a table below `zone_shown`."""
    return shown_locally(moment) if moment else "now"


def zone_shown() -> str:
    """What the times of a table mean."""
    return f"Times are in {shown_zone().key}."


def warnings_shown(warnings: Sequence[tuple[int, str]]) -> list[str]:
    """Warnings by their text, each with its rows: "Rows 1-9: …"; cut with a count."""
    rows: dict[str, list[int]] = {}
    for number, text in warnings:
        rows.setdefault(text, []).append(number)
    lines = [f"{_rows(numbers)}: {text}" if any(numbers) else text for text, numbers in rows.items()]
    more = len(lines) - MOST_WARNINGS
    return [*lines[:MOST_WARNINGS], *([f"And {more} more."] if more > 0 else [])]


def _rows(numbers: Sequence[int]) -> str:
    """Numbers in a few words: "Row 3", "Rows 1-4, 7"."""
    ordered = sorted(set(numbers))
    runs = [[n for _, n in group] for _, group in groupby(enumerate(ordered), key=lambda each: each[1] - each[0])]
    parts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return f"Row{'s' if len(ordered) > 1 else ''} {', '.join(parts)}"
