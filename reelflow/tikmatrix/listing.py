"""Read TikMatrix's task list, whichever way it is sorted (which is not documented).

Every function raises the errors of the client: ServiceError, if TikMatrix cannot be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from reelflow.errors import NotFound
from reelflow.tikmatrix.client import MAX_PAGE_SIZE, TikMatrixClient
from reelflow.tikmatrix.wire import PhoneTask, TaskPage

PROOFS = 3
"""How many of the tasks that are missing from a complete listing are asked for singly before all count as gone."""


def newest_first(
    client: TikMatrixClient, script: str | None = None, *, source: Literal["ui", "api"] | None = "api"
) -> Iterator[list[PhoneTask]]:
    """Pages of tasks, the newest first; by default only tasks that were created through the API.

    As many as the caller takes. A listing ends with a page that is not full, or has nothing new on it.
    """

    def page(number: int) -> TaskPage:
        return client.tasks(source=source, script_name=script, page=number)

    first = page(1)
    ascending = len(first.tasks) > 1 and first.tasks[0].id < first.tasks[-1].id
    last = -(-(first.total or 0) // MAX_PAGE_SIZE)
    if not ascending:
        yield from _to_the_end(first, page)
    elif last > 1:
        for number in range(last, 1, -1):
            yield page(number).tasks
        yield first.tasks
    else:  # oldest first, and it does not say how many there are
        yield from reversed(list(_to_the_end(first, page)))


def _to_the_end(first: TaskPage, page: Callable[[int], TaskPage]) -> Iterator[list[PhoneTask]]:
    """The pages in the order in which TikMatrix numbers them."""
    yield first.tasks
    number, tasks, seen = 1, first.tasks, {task.id for task in first.tasks}
    last = -(-(first.total or 0) // MAX_PAGE_SIZE)
    while len(tasks) == MAX_PAGE_SIZE and number != last:
        number += 1
        tasks = page(number).tasks
        if seen.issuperset(task.id for task in tasks):
            return
        seen.update(task.id for task in tasks)
        yield tasks


def highest_id(client: TikMatrixClient) -> int:
    """The highest id of all tasks, whoever created them; 0 if there is none. Usually one request or two."""
    pages = newest_first(client, source=None)
    return max((task.id for task in next(pages, [])), default=0)


def newer_than(client: TikMatrixClient, task_id: int) -> tuple[int, list[PhoneTask]]:
    """The `highest_id`, and all tasks above `task_id`, or all that there are if ids started again from 1 since."""
    found: dict[int, PhoneTask] = {}
    highest, floor = 0, task_id
    for number, page in enumerate(newest_first(client, source=None)):
        if number == 0:
            highest = max((task.id for task in page), default=0)
            floor = task_id if highest >= task_id else 0
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
