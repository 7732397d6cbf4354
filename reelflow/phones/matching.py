"""Match TikMatrix's tasks with our records.

This is the only place where TikMatrix's data is turned into records.
"""

from __future__ import annotations

from collections.abc import Iterable

from reelflow.records.phones import TaskRequest, TaskResult
from reelflow.tikmatrix.scripts import target_of
from reelflow.tikmatrix.wire import PhoneTask


def matches_request(request: TaskRequest, task: PhoneTask) -> bool:
    """Whether a request may have created a task. What a task does not say is not held against it."""
    if task.script_name != request.script or (task.source and task.source != "api"):
        return False
    if request.serials and task.serial not in request.serials:
        return False
    if request.usernames and task.username is not None and task.username not in request.usernames:
        return False
    target = target_of(task.script_args)
    return not target or not request.targets or target in request.targets


def is_still_ours(request: TaskRequest, known: TaskResult, seen: PhoneTask) -> bool:
    """Whether the task that now has the id of one of ours is that one.

    The id alone proves nothing: TikMatrix may give it a second time. What was first seen under it is on record.
    """
    pairs = (
        (known.serial, seen.serial),
        (known.username, seen.username),
        (known.target, target_of(seen.script_args)),
    )
    return matches_request(request, seen) and all(not was or not now or was == now for was, now in pairs)


def observed(seen: PhoneTask, known: TaskResult | None = None) -> TaskResult:
    """A task as TikMatrix shows it; its state is left as it was known. What it no longer says stays as it was."""
    before = known or TaskResult(task_id=seen.id)
    return before.model_copy(
        update={
            "serial": seen.serial or before.serial,
            "username": seen.username or before.username,
            "target": target_of(seen.script_args) or before.target,
            "remark": seen.remark.strip(),
            "retried_by_tikmatrix": max(seen.retry_count, before.retried_by_tikmatrix),
            "started": seen.start_time or "",
            "ended": seen.end_time or "",
        }
    )


def created_by(request: TaskRequest, tasks: Iterable[PhoneTask]) -> list[PhoneTask]:
    """Those of `tasks` that a request may have created; lowest id first."""
    return sorted((task for task in tasks if matches_request(request, task)), key=lambda task: task.id)


def one_for_each(tasks: Iterable[PhoneTask]) -> list[PhoneTask]:
    """The oldest task for each phone, account and target: a request creates no two alike."""
    slots: dict[tuple[str, str | None, str], PhoneTask] = {}
    for task in tasks:
        slots.setdefault((task.serial, task.username, target_of(task.script_args)), task)
    return sorted(slots.values(), key=lambda task: task.id)
