"""Events that others can build on: automations, dashboards, other programs. docs/events.md lists them.

No secret and no address of a service is in a payload. An event that cannot be sent disturbs nothing.
"""

from typing import Any

from prefect import get_run_logger
from prefect.events import emit_event
from prefect.runtime import flow_run

from reelflow.models import Outcome, Send, State
from reelflow.phones.forms import TaskResult

PUBLISHED, FAILED, UNCONFIRMED = "reelflow.post.published", "reelflow.post.failed", "reelflow.post.unconfirmed"
PHONE_TASK_FAILED = "reelflow.phone-task.failed"
RUN_STUCK = "reelflow.run.stuck"
POST_EVENTS = {
    State.SUCCESS: PUBLISHED,
    State.FAILED: FAILED,
    State.REFUSED: FAILED,
    State.UNCONFIRMED: UNCONFIRMED,
}


def announce_outcome(send: Send, outcome: Outcome) -> None:
    """Say what became of a post at one account, if it has an outcome."""
    event = POST_EVENTS.get(outcome.state)
    if event is None:
        return
    _emit(
        event,
        f"reelflow.post.{send.id}.{outcome.account.id}",
        f"{send.file.replace(chr(92), '/').rpartition('/')[2]} at {outcome.account.label}",
        {
            "send_id": send.id,
            "history_id": send.history_id,
            "file": send.file,
            "sha256": send.sha256,
            "caption": send.caption,
            "platform": outcome.account.platform,
            "account": outcome.account.name,
            "account_id": outcome.account.id,
            "state": outcome.state.value,
            "detail": outcome.detail,
            "link": outcome.link,
            "flow_run_id": send.flow_run,
        },
    )


def announce_task(host: str, job: str, task: TaskResult) -> None:
    """Say that a phone task failed or is gone."""
    _emit(
        PHONE_TASK_FAILED,
        f"reelflow.phone-task.{host}.{task.task_id}",
        f"{job} on {task.who}",
        {"host": host, "job": job, "flow_run_id": flow_run.id, **task.model_dump(mode="json")},
    )


def announce_stuck(run_id: str, name: str, words: str) -> None:
    """Say that a run is late or stuck."""
    _emit(RUN_STUCK, f"prefect.flow-run.{run_id}", name, {"flow_run_id": run_id, "name": name, "words": words})


def _emit(event: str, resource: str, name: str, payload: dict[str, Any]) -> None:
    try:
        emit_event(event, {"prefect.resource.id": resource, "prefect.resource.name": name}, payload=payload)
    except Exception as error:  # noqa: BLE001 - news about the work, not the work
        get_run_logger().warning("The event %s could not be sent: %s", event, error)
