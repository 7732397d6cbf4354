"""Decisions about publishing, as functions of values: no network, no clock of their own, no Prefect."""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from reelflow.errors import Busy, ClaimLost, InputError, NothingSent, Refused
from reelflow.models import Account, CheckedPost, Outcome, PublishReport, Send, State
from reelflow.taisly.wire import AcceptedPost, HistoryItem, PlatformResult, Status
from reelflow.transport import UPLOAD_READ_TIMEOUT

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


def publishing_time(when: datetime | None, time_zone: str, now: datetime) -> datetime | None:
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


def unconfirmed_words(send: Send, fitting: int) -> str:
    """What to tell the owner of a post that may be out: what was seen, what to look at, and the two ways on."""
    seen = f"shows {fitting} posts that could be it" if fitting else "does not show it"
    return (
        f"It is not known whether this went out: Taisly's answer was lost, and its history {seen}. "
        f"Look at the accounts. Then run resolve-post for the send {send.id}: 'it is out', or 'send it again'"
    )


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
    out, still = report.having(State.SUCCESS), report.having(State.PENDING)
    scheduled = report.post.scheduled_for
    if scheduled and len(still) == total:
        return f"Scheduled for {scheduled:%Y-%m-%d %H:%M} UTC at {total} account{'s' * (total != 1)}."
    parts = []
    for state, words in _ENDED_BADLY.items():
        for detail, alike in _by_detail(report.having(state)).items():
            parts.append(f"{words} {', '.join(o.account.label for o in alike)}: {detail}")
    if out:
        names = "" if len(out) == total and total > 3 else f": {', '.join(o.account.label for o in out)}"
        parts.append(f"Published to {len(out)} of {total} account{'s' * (total != 1)}{names}")
    if still:
        parts.append("No outcome yet from " + ", ".join(o.account.label for o in still))
    if report.already and parts and not report.having(State.FAILED):
        parts.append("It was sent before, and nothing was sent again")
    return ". ".join(parts) + "."


_ENDED_BADLY = {
    State.UNCONFIRMED: "Unconfirmed at",
    State.FAILED: "Failed at",
    State.REFUSED: "Refused for",
    State.CANCELLED: "Withdrawn from",
    State.CLAIMED: "Not sent to",
}


def _by_detail(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    grouped: dict[str, list[Outcome]] = {}
    for outcome in found:
        grouped.setdefault(outcome.detail.rstrip("."), []).append(outcome)
    return grouped


def too_late(scheduled: datetime | None, now: datetime, max_minutes: float) -> str | None:
    """Why a run that was to start at `scheduled` must not publish any more; None if it may."""
    if scheduled is None or now - scheduled <= timedelta(minutes=max_minutes):
        return None
    return (
        f"Skipped, nothing was sent: this run was to start at {scheduled:%Y-%m-%d %H:%M} UTC, {_span(now - scheduled)} "
        f"ago, and may be at most {max_minutes:g} minutes late. To publish now, start it anew."
    )


class Seen(StrEnum):
    """What is known of a send after its request, and so what may be done next."""

    ACCEPTED = "ACCEPTED"
    NOT_SENT = "NOT_SENT"
    BUSY = "BUSY"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


def what_happened(result: AcceptedPost | BaseException, *, sealed: bool) -> Seen:
    """What the answer to a send, or the error in its place, says about the post.

    Args:
        result: What the client returned or raised.
        sealed: Whether the last piece of the upload was let go. A post whose upload was not complete is not out,
            whatever else went wrong.
    """
    if isinstance(result, AcceptedPost):
        return Seen.ACCEPTED
    if isinstance(result, Busy):
        return Seen.BUSY
    if isinstance(result, Refused):
        return Seen.REFUSED
    if isinstance(result, NothingSent | InputError | ClaimLost) or not sealed:
        return Seen.NOT_SENT
    return Seen.UNKNOWN


CLOCK_SLACK = timedelta(minutes=10)
"""How far our clock and Taisly's may differ before a post falls out of the time that is looked through."""


def match(lost: Sequence[Send], busy: Sequence[Send], items: Sequence[HistoryItem]) -> dict[str, str]:
    """Which history item is which send whose answer was lost: history ids by send id.

    Taisly cannot tell two posts of the same caption to the same accounts apart, so neither can we. Sends that look
    the same are matched only if the history has exactly as many items for them as there are sends, in the order of
    time; and only while no send that looks the same is under way, since the item may be its.

    Args:
        lost: Sends whose answer was lost.
        busy: Sends that are being made right now.
        items: History items that no send on record owns.
    """
    found: dict[str, str] = {}
    groups: dict[tuple[object, ...], list[Send]] = {}
    for send in lost:
        groups.setdefault(_looks(send), []).append(send)
    under_way = {_looks(send) for send in busy}
    for looks, alike in groups.items():
        if looks in under_way:
            continue
        alike.sort(key=lambda s: s.sealed_at or 0)
        fitting = [item for item in items if fits(item, alike)]
        if len(fitting) == len(alike):
            fitting.sort(key=lambda item: item.created or datetime.min.replace(tzinfo=UTC))
            found |= {send.id: item.id for send, item in zip(alike, fitting, strict=True)}
    return found


def _looks(send: Send) -> tuple[object, ...]:
    return (send.service, send.caption, frozenset(send.account_ids), send.scheduled_ms)


def fits(item: HistoryItem, alike: Sequence[Send]) -> bool:
    """Whether an item may be one of sends that look the same: caption, accounts and time, where it tells them."""
    send = alike[0]
    if item.caption is not None and item.caption != send.caption:
        return False
    ids = item.account_ids or tuple(r.platform_id for r in item.result if r.platform_id)
    if set(ids) != set(send.account_ids) and (ids or len(item.result) != len(send.account_ids)):
        return False
    if item.scheduled is not None and send.scheduled_ms:
        return abs(item.scheduled.timestamp() * 1000 - send.scheduled_ms) < 1000
    if item.created is None or send.scheduled_ms:
        return True
    first = min(s.begun_at or 0 for s in alike) - CLOCK_SLACK.total_seconds()
    last = max(s.sealed_at or 0 for s in alike) + CLOCK_SLACK.total_seconds() + UPLOAD_READ_TIMEOUT
    return first <= item.created.timestamp() <= last
