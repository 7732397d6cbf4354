"""The owner's phones and limits, and which tasks of a request they allow: pure decisions.

Nothing here reads a clock, a database or the network. An *account* is counted by its platform and name. If a phone uses
whichever account is logged in, its task counts for each account that the owner lists for it, since it may be any of
them. For a phone without listed accounts, its serial stands for the account.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from reelflow.errors import InputError
from reelflow.records.phone_states import Earlier
from reelflow.records.phones import PhoneActor, PhoneHistory, PhonePlan, PhoneRequest, PlanPart
from reelflow.tikmatrix.targets import Platform
from reelflow.wording import count, listed

_PLATFORMS: dict[str, Platform] = {"tiktok": "TikTok", "instagram": "Instagram"}
_COMMENTED = {
    Earlier.DONE: "commented on this post before",
    Earlier.UNKNOWN: "may have commented on this post before",
    Earlier.REQUESTED: "already requested a comment on this post",
}
"""Why an account does not comment on a post; the first that is true of one of the accounts that it may be."""
_ACCOUNT = re.compile(rf"@?([\w.]+)(?:\s*\(\s*({'|'.join(_PLATFORMS)})\s*\))?", re.IGNORECASE)
_SERIAL = re.compile(r"[^\s:]+|\S+:[0-9]+")
"""A serial has a colon only before a port: that of a phone over the network, 192.168.0.7:5555."""
PHONE_ROW = r"^\s*$|^\s*([^\s:]+|\S+:[0-9]+)\s*(:|:\s.*)?$"
"""What a row of the list looks like, for the JSON schema of the block; `read_phones` says what is wrong with it."""
_UNDIVIDED = re.compile(r"([^\s:]+(?::[0-9]+)?)(?::|\s+)\s*(\S.*)")
"""A serial and names without the colon and the space between them."""


@dataclass(frozen=True)
class PhoneAccount:
    """An account on a phone."""

    username: str
    platform: Platform

    @property
    def key(self) -> str:
        """Under which it is counted."""
        return f"{self.platform} {self.username.lower()}"

    @property
    def name(self) -> str:
        """As people read it; most accounts are on TikTok: "ada.daily", "ada.studio on Instagram"."""
        return self.username if self.platform == "TikTok" else f"{self.username} on {self.platform}"


@dataclass(frozen=True)
class Phone:
    """A phone of the owner's, with the accounts on it."""

    serial: str
    accounts: tuple[PhoneAccount, ...] = ()

    @property
    def account_names(self) -> str:
        """Its accounts; empty if none is listed."""
        return ", ".join(account.name for account in self.accounts)

    @property
    def name(self) -> str:
        """As people choose it, and are told of it: "R58N01 (ada.daily, ada.studio on Instagram)"."""
        return f"{self.serial} ({self.account_names})" if self.accounts else self.serial


@dataclass(frozen=True)
class Guardrails:
    """The phones and limits that the owner of a host has set.

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
        """Whether `at`, by the owner's clock, lies in the quiet hours, which may span midnight."""
        if self.quiet is None:
            return False
        start, end = self.quiet
        return start <= at < end if start < end else at >= start or at < end

    @property
    def quiet_hours(self) -> str:
        """The quiet hours as people read them: "from 22:00 to 07:00, Europe/Berlin"; empty for none."""
        return "" if self.quiet is None else f"from {self.quiet[0]:%H:%M} to {self.quiet[1]:%H:%M}, {self.zone.key}"

    def quiet_end(self, now: datetime) -> datetime | None:
        """When the quiet hours end in which `now` lies; None if it lies in none."""
        local = now.astimezone(self.zone)
        if self.quiet is None or not self.is_quiet(local.time()):
            return None
        end = local.replace(hour=self.quiet[1].hour, minute=self.quiet[1].minute, second=0, microsecond=0)
        return end if end > local else end + timedelta(days=1)


def read_phones(lines: Sequence[str]) -> tuple[Phone, ...]:
    """The owner's list: "SERIAL", or "SERIAL: name, other.name (Instagram)"; TikTok where nothing is said.

    Raises:
        InputError: a row cannot be read, or a serial is listed twice; it names the row.
    """
    phones: dict[str, Phone] = {}
    rows: dict[str, int] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line:
            continue
        phone = _read_phone(line, f"Row {number}, {line!r}")
        if phone.serial in phones:
            raise InputError(
                f"Row {number}, {line!r}: the phone {phone.serial} is listed twice, first in row {rows[phone.serial]}. "
                "List it once, with all its accounts."
            )
        phones[phone.serial], rows[phone.serial] = phone, number
    return tuple(phones.values())


def _read_phone(line: str, row: str) -> Phone:
    serial, _, names = line.partition(": ") if ": " in line else (line.rstrip(":"), "", "")
    serial = serial.strip()
    if re.search(r"\s", serial) or not _SERIAL.fullmatch(serial):
        raise InputError(f"{row}, cannot be read. {_how_to_write(line)}")
    accounts = []
    for name in filter(None, map(str.strip, names.split(","))):
        match = _ACCOUNT.fullmatch(name)
        if match is None:
            raise InputError(
                f"{row}: the account {name!r} cannot be read. "
                "Write its username, followed by (Instagram) if it is not on TikTok."
            )
        accounts.append(PhoneAccount(match[1], _PLATFORMS[(match[2] or "tiktok").lower()]))
    return Phone(serial, tuple(accounts))


def _how_to_write(line: str) -> str:
    """What to change in a row: most often the colon or the space after the serial is missing."""
    if guess := _UNDIVIDED.fullmatch(line):
        serial, names = guess.groups()
        if all(_ACCOUNT.fullmatch(name.strip()) for name in names.split(",")):
            return f"Write a colon and a space after the serial: {serial}: {names}."
    return "Write it like this: SERIAL: username, username (Instagram). A serial has no spaces."


def make_plan(request: PhoneRequest, guardrails: Guardrails, history: PhoneHistory, now: datetime) -> PhonePlan:
    """Plan the tasks of a request that the owner's limits allow, as actors x targets.

    Args:
        request: What is asked for.
        guardrails: The owner's limits.
        history: What was done since `Guardrails.day_start`, and ever.
        now: With a time zone.
    """
    if (until := guardrails.quiet_end(now)) is not None:
        skipped = _left_out_by_quiet_hours(request, guardrails)
        return PhonePlan((), (skipped,), quiet_until=until.timestamp())
    budget = {key: guardrails.limits.get(request.script, 0) - history.today.get(key, 0)
              for actor in request.actors for key in actor.counted}  # fmt: skip
    taken: dict[PhoneActor, list[tuple[str, str]]] = {}
    left_out: dict[str, list[tuple[str, str]]] = {}
    for key, text in request.targets.items() or [("", "")]:
        for actor in request.actors:
            if any((account, key) in history.by_this_run for account in actor.counted):
                continue
            if reason := _why_left_out(request, actor, key, history, budget, guardrails):
                left_out.setdefault(reason, []).append((actor.name, text))
                continue
            for account in actor.counted:
                budget[account] -= 1
            taken.setdefault(actor, []).append((key, text))
    parts = _parts(taken)
    return PhonePlan(
        parts,
        tuple(_left_out_line(request, reason, what) for reason, what in left_out.items()),
        task_count=sum(part.task_count for part in parts),
    )


def _why_left_out(
    request: PhoneRequest,
    actor: PhoneActor,
    key: str,
    history: PhoneHistory,
    budget: Mapping[str, int],
    guardrails: Guardrails,
) -> str:
    """Why one task is skipped; empty if it is not."""
    before = {history.done[account, key] for account in actor.counted if (account, key) in history.done}
    if request.script == "comment" and before:
        return next(words for earlier, words in _COMMENTED.items() if earlier in before)
    if request.only_followed and not any((account, key) in history.followed for account in actor.counted):
        return "did not follow this user through reelflow"
    if any(budget[account] <= 0 for account in actor.counted):
        return f"daily limit of {guardrails.limits.get(request.script, 0)} {request.job}s for each account"
    return ""


def _parts(taken: Mapping[PhoneActor, list[tuple[str, str]]]) -> tuple[PlanPart, ...]:
    """Actors with the same targets go into one request."""
    grouped: dict[tuple[bool, tuple[tuple[str, str], ...]], list[PhoneActor]] = {}
    for actor, targets in taken.items():
        real = tuple(t for t in targets if t[0])
        grouped.setdefault((bool(actor.username), real), []).append(actor)
    return tuple(PlanPart(tuple(actors), targets) for (_, targets), actors in grouped.items())


def _left_out_line(request: PhoneRequest, reason: str, what: list[tuple[str, str]]) -> str:
    """One line: who, with what it is where that is one, and with how many where there are more."""
    by_actor: dict[str, list[str]] = {}
    for name, text in what:
        by_actor.setdefault(name, []).append(text)
    said = [f"{name} ({len(texts)})" if len(texts) > 1 else f"{name}: {texts[0]}" if texts[0] else name
            for name, texts in by_actor.items()]  # fmt: skip
    return f"{count(len(what), request.job)} skipped ({reason}): {listed(said)}"


def _left_out_by_quiet_hours(request: PhoneRequest, guardrails: Guardrails) -> str:
    return f"{count(request.task_count, request.job)} skipped (quiet hours {guardrails.quiet_hours})"
