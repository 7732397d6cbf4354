"""Match TikMatrix's tasks with our records.

This is the only place where TikMatrix's data is turned into records. It may spell what we sent in its own way: a phone
by its `serial` or its `real_serial`, a username with "@" or in other capitals. Records have the spelling that was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

from reelflow.records.phones import TaskRequest, TaskResult
from reelflow.tikmatrix import TikMatrixClient
from reelflow.tikmatrix.targets import target_of
from reelflow.tikmatrix.wire import PhoneTask


class PhoneNames:
    """Which serials are names of the same phone. TikMatrix is asked once, when two differ for the first time."""

    def __init__(self, client: TikMatrixClient) -> None:
        self._client = client

    @cached_property
    def _phones(self) -> dict[str, frozenset[str]] | None:
        """All names of each phone that is online, by each of them; None where this build does not list phones."""
        devices = self._client.devices()
        return None if devices is None else {name: device.names for device in devices for name in device.names}

    def same(self, serial: str, other: str) -> bool:
        """Whether two serials are certainly one phone's."""
        return serial == other or other in (self._phones or {}).get(serial, ())

    def first_of(self, serials: Iterable[str], task: PhoneTask) -> str | None:
        """The first of `serials` that names the phone of a task."""
        return next((serial for serial in serials if any(self.same(serial, name) for name in task.serials)), None)

    def may_be(self, serial: str, task: PhoneTask) -> bool:
        """Whether a task whose phone was `serial` may be on that phone, though it is not certain."""
        return self._phones is not None and not (serial in self._phones and self.knows(task))

    def knows(self, task: PhoneTask) -> bool:
        """Whether the phone of a task is one that TikMatrix lists."""
        return any(name in (self._phones or {}) for name in task.serials)


def matches_request(request: TaskRequest, task: PhoneTask, names: PhoneNames) -> bool:
    """Whether a request may have created a task. What a task does not say is not held against it."""
    return may_match(request, task) and (
        not request.serials or not task.serials or names.first_of(request.serials, task) is not None
    )


def may_match(request: TaskRequest, task: PhoneTask) -> bool:
    """Whether a task is what a request asks for, on whichever phone it is."""
    if task.script_name != request.script or (task.source and task.source != "api"):
        return False
    username, target = task.username, target_of(task.script_args)
    if request.usernames and username and not any(same_user(username, name) for name in request.usernames):
        return False
    return not target or not request.targets or any(same_target(target, sent) for sent in request.targets)


def is_still_ours(request: TaskRequest, known: TaskResult, seen: PhoneTask, names: PhoneNames) -> bool:
    """Whether the task that now has the id of one of ours is that one: the same script, phone, account and target.

    The id alone proves nothing: TikMatrix may give it a second time. What was first seen under it is on record.
    """
    username, target = seen.username, target_of(seen.script_args)
    return (
        may_match(request, seen)
        and _is_on_its_phone(request, known, seen, names)
        and (not known.username or not username or same_user(known.username, username))
        and (not known.target or not target or same_target(known.target, target))
    )


def _is_on_its_phone(request: TaskRequest, known: TaskResult, seen: PhoneTask, names: PhoneNames) -> bool:
    """A phone that TikMatrix does not list may be any of the request's, until one was seen."""
    wanted = (known.serial,) if known.serial else request.serials
    if not wanted or not seen.serials or names.first_of(wanted, seen) is not None:
        return True
    return names.may_be(known.serial, seen) if known.serial else not names.knows(seen)


def observed(
    seen: PhoneTask,
    *,
    request: TaskRequest | None = None,
    known: TaskResult | None = None,
    names: PhoneNames | None = None,
) -> TaskResult:
    """A task as TikMatrix shows it, in the spelling of its request; its state is left as it was known.

    What it no longer says stays as it was. A task that was started once is one that ran, though it may wait again.
    """
    before = known or TaskResult(task_id=seen.id)
    serial, username, target = seen.serial, seen.username or "", target_of(seen.script_args)
    if request is not None and names is not None:
        serial = names.first_of(request.serials, seen) or serial
        username = _as_sent(username, request.usernames, same_user)
        target = _as_sent(target, request.targets, same_target)
    if known is not None and known.serial and (names is None or names.same(known.serial, serial)):
        serial = known.serial
    return before.model_copy(
        update={
            "serial": serial or before.serial,
            "username": username or before.username,
            "target": target or before.target,
            "remark": seen.remark.strip(),
            "retried_by_tikmatrix": max(seen.retry_count, before.retried_by_tikmatrix),
            "started": seen.start_time or before.started,
            "ended": seen.end_time or "",
        }
    )


def created_by(request: TaskRequest, tasks: Iterable[PhoneTask], names: PhoneNames) -> list[TaskResult]:
    """Those of `tasks` that a request may have created, as records; lowest id first."""
    mine = [observed(task, request=request, names=names) for task in tasks if matches_request(request, task, names)]
    return sorted(mine, key=lambda task: task.task_id)


def one_for_each(tasks: Iterable[TaskResult]) -> list[TaskResult]:
    """The oldest task for each phone, account and target: a request creates no two alike."""
    slots: dict[tuple[str, str, str], TaskResult] = {}
    for task in tasks:
        slots.setdefault((task.serial, task.username, task.target), task)
    return sorted(slots.values(), key=lambda task: task.task_id)


def same_user(one: str, other: str) -> bool:
    """Whether two spellings are one username: with or without "@", in any capitals."""
    return _user(one) == _user(other)


def same_target(one: str, other: str) -> bool:
    """Whether two spellings are one target: a username, or the address of a post, whose capitals matter."""
    if "/" in one or "/" in other:
        return one.strip().rstrip("/") == other.strip().rstrip("/")
    return same_user(one, other)


def _user(name: str) -> str:
    return name.strip().removeprefix("@").casefold()


def _as_sent(value: str, sent: Iterable[str], same: Callable[[str, str], bool]) -> str:
    """`value` in the spelling that was sent."""
    return next((each for each in sent if value and same(each, value)), value)
