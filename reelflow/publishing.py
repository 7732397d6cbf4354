"""Decisions about publishing, as functions of values: no network, no clock of their own, no Prefect."""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from reelflow.errors import InputError
from reelflow.models import Account, CheckedPost, Outcome, PublishReport, State
from reelflow.taisly.wire import HistoryItem, PlatformResult, Status

ALL = "all"
CAPTION_LIMITS = {"x": 100}
"""Characters by platform, from the official SDK's table."""
CAPTION_LIMIT = 2200
"""Characters on every other platform, from the same table."""


def choose_accounts(wanted: Sequence[str], connected: Sequence[Account]) -> list[Account]:
    """The accounts that `wanted` names, each once, in the order named.

    A name is an account's id, its display name (with or without @), its platform, or "platform name" together;
    upper and lower case do not matter. A platform with two connected accounts is ambiguous.

    Raises:
        InputError: a name fits no account or several; the message lists what is connected.
    """
    if not connected:
        raise InputError("No account is connected in Taisly yet. Connect your accounts there first.")
    names = [name.strip() for name in wanted if name.strip()]
    if not names:
        raise InputError(f"Name at least one account. Connected are: {_listed(connected)}.")
    chosen: dict[str, Account] = {}
    for name in names:
        if name.casefold() == ALL:
            chosen |= {a.id: a for a in connected}
            continue
        fitting = _fitting(name, connected)
        if not fitting:
            raise InputError(f"No connected account is called {name!r}. Connected are: {_listed(connected)}.")
        if len(fitting) > 1:
            raise InputError(
                f"{name!r} fits {len(fitting)} accounts: {_listed(fitting)}. Use the account's own name or its id."
            )
        chosen.setdefault(fitting[0].id, fitting[0])
    return list(chosen.values())


def _fitting(name: str, connected: Sequence[Account]) -> list[Account]:
    if exact := [a for a in connected if a.id == name]:
        return exact
    plain = _plain(name)
    for spelling in (
        lambda a: f"{a.platform} {a.name}",
        lambda a: a.platform,
        lambda a: a.name,
    ):
        if found := [a for a in connected if _plain(spelling(a)) == plain]:
            return found
    return []


def _plain(name: str) -> str:
    return " ".join(name.replace("@", "").replace(":", " ").casefold().split())


def _listed(accounts: Sequence[Account]) -> str:
    return ", ".join(f"{a.label} (id {a.id})" for a in accounts)


def check_caption(caption: str, accounts: Sequence[Account]) -> None:
    """Raise InputError if the caption is too long for a platform. It is never cut: that is for its author."""
    for account in accounts:
        limit = CAPTION_LIMITS.get(account.platform.casefold(), CAPTION_LIMIT)
        if len(caption) > limit:
            raise InputError(
                f"The caption has {len(caption)} characters, and {account.platform} takes at most {limit}. "
                f"Shorten it, or post to {account.label} in a run of its own."
            )


def publishing_time(when: datetime | None, time_zone: str | None, now: datetime) -> datetime | None:
    """`when` in UTC; a time without a zone is one of `time_zone`.

    Raises:
        InputError: no zone, an unknown one, a time that does not exist there, or one in the past.
    """
    if when is None:
        return None
    if when.tzinfo is None:
        if not time_zone:
            raise InputError(
                f"The time {when:%Y-%m-%d %H:%M} has no time zone. Name one, for example Europe/Berlin, "
                "or write the offset: 2026-12-24T18:00+01:00."
            )
        when = _localized(when, time_zone)
    moment = when.astimezone(UTC)
    if moment <= now:
        late = now - moment
        raise InputError(
            f"The time {when:%Y-%m-%d %H:%M %Z} is {_span(late)} in the past. "
            "Choose a later one, or none to publish now."
        )
    return moment


def _localized(when: datetime, time_zone: str) -> datetime:
    try:
        zone = zoneinfo.ZoneInfo(time_zone.strip())
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"There is no time zone {time_zone!r}. Use a name like Europe/Berlin.") from None
    local = when.replace(tzinfo=zone)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != when:
        raise InputError(
            f"{when:%Y-%m-%d %H:%M} does not exist in {time_zone}: the clocks are put forward then. "
            "Choose another time."
        )
    return local


def _span(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return f"{minutes} minute{'s' * (minutes != 1)}"
    return f"{minutes // 60} hours" if minutes < 2880 else f"{minutes // 1440} days"


def outcomes(accounts: Sequence[Account], item: HistoryItem | None) -> list[Outcome]:
    """What a history item says about each account, in the order of `accounts`.

    A result names its account by id where Taisly gives one. Where it gives only the platform, results and
    accounts of that platform are paired in their order; that is exact unless two accounts of one platform
    differ in their outcome.
    """
    results = list(item.result) if item else []
    found: list[Outcome] = []
    for account in accounts:
        result = _result_for(account, results)
        if result is not None:
            results.remove(result)
        found.append(_outcome(account, result))
    return found


def _result_for(account: Account, results: Sequence[PlatformResult]) -> PlatformResult | None:
    by_id = next((r for r in results if r.platform_id == account.id), None)
    platform = account.platform.casefold()
    return by_id or next((r for r in results if not r.platform_id and r.platform.casefold() == platform), None)


def _outcome(account: Account, result: PlatformResult | None) -> Outcome:
    if result is None or result.status is Status.PENDING:
        odd = result is not None and result.raw_status.strip().upper() != Status.PENDING
        detail = f"Taisly says {result.raw_status!r}" if odd and result else ""
        return Outcome(account=account, state=State.PENDING, detail=detail)
    if result.status is Status.FAILED:
        return Outcome(account=account, state=State.FAILED, detail=result.reason or "Taisly gives no reason")
    return Outcome(account=account, state=State.SUCCESS, link=result.link)


def describe(post: CheckedPost) -> str:
    """What would be sent, in one line."""
    video = post.video
    when = "now" if post.scheduled_for is None else f"at {post.scheduled_for:%Y-%m-%d %H:%M} UTC"
    caption = f"with the caption {post.caption!r}" if post.caption else "without a caption"
    return (
        f"{video.path.name} ({video.width}x{video.height}, {video.duration:.1f} s, {video.size_bytes / 1e6:.1f} MB) "
        f"{caption}, preview picture at {post.preview_second:g} s, to {post.named_accounts}, {when}"
    )


def sentence(report: PublishReport) -> str:
    """What became of a post, in one line."""
    total = len(report.outcomes)
    out, failed, still = (report.having(s) for s in (State.SUCCESS, State.FAILED, State.PENDING))
    scheduled = report.sent.scheduled_for if report.sent else None
    if still and not failed and not out and scheduled:
        return f"Scheduled for {scheduled:%Y-%m-%d %H:%M} UTC at {total} account{'s' * (total != 1)}."
    parts = []
    if failed:
        parts.append("Failed at " + "; ".join(f"{o.account.label}: {o.detail.rstrip('.')}" for o in failed))
    if out:
        names = "" if len(out) == total and total > 3 else f": {', '.join(o.account.label for o in out)}"
        parts.append(f"Published to {len(out)} of {total} account{'s' * (total != 1)}{names}")
    if still:
        parts.append("No outcome yet from " + ", ".join(o.account.label for o in still))
    return ". ".join(parts) + "."
