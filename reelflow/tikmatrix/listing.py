"""Read TikMatrix's task list, whichever way it is sorted (which is not documented).

Every function raises the errors of the client: ServiceError, if TikMatrix cannot be asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from reelflow.errors import NotFound
from reelflow.tikmatrix.client import MAX_PAGE_SIZE, TikMatrixClient
from reelflow.tikmatrix.wire import PhoneTask, TaskPage

MOST_PAGES = 50
"""Pages read of one listing: 5,000 tasks, so that a listing that never ends cannot hold up a run."""
PROOFS = 3
"""How many of the tasks that are missing from a complete listing are asked for singly before all count as gone."""


def newest_first(
    client: TikMatrixClient, script: str | None = None, *, source: Literal["ui", "api"] | None = "api"
) -> Iterator[list[PhoneTask]]:
    """Pages of tasks, the newest first; by default only tasks that were created through the API."""

    def page(number: int) -> TaskPage:
        return client.tasks(source=source, script_name=script, page=number)

    first = page(1)
    ascending = len(first.tasks) > 1 and first.tasks[0].id < first.tasks[-1].id
    last = min(MOST_PAGES, -(-(first.total or 0) // MAX_PAGE_SIZE))
    if ascending and last > 1:
        for number in range(last, 1, -1):
            yield page(number).tasks
        yield first.tasks
        return
    yield first.tasks
    number, tasks = 1, first.tasks
    while len(tasks) == MAX_PAGE_SIZE and number < MOST_PAGES and number != last:
        number += 1
        tasks = page(number).tasks
        if tasks:
            yield tasks


def highest_id(client: TikMatrixClient) -> int:
    """The highest id of a task that was created through the API; 0 if there is none. At most two requests."""
    pages = newest_first(client)
    return max((task.id for task in next(pages, [])), default=0)


def newer_than(client: TikMatrixClient, task_id: int, script: str) -> tuple[int, list[PhoneTask]]:
    """The `highest_id`, and the tasks of a script above `task_id`; all of them if ids started again from 1 since."""
    found: dict[int, PhoneTask] = {}
    highest = highest_id(client)
    floor = task_id if highest >= task_id else 0
    for page in newest_first(client, script):
        found |= {task.id: task for task in page if task.id > floor}
        if min((task.id for task in page), default=0) <= floor:
            break
    return highest, list(found.values())


def find_tasks(client: TikMatrixClient, script: str, wanted: set[int]) -> dict[int, PhoneTask | None]:
    """These tasks by id, from as few pages as have them; None for one that is no longer there."""
    seen: dict[int, PhoneTask | None] = {}
    for page in newest_first(client, script):
        seen |= {task.id: task for task in page if task.id in wanted}
        if len(seen) == len(wanted) or min((task.id for task in page), default=0) < min(wanted):
            break
    missing = sorted(wanted - set(seen))
    for number, task_id in enumerate(missing):
        if number >= PROOFS and all(seen[earlier] is None for earlier in missing[:PROOFS]):
            seen[task_id] = None
            continue
        seen[task_id] = find_task(client, task_id)
    return seen


def find_task(client: TikMatrixClient, task_id: int) -> PhoneTask | None:
    """One task by its id; None if it is not there."""
    try:
        return client.task(task_id)
    except NotFound:
        return None
