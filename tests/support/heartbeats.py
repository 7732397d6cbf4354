"""Heartbeats of runs, as their processes send them to Prefect."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter

from support.waiting import until
from tasks.run_facts import HEARTBEAT


def send_heartbeat(run: UUID) -> None:
    """A heartbeat of a run, on record when this returns."""
    sent = emit_event(HEARTBEAT, resource={"prefect.resource.id": f"prefect.flow-run.{run}"})
    assert sent is not None
    until("the heartbeat", lambda: last_heartbeat(run) >= sent.occurred)


def last_heartbeat(run: UUID | None = None) -> datetime:
    """The last heartbeat of a run, or of any."""
    resource = EventResourceFilter(id=[f"prefect.flow-run.{run}"]) if run else EventResourceFilter()
    with get_client(sync_client=True) as client:
        found = client.read_events(EventFilter(event=EventNameFilter(name=[HEARTBEAT]), resource=resource), limit=1)
    return found.events[0].occurred if found.events else datetime.min.replace(tzinfo=UTC)
