"""Turn Taisly's accounts and the outcomes in its history into records."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome
from reelflow.taisly.wire import ConnectedAccount, HistoryItem, PlatformResult, Status


def account_of(connected: ConnectedAccount) -> Account:
    """A connected account, as we know it."""
    return Account(id=connected.id, platform=connected.platform, name=connected.display_name)


def outcomes_of(accounts: Sequence[Account], item: HistoryItem | None, *, connected: Collection[str]) -> list[Outcome]:
    """What a history item says about each account, in the order of `accounts`.

    A result names its account by id where Taisly gives one. Where it gives only the platform, or an id of something
    else, results and accounts of that platform are paired in their order; that is exact unless two accounts of one
    platform differ in their outcome.

    Args:
        accounts: Of the post.
        item: None if the history does not show it.
        connected: Ids of all connected accounts.
    """
    results = list(item.result) if item else []
    ids = {account.id for account in accounts} | set(connected)
    found: list[Outcome] = []
    for account in accounts:
        result = _result_for(account, results, ids)
        if result is not None:
            results.remove(result)
        found.append(_outcome(account, result))
    return found


def _result_for(account: Account, results: Sequence[PlatformResult], ids: set[str]) -> PlatformResult | None:
    by_id = next((r for r in results if r.platform_id == account.id), None)
    unnamed = [r for r in results if r.platform_id not in ids]
    platform = account.platform.casefold()
    return by_id or next((r for r in unnamed if r.platform.casefold() == platform), None)


def _outcome(account: Account, result: PlatformResult | None) -> Outcome:
    if result is None or result.status is Status.PENDING:
        odd = result is not None and result.raw_status.strip().upper() != Status.PENDING
        detail = f"Taisly reports the status {result.raw_status!r}" if odd and result else ""
        return Outcome(account=account, state=PostState.PENDING, detail=detail)
    if result.status is Status.FAILED:
        return Outcome(account=account, state=PostState.FAILED, detail=result.reason or "Taisly gives no reason")
    return Outcome(account=account, state=PostState.SUCCESS, link=result.link)
