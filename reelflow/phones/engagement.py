"""Pure decisions about phones: whose they are, what the owner's limits leave of a wish, and how to ask for it.

Nothing here reads a clock, a database or the network. An *account* is counted by its platform and name. A phone that
is used as whichever account is logged in is counted for each account that the owner lists for it, since it may be any
of them; for a phone without listed accounts, its serial stands for the account.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reelflow.errors import InputError
from reelflow.phones.forms import PhoneForm, PhoneReport, TaskResult, TaskState
from reelflow.tikmatrix.scripts import Platform, Unfollow, post_key

ALL = "all"
_ACCOUNT = re.compile(r"@?([\w.]+)(?:\s*\(\s*(tiktok|instagram)\s*\))?", re.IGNORECASE)
_PLATFORMS: dict[str, Platform] = {"tiktok": "TikTok", "instagram": "Instagram"}
_LIMITED = {
    "account_warmup": "warm-ups",
    "comment": "comments",
    "follow": "follows",
    "unfollow": "unfollows",
    "post": "posts",
}


@dataclass(frozen=True)
class PhoneAccount:
    """An account on a phone."""

    username: str
    platform: Platform

    @property
    def key(self) -> str:
        """Under which it is counted."""
        return f"{self.platform} {self.username.lower()}"


@dataclass(frozen=True)
class Phone:
    """A phone of the owner's, with the accounts on it."""

    serial: str
    accounts: tuple[PhoneAccount, ...] = ()


@dataclass(frozen=True)
class Guardrails:
    """What the owner of a host permits.

    Attributes:
        phones: The owner's own; nothing else is touched.
        limits: Tasks a day for one account, by script.
        zone: In which days and quiet hours are counted.
        quiet: From and until; None for no quiet hours.
    """

    phones: tuple[Phone, ...]
    limits: Mapping[str, int]
    zone: ZoneInfo
    quiet: tuple[time, time] | None = None

    def day_start(self, now: datetime) -> datetime:
        """When the owner's day of `now` began."""
        return now.astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0)

    def is_quiet(self, at: time) -> bool:
        """Whether `at`, by the owner's clock, lies in the quiet hours, which may go over midnight."""
        if self.quiet is None:
            return False
        start, end = self.quiet
        return start <= at < end if start < end else at >= start or at < end


@dataclass(frozen=True)
class Worker:
    """Who does it: a phone as whoever is logged in, or an account. `counted` are the accounts it counts for."""

    serial: str
    username: str
    counted: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people."""
        return self.username or self.serial


@dataclass(frozen=True)
class Wish:
    """What a form asks for. `targets` maps what a target is known by to how it is sent."""

    script: str
    job: str
    platform: Platform
    workers: tuple[Worker, ...]
    targets: Mapping[str, str]
    only_followed: bool = False
    start_at: str = ""

    @property
    def fan_out(self) -> int:
        """How many tasks it would be: targets x workers."""
        return len(self.workers) * max(1, len(self.targets))


@dataclass(frozen=True)
class History:
    """What the ledger has, by account.

    Attributes:
        today: How many tasks of this script were asked for today.
        done: Targets of this script, ever.
        followed: Users followed, ever.
        mine: What this very run has asked for before it was interrupted.
    """

    today: Mapping[str, int] = field(default_factory=dict)
    done: frozenset[tuple[str, str]] = frozenset()
    followed: frozenset[tuple[str, str]] = frozenset()
    mine: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Part:
    """One request: every worker of it does every target of it."""

    workers: tuple[Worker, ...]
    targets: tuple[tuple[str, str], ...]

    @property
    def tasks(self) -> int:
        """How many tasks it makes."""
        return len(self.workers) * max(1, len(self.targets))


@dataclass(frozen=True)
class Plan:
    """What is sent, and what is left out: one line for each reason."""

    parts: tuple[Part, ...]
    left_out: tuple[str, ...]

    @property
    def tasks(self) -> int:
        """How many tasks it makes."""
        return sum(part.tasks for part in self.parts)


def read_phones(lines: Sequence[str]) -> tuple[Phone, ...]:
    """The owner's list: "SERIAL", or "SERIAL: name, other.name (Instagram)"; TikTok where nothing is said.

    Raises:
        InputError: a line cannot be read, or a serial is listed twice.
    """
    phones: dict[str, Phone] = {}
    for line in filter(None, map(str.strip, lines)):
        serial, _, names = line.partition(": ") if ": " in line else (line.rstrip(":"), "", "")
        serial = serial.strip()
        if not serial or re.search(r"\s", serial):
            raise InputError(f"The phone {line!r} cannot be read. Write it as SERIAL: username, username (Instagram).")
        accounts = []
        for name in filter(None, map(str.strip, names.split(","))):
            match = _ACCOUNT.fullmatch(name)
            if match is None:
                raise InputError(
                    f"The account {name!r} of the phone {serial} cannot be read. "
                    "Write its username, and (Instagram) behind it if it is not TikTok's."
                )
            accounts.append(PhoneAccount(match[1], _PLATFORMS[(match[2] or "tiktok").lower()]))
        if serial in phones:
            raise InputError(f"The phone {serial} is listed twice. List it once, with all its accounts.")
        phones[serial] = Phone(serial, tuple(accounts))
    return tuple(phones.values())


def read_zone(name: str) -> ZoneInfo:
    """The time zone `name`, or InputError."""
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"There is no time zone {name!r}. Use a name such as Europe/Berlin.") from None


def choose_workers(form: PhoneForm, guardrails: Guardrails) -> tuple[Worker, ...]:
    """Who does it, each of them listed by the owner.

    Raises:
        InputError: nobody, both phones and usernames, one that is not listed, or of the wrong platform.
    """
    devices, usernames = _named(form.devices), [name.removeprefix("@") for name in _named(form.usernames)]
    if bool(devices) == bool(usernames):
        raise InputError("Name either phones or usernames, one of the two ('all' for all that the host block lists).")
    if not guardrails.phones:
        raise InputError("The host block lists no phones. List those that are your own; nothing else is touched.")
    if devices:
        return _by_device(devices, form, guardrails)
    return _by_username(usernames, form.platform, guardrails)


def _named(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def _by_device(serials: list[str], form: PhoneForm, guardrails: Guardrails) -> tuple[Worker, ...]:
    listed = {phone.serial: phone for phone in guardrails.phones}
    chosen = list(listed) if [s.lower() for s in serials] == [ALL] else serials
    if unknown := [s for s in chosen if s not in listed]:
        raise InputError(
            f"{', '.join(unknown)} is not among the phones of the host block ({', '.join(listed)}). "
            "Only listed phones are touched."
        )
    workers = []
    for serial in chosen:
        phone = listed[serial]
        accounts = [a for a in phone.accounts if a.platform == form.platform]
        if phone.accounts and not accounts:
            raise InputError(f"The phone {serial} has no {form.platform} account in the host block.")
        if form.every_account:
            if not accounts:
                raise InputError(
                    f"The host block lists no usernames for the phone {serial}, so 'Every account' cannot be done: "
                    "only listed accounts are touched."
                )
            # As usernames: asking for "all accounts of the device" would include those that are not listed.
            workers += [Worker(serial, a.username, (a.key,)) for a in accounts]
        else:
            counted = tuple(a.key for a in accounts) or (f"{form.platform} {serial}",)
            workers.append(Worker(serial, "", counted))
    return tuple(workers)


def _by_username(names: list[str], platform: Platform, guardrails: Guardrails) -> tuple[Worker, ...]:
    found = {a.username.lower(): (phone, a) for phone in guardrails.phones for a in phone.accounts
             if a.platform == platform}  # fmt: skip
    others = {a.username.lower(): a for phone in guardrails.phones for a in phone.accounts}
    chosen = list(found) if [n.lower() for n in names] == [ALL] else [n.lower() for n in names]
    for name in chosen:
        if name in found:
            continue
        if name in others:
            raise InputError(f"{name} is an account on {others[name].platform}, and this run is for {platform}.")
        raise InputError(
            f"{name} is not among the usernames of the host block "
            f"({', '.join(a.username for _, a in found.values()) or 'none'}). Only listed accounts are touched."
        )
    if not chosen:
        raise InputError(f"The host block lists no {platform} accounts.")
    return tuple(Worker(phone.serial, a.username, (a.key,)) for phone, a in (found[n] for n in chosen))


def make_wish(form: PhoneForm, guardrails: Guardrails) -> Wish:
    """What `form` asks for, with everything checked that can be checked without asking anybody.

    Raises:
        InputError: something about it is wrong.
    """
    form.check()
    workers = choose_workers(form, guardrails)
    targets = form.targets()
    keyed = {post_key(t, form.platform): t for t in targets} if form.script_name == "comment" else {
        t.lower(): t for t in targets
    }  # fmt: skip
    only_followed = isinstance(form, Unfollow) and form.only_followed_here
    wish = Wish(form.script_name, form.job, form.platform, workers, keyed, only_followed, form.start_at)
    if wish.fan_out > form.most_tasks:
        times = f"{len(keyed)} targets x " if keyed else ""
        raise InputError(
            f"{times}{len(workers)} phones or accounts make {wish.fan_out} tasks, more than the {form.most_tasks} of "
            "'At most (tasks)'. Nothing was sent."
        )
    return wish


def make_plan(wish: Wish, guardrails: Guardrails, history: History, now: datetime) -> Plan:
    """What the owner's limits leave of a wish, as requests of workers x targets."""
    local = now.astimezone(guardrails.zone).time()
    start = time.fromisoformat(wish.start_at) if wish.start_at else local
    if guardrails.is_quiet(local) or guardrails.is_quiet(start):
        return Plan((), (_quiet_words(wish, guardrails),))
    budget = {key: guardrails.limits.get(wish.script, 0) - history.today.get(key, 0)
              for worker in wish.workers for key in worker.counted}  # fmt: skip
    taken: dict[Worker, list[tuple[str, str]]] = {}
    left: dict[str, list[tuple[str, str]]] = {}
    for key, text in wish.targets.items() or [("", "")]:
        for worker in wish.workers:
            if any((account, key) in history.mine for account in worker.counted):
                continue
            reason = _refusal(wish, worker, key, history, budget, guardrails)
            if reason:
                left.setdefault(reason, []).append((worker.name, text))
                continue
            for account in worker.counted:
                budget[account] -= 1
            taken.setdefault(worker, []).append((key, text))
    return Plan(_parts(taken), tuple(_left_words(wish, reason, what) for reason, what in left.items()))


def _refusal(
    wish: Wish, worker: Worker, key: str, history: History, budget: Mapping[str, int], guardrails: Guardrails
) -> str:
    """Why one task is left out; empty if it is not."""
    if wish.script == "comment" and any((account, key) in history.done for account in worker.counted):
        return "has commented on this post before"
    if wish.only_followed and not any((account, key) in history.followed for account in worker.counted):
        return "did not follow this user through reelflow"
    if any(budget[account] <= 0 for account in worker.counted):
        return f"daily limit of {guardrails.limits.get(wish.script, 0)} {_LIMITED[wish.script]} for each account"
    return ""


def _parts(taken: Mapping[Worker, list[tuple[str, str]]]) -> tuple[Part, ...]:
    """Workers with the same targets go into one request."""
    grouped: dict[tuple[bool, tuple[tuple[str, str], ...]], list[Worker]] = {}
    for worker, targets in taken.items():
        real = tuple(t for t in targets if t[0])
        grouped.setdefault((bool(worker.username), real), []).append(worker)
    return tuple(Part(tuple(workers), targets) for (_, targets), workers in grouped.items())


NAMED = 5
"""How many of those that were left out for one reason are named."""


def _left_words(wish: Wish, reason: str, what: list[tuple[str, str]]) -> str:
    """One line: who, with what it is where that is one, and with how many where they are more."""
    by_worker: dict[str, list[str]] = {}
    for name, text in what:
        by_worker.setdefault(name, []).append(text)
    said = [f"{name} ({len(texts)})" if len(texts) > 1 else f"{name}: {texts[0]}" if texts[0] else name
            for name, texts in by_worker.items()]  # fmt: skip
    names = ", ".join(said[:NAMED]) + (f" and {len(said) - NAMED} more" if len(said) > NAMED else "")
    return f"{count(len(what), wish.job)} left out ({reason}): {names}"


def _quiet_words(wish: Wish, guardrails: Guardrails) -> str:
    assert guardrails.quiet is not None  # noqa: S101 - only called in quiet hours
    start, end = guardrails.quiet
    return (
        f"{count(wish.fan_out, wish.job)} left out (quiet hours from {start:%H:%M} to {end:%H:%M}, "
        f"{guardrails.zone.key})"
    )


def count(number: int, what: str) -> str:
    """A number with its word: "1 comment", "2 comments"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def sentence(report: PhoneReport) -> str:
    """What came of a run, in one line."""
    words = []
    done, tasks = len(report.having(TaskState.COMPLETED)), report.tasks
    if report.dry_run:
        words.append(f"Dry run, nothing was sent. This would be: {count(report.planned, report.job)}.")
    elif tasks:
        words.append(f"{done} of {count(len(tasks), report.job)} completed.")
    elif not report.troubles:
        words.append("Nothing was sent.")
    for state, said in (
        (TaskState.FAILED, "failed"),
        (TaskState.GONE, "gone"),
        (TaskState.CANCELLED, "taken back"),
    ):
        if found := report.having(state):
            words.append(f"{len(found)} {said}: {_named_tasks(found)}.")
    if still := report.having(TaskState.PENDING, TaskState.RUNNING, TaskState.RETRYING):
        words.append(f"{len(still)} not ended yet, left to TikMatrix: {_named_tasks(still)}.")
    words += report.troubles
    words += [f"{line}." for line in report.left_out]
    return " ".join(words)


def _named_tasks(tasks: Sequence[TaskResult]) -> str:
    said = [f"{t.who or f'task {t.task_id}'}" + (f", {t.remark}" if t.remark else "") for t in tasks[:NAMED]]
    return "; ".join(said) + (f"; and {len(tasks) - NAMED} more" if len(tasks) > NAMED else "")
