"""Read Taisly's history for the sends on record, and find those in it whose answer was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from reelflow.errors import ServiceError
from reelflow.posts.matching import CLOCK_SLACK, Fit, fit_of, match_sends
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.post_states import PostState, settled_state
from reelflow.records.posts import Outcome, Send, SendRecord
from reelflow.taisly.wire import HistoryItem
from reelflow.wording import count

PAGES = 3
"""Pages searched, ten posts each, when the range shows nothing of what it should have."""
GRACE = 600.0
"""Seconds within which a post may still appear in the history."""


@dataclass
class History:
    """What one reading of the history has shown.

    Attributes:
        items: Those with an id, and those without, which may be anything.
        clock_ahead: Seconds by which Taisly's clock is ahead of ours.
    """

    items: list[HistoryItem]
    clock_ahead: float

    def find(self, history_id: str | None) -> HistoryItem | None:
        """The item with this id."""
        return next((item for item in self.items if item.id and item.id == history_id), None)


def open_sends_of(taisly: RateLimitedTaisly) -> list[SendRecord]:
    """The open sends to accounts that this key can see; those of another Taisly account are not its business.

    One account in common is enough: another may have been disconnected since.

    Raises:
        ServiceError: the accounts of the key are not known and cannot be asked for.
    """
    found = taisly.ledger.open_sends(taisly.service)
    ours = taisly.account_ids() if found else set()
    return [(send, its) for send, its in found if ours & set(send.account_ids)]


def read_history(taisly: RateLimitedTaisly, due: Sequence[Send], lost: Sequence[Send]) -> History:
    """The history of the time of these sends, by Taisly's clock.

    Raises:
        ServiceError: as the client does.
    """
    ahead = taisly.clock_ahead or 0.0
    items = _read_range(taisly, (*due, *lost), ahead)
    now_ahead = taisly.clock_ahead or 0.0
    if abs(now_ahead - ahead) > CLOCK_SLACK.total_seconds() / 2:  # its first answer tells that the range was wrong
        ahead, items = now_ahead, _read_range(taisly, (*due, *lost), now_ahead)
    if not items:
        items = _read_pages(taisly, due, lost, ahead)
    return History(items, ahead)


def _read_range(taisly: RateLimitedTaisly, sends: Sequence[Send], ahead: float) -> list[HistoryItem]:
    now, slack = taisly.ledger.now(), CLOCK_SLACK.total_seconds()
    first = _earliest(sends, now) - slack
    last = max(now, *(s.scheduled_ms / 1000 for s in sends)) + slack
    return taisly.history_between(datetime.fromtimestamp(first + ahead, UTC), datetime.fromtimestamp(last + ahead, UTC))


def _read_pages(
    taisly: RateLimitedTaisly, due: Sequence[Send], lost: Sequence[Send], ahead: float
) -> list[HistoryItem]:
    """The newest pages, back to the time of these sends: how a range is to be written is not documented."""
    wanted, found = {send.history_id for send in due}, list[HistoryItem]()
    earliest = _earliest((*due, *lost), taisly.ledger.now()) - CLOCK_SLACK.total_seconds() + ahead
    for page in range(1, PAGES + 1):
        more = taisly.history_page(page)
        found += more
        if not more or (not lost and wanted <= {item.id for item in found}):
            break
        if any(item.created is not None and item.created.timestamp() < earliest for item in more):
            break
    return found


def _earliest(sends: Sequence[Send], now: float) -> float:
    return min(s.begun_at or now for s in sends)


def adopt_lost(
    taisly: RateLimitedTaisly, lost: Sequence[Send], at_work: Sequence[Send], history: History, grace: float
) -> list[tuple[Send, Outcome]]:
    """Match lost sends with what the history has and nobody owns; give up on those that are older than `grace`.

    Returns:
        What became UNCONFIRMED.
    """
    if not lost:
        return []
    ledger, now, news = taisly.ledger, taisly.ledger.now(), list[tuple[Send, Outcome]]()
    free = _free_items(taisly, history)
    matched = match_sends(lost, at_work, free, clock_ahead=history.clock_ahead)
    for send in lost:
        state = settled_state(found=send.id in matched, age=now - (send.sealed_at or now), grace=grace)
        if state is PostState.ACCEPTED:
            ledger.accepted(send.id, matched[send.id], "found in Taisly's history")
        elif state is PostState.UNCONFIRMED:
            reason = unconfirmed_reason(len(_candidates(send, free, history.clock_ahead)))
            news += [(send, outcome) for outcome in ledger.settle(send.id, state, reason)]
    return news


def _free_items(taisly: RateLimitedTaisly, history: History) -> list[HistoryItem]:
    """What no send on record owns."""
    owned = taisly.ledger.owned_history_ids(taisly.service, [item.id for item in history.items])
    return [item for item in history.items if item.id not in owned]


def _candidates(send: Send, items: Sequence[HistoryItem], clock_ahead: float) -> list[HistoryItem]:
    return [item for item in items if fit_of(item, [send], clock_ahead) is not Fit.NO]


def unconfirmed_reason(candidates: int) -> str:
    """Why it is not known whether a post went out."""
    seen = f"shows {count(candidates, 'post')} that could be it" if candidates else "does not show it"
    return f"Taisly's answer was lost, and its history {seen}"


def look_for(taisly: RateLimitedTaisly, send_id: str) -> bool | None:
    """Look once for a send that Taisly answered with 429: whether it is out after all.

    Returns:
        True: it is, and now on record as accepted. False: nothing in the history can be it. None: that cannot be told.
    """
    ledger = taisly.ledger
    ((send, _),) = ledger.sends([send_id])
    try:
        history = read_history(taisly, [], [send])
        at_work = [s for s, _ in open_sends_of(taisly) if s.id != send_id and s.history_id is None]
    except ServiceError:
        return None
    free = _free_items(taisly, history)
    if matched := match_sends([send], at_work, free, clock_ahead=history.clock_ahead):
        ledger.accepted(send_id, matched[send_id], "answered with 429, but found in Taisly's history")
        return True
    return None if _candidates(send, free, history.clock_ahead) else False
