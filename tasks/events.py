"""Events for automations, dashboards and other programs. docs/operations.md lists them.

Payloads contain no secrets and no service addresses. If an event cannot be sent, the run continues.
"""

from typing import Any

from prefect import get_run_logger
from prefect.events import emit_event
from prefect.runtime import flow_run

from reelflow.records.phones import TaskResult
from reelflow.records.post_states import PostState
from reelflow.records.posts import Outcome, Send

PUBLISHED, FAILED, UNCONFIRMED = "reelflow.post.published", "reelflow.post.failed", "reelflow.post.unconfirmed"
PHONE_TASK_FAILED = "reelflow.phone-task.failed"
RUN_STUCK = "reelflow.run.stuck"
POST_EVENTS = {
    PostState.SUCCESS: PUBLISHED,
    PostState.FAILED: FAILED,
    PostState.REFUSED: FAILED,
    PostState.UNCONFIRMED: UNCONFIRMED,
}


def emit_outcome(send: Send, outcome: Outcome, detail: str) -> None:
    """Emit the outcome of a post at one account, if it has one, with the reason as people read it."""
    event = POST_EVENTS.get(outcome.state)
    if event is None:
        return
    _emit(
        event,
        f"reelflow.post.{send.id}.{outcome.account.id}",
        f"{send.file_name} at {outcome.account.label}",
        {
            "send_id": send.id,
            "client": send.client,
            "history_id": send.history_id,
            "file": send.file,
            "sha256": send.sha256,
            "caption": send.caption,
            "platform": outcome.account.platform,
            "account": outcome.account.name,
            "account_id": outcome.account.id,
            "state": outcome.state.value,
            "detail": detail,
            "link": outcome.link,
            "flow_run_id": send.flow_run,
        },
    )


def emit_task_failed(host: str, job: str, task: TaskResult) -> None:
    """Emit that a phone task failed or is gone."""
    _emit(
        PHONE_TASK_FAILED,
        f"reelflow.phone-task.{host}.{task.task_id}",
        f"{job} on {task.who}",
        {"host": host, "job": job, "flow_run_id": flow_run.id, **task.model_dump(mode="json")},
    )


def emit_stuck(run_id: str, name: str, reason: str) -> None:
    """Emit that a run is late or stuck."""
    _emit(RUN_STUCK, f"prefect.flow-run.{run_id}", name, {"flow_run_id": run_id, "name": name, "reason": reason})


def _emit(event: str, resource: str, name: str, payload: dict[str, Any]) -> None:
    try:
        emit_event(event, {"prefect.resource.id": resource, "prefect.resource.name": name}, payload=payload)
    except Exception as error:  # noqa: BLE001 - news about the work, not the work
        get_run_logger().warning("The event %s could not be sent: %s", event, error)
