"""Who receives alarms, and a test alarm that goes the way of all others: event, automation, notification."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.events import Resource
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.events.schemas.automations import Posture
from prefect.events.schemas.events import matches
from prefect.settings import PREFECT_UI_URL

from reelflow.errors import InputError, ReelflowError
from reelflow.wording import listed
from tasks.alarm_messages import Message
from tasks.alarms import ALARM, resource_of, send_message

EXECUTED, FAILED = "prefect.automation.action.executed", "prefect.automation.action.failed"
TEST_SECONDS = 30.0
"""How long to wait for the server's word on a notification; it takes a second or two."""
HOW_TO_NAME = (
    "Save a notification block in the UI under Blocks (Slack, e-mail, Telegram, …), then run reelflow setup --notify "
    "SLUG/NAME --test."
)


def receivers(client: SyncPrefectClient) -> list[Any]:
    """The automations that are turned on and send alarms to a block that exists, ours or a person's own."""
    blocks = {document.id for document in client.read_block_documents(include_secrets=False)}
    return [
        automation
        for automation in client.read_automations()
        if automation.enabled
        and _reacts_to_alarms(automation.trigger)
        and any(getattr(action, "block_document_id", None) in blocks for action in automation.actions)
    ]


def _reacts_to_alarms(trigger: Any) -> bool:
    """Whether a trigger fires for an alarm, also as one of several events: `reelflow.*`, or of a resource any event."""
    if getattr(trigger, "posture", None) != Posture.Reactive:
        return False
    an_alarm = Resource({"prefect.resource.id": resource_of("any")})
    is_expected = not trigger.expect or any(matches(pattern, ALARM) for pattern in trigger.expect)
    return bool(is_expected and trigger.match.matches(an_alarm))


def ring_test(client: SyncPrefectClient) -> str:
    """Send a test alarm; returns what was sent, and what the server says of its notifications.

    Raises:
        InputError: nobody would receive it.
        ReelflowError: a notification failed, or nothing is known of it.
    """
    found = {f"prefect.automation.{automation.id}": automation.name for automation in receivers(client)}
    if not found:
        raise InputError(f"No test alarm was sent: no automation that is turned on receives alarms. {HOW_TO_NAME}")
    began = datetime.now(UTC)
    message = Message(
        "reelflow: test alarm",
        "This is a test: nothing failed. Alarms of reelflow come to this place, one message for each cause.",
    )
    send_message(message, f"test {began.isoformat()}")
    outcomes = _wait_for(client, found, began)
    failed = [f"{found[resource]} ({reason})" for resource, reason in outcomes.items() if reason]
    if failed:
        raise ReelflowError(
            f"The test alarm was sent, but its notification failed: {listed(failed, '; ')}. Check the notification "
            "block in the UI under Blocks; the Prefect server's log has the reason."
        )
    done = listed([name for resource, name in found.items() if resource in outcomes])
    sent = f"Sent the test alarm {message.subject!r}."
    if len(outcomes) == len(found):
        return f"{sent} The automation {done} has notified. Look for it where your notification block sends."
    silent = listed([name for resource, name in found.items() if resource not in outcomes])
    # Prefect tells no failure of a webhook that cannot be reached: it tries again, and then drops the notification.
    raise ReelflowError(
        f"{sent} {f'The automation {done} has notified. ' if done else ''}Nothing is known of the notification of "
        f"{silent} after {TEST_SECONDS:.0f} s: probably the place that its block sends to cannot be reached. Check the "
        f"notification block in the UI under Blocks, the automations at {PREFECT_UI_URL.value() or 'the UI'}"
        "/automations, and the server's log."
    )


def _wait_for(client: SyncPrefectClient, found: dict[str, str], began: datetime) -> dict[str, str]:
    """What the server says of each automation: the reason why its notification failed, or nothing."""
    end, outcomes = time.monotonic() + TEST_SECONDS, dict[str, str]()
    while len(outcomes) < len(found) and time.monotonic() < end:
        time.sleep(0.5)
        wanted = EventFilter(
            event=EventNameFilter(name=[EXECUTED, FAILED]),
            resource=EventResourceFilter(id=list(found)),
            occurred=EventOccurredFilter(since=began),  # and until the time at which this filter is made
        )
        for event in client.read_events(wanted, limit=50).events:
            reason = str(event.payload.get("reason") or "unknown reason") if event.event == FAILED else ""
            outcomes[str(event.resource.id)] = reason
    return outcomes
