"""The types of phones and phone tasks in the ledger, shared by everything above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from reelflow.records.phone_states import Earlier, RequestState, TaskState, is_over
from reelflow.tikmatrix.targets import Platform


@dataclass(frozen=True)
class PhoneActor:
    """Who does it: a phone as whoever is logged in, or an account. `counted` are the accounts it counts for."""

    serial: str
    username: str
    counted: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people."""
        return self.username or self.serial


@dataclass(frozen=True)
class PhoneRequest:
    """What a run asks of phones: everything checked, every name resolved.

    Attributes:
        script: TikMatrix's name of the script.
        job: What one task of it is, for people: "comment".
        platform: TikTok or Instagram.
        actors: Who does it.
        targets: What a target is known by, mapped to how it is sent; empty for a script without targets.
        settings: The script's ``script_config`` but for the targets, without any secret.
        target_field: The name of the targets in ``script_config``; empty for a script without targets.
        only_followed: Skip targets that the account did not follow through reelflow.
        start_at: "HH:MM" by the PC's clock, or empty for at once.
        needs_chatgpt: Whether TikMatrix lets ChatGPT write the comments.
        retries: How often a task that failed for good is repeated by us.
        watch_seconds: How long to wait for the tasks' end.
        dry_run: Whether nothing is sent.
    """

    script: str
    job: str
    platform: Platform
    actors: tuple[PhoneActor, ...]
    targets: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    target_field: str = ""
    only_followed: bool = False
    start_at: str = ""
    needs_chatgpt: bool = False
    retries: int = 0
    watch_seconds: float = 0.0
    dry_run: bool = False

    @property
    def task_count(self) -> int:
        """How many tasks it would be: targets x actors."""
        return len(self.actors) * max(1, len(self.targets))

    @property
    def serials(self) -> set[str]:
        """The phones that it needs."""
        return {actor.serial for actor in self.actors}

    def config(self, targets: list[str]) -> dict[str, Any]:
        """The ``script_config`` for some of the targets."""
        return {**self.settings, **({self.target_field: targets} if self.target_field else {})}


@dataclass(frozen=True)
class PhoneHistory:
    """What the ledger has, by account.

    Attributes:
        today: How many tasks of this script were asked for today.
        done: Targets of this script, ever, and what is known of each.
        followed: Users followed, ever.
        by_this_run: What this very run had asked for before it was interrupted.
    """

    today: Mapping[str, int] = field(default_factory=dict)
    done: Mapping[tuple[str, str], Earlier] = field(default_factory=dict)
    followed: frozenset[tuple[str, str]] = frozenset()
    by_this_run: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class PlanPart:
    """One request to TikMatrix: every actor of it does every target of it."""

    actors: tuple[PhoneActor, ...]
    targets: tuple[tuple[str, str], ...]

    @property
    def task_count(self) -> int:
        """How many tasks it makes."""
        return len(self.actors) * max(1, len(self.targets))


@dataclass(frozen=True)
class PhonePlan:
    """What the owner's limits leave of a request.

    Attributes:
        parts: The requests to TikMatrix that are new.
        left_out: What is skipped, and why; one line for each reason.
        request_ids: All requests of this flow run on record, earlier attempts included; empty in a dry run.
        task_count: How many tasks these make, or in a dry run would make.
        owner: This very attempt: one flow run may be executed by two processes at once.
        quiet_until: When the quiet hours end for which everything is skipped, in Unix seconds; None for none.
    """

    parts: tuple[PlanPart, ...]
    left_out: tuple[str, ...]
    request_ids: tuple[str, ...] = ()
    task_count: int = 0
    owner: str = ""
    quiet_until: float | None = None


@dataclass(frozen=True)
class TaskRequest:
    """One POST ``/task``: made, being made, or to be made.

    Attributes:
        id: Ours.
        host: The TikMatrix PC.
        script: TikMatrix's name of the script.
        config: Its ``script_config`` without any secret.
        serials: Devices; empty for a request by usernames.
        usernames: Accounts; empty for a request by devices.
        targets: As sent; empty for a script without targets.
        start_at: "HH:MM", or empty.
        expected: How many tasks it makes.
        flow_run: Whose it is.
        owner: The attempt that works on it.
        lease_until: Unix seconds until which that attempt counts as alive.
        state: How far it got; see `RequestState`.
        reason: Why, for people.
        left_open: Whether its run has ended and left unfinished tasks to TikMatrix.
        begun_at: When it was sent, in Unix seconds.
        highest_before: The highest id of all tasks in TikMatrix before it was sent.
    """

    id: str
    host: str
    script: str
    config: dict[str, Any]
    serials: tuple[str, ...]
    usernames: tuple[str, ...]
    targets: tuple[str, ...]
    start_at: str
    expected: int
    flow_run: str | None
    owner: str
    lease_until: float
    state: RequestState
    reason: str
    left_open: bool
    begun_at: float | None
    highest_before: int | None

    def lease_is_over(self, now: float, lease_seconds: float) -> bool:
        """Whether nobody is at work on it any more."""
        return is_over(self.lease_until, now, lease_seconds)

    def age(self, now: float) -> float:
        """Seconds since it was sent. A time to come is one from before the clock was set back, so it is as long ago."""
        return 0.0 if self.begun_at is None else abs(now - self.begun_at)


class TaskResult(BaseModel):
    """One phone task as it is on record. Times are by the clock of the TikMatrix PC."""

    model_config = ConfigDict(frozen=True)

    task_id: int
    serial: str = ""
    username: str = ""
    target: str = ""
    state: TaskState = TaskState.PENDING
    remark: str = ""
    retried_by_tikmatrix: int = 0
    retried_by_us: int = 0
    started: str = ""
    ended: str = ""

    @property
    def who(self) -> str:
        """The phone and the account: "R58N01 (ada.daily)"."""
        return f"{self.serial} ({self.username})" if self.serial and self.username else self.serial or self.username


class TaskRecord(NamedTuple):
    """A task on record: the request that created it, the task, and since when it has failed without a change."""

    request_id: str
    task: TaskResult
    failed_at: float | None = None
