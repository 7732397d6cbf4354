"""TikMatrix's JSON as pydantic models, lenient where its pages leave a field open."""

from __future__ import annotations

import logging
from enum import IntEnum
from typing import Annotated, Any

from pydantic import AliasChoices, FailFast, Field, field_validator

from reelflow.answers import read_json
from reelflow.wire_types import Shown, Wire
from reelflow.wording import one_line

log = logging.getLogger(__name__)

TaskId = Annotated[int, Field(ge=0, lt=2**63)]
"""TikMatrix's number of a task; databases have room for no higher one."""
LONGEST_TARGET = 2000
"""Characters of an account or the address of a post."""
MOST_RETRIES = 1000
"""More retries than this are a mistake: the setting ends at 10."""
_IDENTIFYING = ("username", "target_user", "target_post_url", "target_users", "target_post_urls")
"""The arguments of a script that say whose and what it is; shown in reports."""


class TaskStatus(IntEnum):
    """Status of a phone task. FAILED is final only once the auto-retry time (5-60 s) has passed without change."""

    PENDING = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3


class License(Wire):
    """GET ``/license/check``: what the licence permits."""

    plan_name: Shown = ""
    api_enabled: bool = False
    device_limit: int | None = None


class CreatedTasks(Wire):
    """The answer to POST ``/task``."""

    task_ids: Annotated[list[TaskId], FailFast()]


class PhoneTask(Wire):
    """One script on one device, as the desktop's task table has it.

    Times are text in the PC's own clock without a zone ("2024-12-16 15:30:00"). `status` is None for a value
    that is not documented; treat it as not finished. `serial` may be the phone's `serial` or its `real_serial`.
    """

    id: TaskId
    script_name: Shown = ""
    serial: Shown = Field("", validation_alias=AliasChoices("serial", "real_serial"))
    real_serial: Shown = ""
    status: TaskStatus | None = None
    remark: Shown = ""
    source: Shown = ""
    retry_count: int = 0
    start_time: Shown | None = None
    end_time: Shown | None = None
    script_args: dict[str, Any] = Field(default_factory=dict)

    @field_validator("status", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        try:
            word = str(value).strip().upper()
            return TaskStatus[word] if word in TaskStatus.__members__ else TaskStatus(int(value))
        except (TypeError, ValueError, OverflowError):
            odd = one_line(str(value))
            log.warning("TikMatrix reports a task status that is not documented: %r; taken as not finished", odd)
            return None

    @field_validator("script_args", mode="before")
    @classmethod
    def _object(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = read_json(value.encode("utf-8", "replace"))
            except ValueError:
                return {}
        if not isinstance(value, dict):
            return {}
        return value | {name: _lines(value[name]) for name in _IDENTIFYING if name in value}

    @field_validator("remark", "source", "script_name", "serial", "real_serial", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return "" if value is None else value

    @field_validator("retry_count", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return min(value, MOST_RETRIES) if isinstance(value, int) else 0 if value is None else value

    @property
    def username(self) -> str | None:
        """The account that the script ran as, where the task says so."""
        name = one_line(str(self.script_args.get("username") or "")).removeprefix("@")
        return name or None

    @property
    def serials(self) -> tuple[str, ...]:
        """The names that the task gives its phone."""
        return tuple(name for name in (self.serial, self.real_serial) if name)


def _lines(value: Any) -> Any:
    """Texts as lines that can be shown, long enough for an address."""
    if isinstance(value, list):
        return [_lines(each) for each in value]
    return one_line(value, LONGEST_TARGET) if isinstance(value, str) else value


class TaskPage(Wire):
    """One page of GET ``/task``."""

    tasks: Annotated[list[PhoneTask], FailFast()]
    total: int | None = None


class TaskStats(Wire):
    """GET ``/task/stats``: counts of **all** tasks on the PC, other people's too."""

    total: int = 0
    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0


class Device(Wire):
    """One online device of GET ``/rpc/devices``. A task may name it by either serial."""

    serial: Shown = Field(validation_alias=AliasChoices("serial", "real_serial"))
    real_serial: Shown | None = None
    busy: bool | None = None

    @field_validator("busy", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        return value if isinstance(value, bool) else None

    @property
    def names(self) -> frozenset[str]:
        """All its serials."""
        return frozenset({self.serial, self.real_serial or self.serial})


LIST_KEYS = ("list", "tasks", "items", "records", "data")
"""Where the array of a listing may stand: its key is not documented."""


def first_list(data: Any) -> list[Any] | None:
    """The array in a listing: the value itself, or the first list under `LIST_KEYS`."""
    if isinstance(data, list):
        return data
    if isinstance(data, dict):
        return next((data[k] for k in LIST_KEYS if isinstance(data.get(k), list)), None)
    return None
