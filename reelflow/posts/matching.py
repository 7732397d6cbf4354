"""Match Taisly's history with our records: which item belongs to which send, and its outcome for each account.

This is the only place where Taisly's data is turned into records.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, Send
from reelflow.taisly.wire import ConnectedAccount, HistoryItem, PlatformResult, Status
from reelflow.transport import UPLOAD_READ_TIMEOUT

CLOCK_SLACK = timedelta(minutes=10)
"""How far our clock and Taisly's may differ before a post falls outside the time that is searched."""


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


def match_sends(lost: Sequence[Send], at_work: Sequence[Send], items: Sequence[HistoryItem]) -> dict[str, str]:
    """Which history item is which send whose answer was lost: history ids by send id.

    Taisly cannot tell two posts of the same caption to the same accounts apart, so neither can we. Sends that look
    the same are matched only if the history has exactly as many items for them as there are sends, in the order of
    time; and only while no send that looks the same is being made, since the item may belong to that one.

    Args:
        lost: Sends whose answer was lost.
        at_work: Sends that are being made right now.
        items: History items that no send on record owns.
    """
    found: dict[str, str] = {}
    groups: dict[tuple[object, ...], list[Send]] = {}
    for send in lost:
        groups.setdefault(_looks(send), []).append(send)
    busy = {_looks(send) for send in at_work}
    for looks, alike in groups.items():
        if looks in busy:
            continue
        alike.sort(key=lambda s: s.sealed_at or 0)
        candidates = [item for item in items if matches_send(item, alike)]
        if len(candidates) == len(alike):
            candidates.sort(key=lambda item: item.created or datetime.min.replace(tzinfo=UTC))
            found |= {send.id: item.id for send, item in zip(alike, candidates, strict=True)}
    return found


def _looks(send: Send) -> tuple[object, ...]:
    return (send.service, send.caption, frozenset(send.account_ids), send.scheduled_ms)


def matches_send(item: HistoryItem, alike: Sequence[Send]) -> bool:
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
