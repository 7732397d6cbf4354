"""Match Taisly's history with our records: which item belongs to which send, and its outcome for each account.

This is the only place where Taisly's data is turned into records.

A mistake is possible in two directions, so an item has two thresholds. As long as the history has an item that *may* be
a post, the post is not sent again. An item is adopted only if it is *certain* to be the post: it tells enough, and was
created while our request was on its way, by Taisly's own clock. What lies between the two is left to a person.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, Send
from reelflow.taisly.wire import ConnectedAccount, HistoryItem, PlatformResult, Status
from reelflow.transport import UPLOAD_READ_TIMEOUT

CLOCK_SLACK = timedelta(minutes=10)
"""Added on both sides to the time that is searched in the history."""
CLOCK_STEP = timedelta(seconds=15)
"""How far the creation of our post may lie outside our request: Taisly's clock is known to about a second, and ours may
be corrected by some between the request and the look."""
ANY_ZONE = timedelta(hours=15)
"""How wrong a time may be that was written in a local time zone without saying so."""
LEAST_CUT = 20
"""Letters and digits from which the beginning of a caption identifies it, even if nothing marks it as shortened."""


def account_of(connected: ConnectedAccount) -> Account:
    """A connected account, as we know it."""
    return Account(id=connected.id, platform=connected.platform, name=connected.display_name)


def outcomes_of(accounts: Sequence[Account], item: HistoryItem | None) -> list[Outcome]:
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
        detail = f"Taisly reports the status {result.raw_status!r}" if odd and result else ""
        return Outcome(account=account, state=PostState.PENDING, detail=detail)
    if result.status is Status.FAILED:
        return Outcome(account=account, state=PostState.FAILED, detail=result.reason or "Taisly gives no reason")
    return Outcome(account=account, state=PostState.SUCCESS, link=result.link)


class Fit(IntEnum):
    """How well an item fits a send, in one respect or in all."""

    NO = 0
    DOUBTFUL = 1
    UNTOLD = 2
    CERTAIN = 3


def match_sends(
    lost: Sequence[Send], at_work: Sequence[Send], items: Sequence[HistoryItem], *, clock_ahead: float = 0.0
) -> dict[str, str]:
    """Which history item is which send whose answer was lost: history ids by send id.

    Taisly cannot tell two posts of the same caption to the same accounts apart, so neither can we. Sends that look
    the same are matched only if the history has exactly as many items that are certain to be theirs as there are
    sends, in the order of time; and only while no other send may own one of these items.

    Args:
        lost: Sends whose answer was lost.
        at_work: Sends that are being made right now.
        items: History items that no send on record owns.
        clock_ahead: Seconds by which Taisly's clock is ahead of ours.
    """
    found: dict[str, str] = {}
    groups: dict[tuple[object, ...], list[Send]] = {}
    for send in lost:
        groups.setdefault(_looks(send), []).append(send)
    for alike in groups.values():
        alike.sort(key=lambda s: s.sealed_at or 0)
        certain = [item for item in items if item.id and fit_of(item, alike, clock_ahead) is Fit.CERTAIN]
        others = [send for send in (*lost, *at_work) if send not in alike]
        is_disputed = any(fit_of(item, [other], clock_ahead) is Fit.CERTAIN for item in certain for other in others)
        if len(certain) == len(alike) and not is_disputed:
            certain.sort(key=lambda item: item.created or datetime.min.replace(tzinfo=UTC))
            found |= {send.id: item.id for send, item in zip(alike, certain, strict=True)}
    return found


def _looks(send: Send) -> tuple[object, ...]:
    return (send.service, _letters(send.caption), frozenset(send.account_ids), send.scheduled_ms)


def fit_of(item: HistoryItem, alike: Sequence[Send], clock_ahead: float) -> Fit:
    """How well an item fits sends that look the same.

    It is CERTAIN if nothing is against it, it was created during our requests, and it tells the caption or the
    accounts. What an item does not tell is never against it.

    Args:
        item: Of the history.
        alike: Sends of one caption to the same accounts.
        clock_ahead: Seconds by which Taisly's clock is ahead of ours.
    """
    send, created = alike[0], _created_fit(item, alike, clock_ahead)
    caption, accounts = _caption_fit(item, send), _accounts_fit(item, send)
    worst = min(caption, accounts, created, _schedule_fit(item, send))
    if worst < Fit.UNTOLD:
        return worst
    is_told = created is Fit.CERTAIN and Fit.CERTAIN in (caption, accounts)
    return Fit.CERTAIN if is_told else Fit.DOUBTFUL


def _caption_fit(item: HistoryItem, send: Send) -> Fit:
    return caption_fit(item.caption, send.caption)


def caption_fit(shown: str | None, caption: str) -> Fit:
    """How well a caption in the history fits one of ours.

    A service may trim a caption, change its line ends, escape it, or show only its beginning.
    """
    if not shown and (shown is None or caption):
        return Fit.UNTOLD
    theirs, ours = _letters(shown or ""), _letters(caption)
    if theirs == ours:
        return Fit.CERTAIN
    if not ours.startswith(theirs):
        return Fit.NO
    is_cut = len(theirs) >= LEAST_CUT or (shown or "").rstrip().endswith(("…", "..."))
    return Fit.CERTAIN if is_cut else Fit.DOUBTFUL


def _letters(text: str) -> str:
    """The letters and digits of a text; of one without any, whatever is not blank."""
    plain = html.unescape(html.unescape(re.sub(r"\\[nrt]", " ", text)))
    plain = unicodedata.normalize("NFKC", plain).casefold()
    return "".join(c for c in plain if c.isalnum()) or "".join(plain.split())


def _accounts_fit(item: HistoryItem, send: Send) -> Fit:
    ids = set(item.account_ids or (r.platform_id for r in item.result if r.platform_id))
    ours = set(send.account_ids)
    if not ids:
        if not item.result or len(item.result) == len(ours):
            return Fit.UNTOLD
        return Fit.DOUBTFUL if len(item.result) < len(ours) else Fit.NO
    if ids == ours:
        return Fit.CERTAIN
    return Fit.DOUBTFUL if ids & ours else Fit.NO


def _created_fit(item: HistoryItem, alike: Sequence[Send], clock_ahead: float) -> Fit:
    if item.created is None:
        return Fit.UNTOLD
    created = item.created.timestamp() - clock_ahead
    first = min(s.begun_at or 0 for s in alike)
    last = max(s.sealed_at or s.lease_until for s in alike) + UPLOAD_READ_TIMEOUT
    for slack, fit in ((CLOCK_STEP, Fit.CERTAIN), (ANY_ZONE, Fit.DOUBTFUL)):
        if first - slack.total_seconds() <= created <= last + slack.total_seconds():
            return fit
    return Fit.NO


def _schedule_fit(item: HistoryItem, send: Send) -> Fit:
    """A service may round the time to the minute."""
    if item.scheduled is None or not send.scheduled_ms:
        return Fit.UNTOLD
    off = abs(item.scheduled.timestamp() - send.scheduled_ms / 1000)
    if off <= 60:
        return Fit.CERTAIN
    return Fit.DOUBTFUL if off <= ANY_ZONE.total_seconds() else Fit.NO
