"""Read Taisly's history for the sends on record, and find those in it whose answer was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from reelflow.errors import ServiceError
from reelflow.posts.matching import HistoryMatcher, Match
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.post_states import PostState, settled_state
from reelflow.records.posts import Outcome, Send, SendRecord
from reelflow.taisly.wire import HistoryItem
from reelflow.wording import count

PAGES = 3
"""Pages searched, ten posts each, when the range shows nothing of what it should have."""
MOST_PAGES = 6
"""Pages searched before a post is sent again."""
GRACE = 600.0
"""Seconds within which a post may still appear in the history."""
CLOCK_SLACK = timedelta(minutes=10)
"""Added on both sides to the time that is searched: our clock and Taisly's may differ while its is not known."""


class Look(Enum):
    """What one look for a post has shown."""

    SETTLED = "it is on record as accepted, or somebody else has settled it"
    MAYBE = "something in the history may be it"
    NOTHING = "nothing in the history can be it"
    UNREADABLE = "the history cannot be read, or not far enough back"


@dataclass
class History:
    """What one reading of the history has shown.

    Attributes:
        items: Those with an id, and those without, which may be anything.
        matcher: How they are compared with our sends.
    """

    items: list[HistoryItem]
    matcher: HistoryMatcher

    def find(self, history_id: str | None) -> HistoryItem | None:
        """The item with this id."""
        return next((item for item in self.items if item.id and item.id == history_id), None)


def open_sends_of(taisly: RateLimitedTaisly) -> list[SendRecord]:
    """The open sends to accounts that this key can see; those of another Taisly account are not its business.

    One account in common is enough: another may have been disconnected since.

    Raises:
        ServiceError: the accounts of the key are not known and cannot be asked for.
    """
    ours = taisly.account_ids() if taisly.ledger.open_sends(taisly.service) else set()
    # Read after the accounts, which may have been asked for: a send may have been sealed meanwhile.
    return [(send, its) for send, its in taisly.ledger.open_sends(taisly.service) if ours & set(send.account_ids)]


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
    return History(items, HistoryMatcher(ahead, frozenset(taisly.account_ids())))


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
    matched = history.matcher.match(lost, at_work, free)
    ledger.note_shown([s.id for s in lost if s.id in matched], [s for s in lost if s.id not in matched])
    for send in lost:
        state = settled_state(
            found=send.id in matched,
            age=now - (send.sealed_at or now),
            missed_for=send.missed_for(now),
            grace=grace,
        )
        if state is PostState.ACCEPTED:
            ledger.accepted(send.id, matched[send.id], "found in Taisly's history")
        elif state is PostState.UNCONFIRMED:
            reason = unconfirmed_reason(len(_candidates(send, free, history.matcher)))
            news += [(send, outcome) for outcome in ledger.give_up(send.id, reason)]
    return news


def _free_items(taisly: RateLimitedTaisly, history: History) -> list[HistoryItem]:
    """What no send on record owns."""
    owned = taisly.ledger.owned_history_ids(taisly.service, [item.id for item in history.items])
    return [item for item in history.items if item.id not in owned]


def _candidates(send: Send, items: Sequence[HistoryItem], matcher: HistoryMatcher) -> list[HistoryItem]:
    return [item for item in items if matcher.compare(item, send) is not Match.NO]


def unconfirmed_reason(candidates: int) -> str:
    """Why it is not known whether a post went out."""
    seen = f"shows {count(candidates, 'post')} that could be it" if candidates else "does not show it"
    return f"Taisly did not confirm the post, and its history {seen}"


def look_for(taisly: RateLimitedTaisly, send_id: str, *, is_last: bool) -> Look:
    """Look once for a send that Taisly answered with 429.

    Args:
        taisly: With the ledger that has it.
        send_id: Ours.
        is_last: Whether it is sent again if there is nothing. Then the history has to be read far enough back.
    """
    ledger = taisly.ledger
    ((send, outcomes),) = ledger.sends([send_id])
    if send.history_id is not None or any(o.state is not PostState.SENDING for o in outcomes):
        return Look.SETTLED  # another run, or a person, has settled it meanwhile
    try:
        history = read_history(taisly, [], [send])
        is_whole = not is_last or _read_back(taisly, send, history)
        at_work = [s for s, _ in open_sends_of(taisly) if s.id != send_id and s.history_id is None]
    except ServiceError:
        return Look.UNREADABLE
    free = _free_items(taisly, history)
    if matched := history.matcher.match([send], at_work, free):
        ledger.accepted(send_id, matched[send_id], "answered with 429, but found in Taisly's history")
        return Look.SETTLED
    if not all(history.matcher.is_another(item, send) for item in free):
        return Look.MAYBE
    return Look.NOTHING if is_whole else Look.UNREADABLE


def _read_back(taisly: RateLimitedTaisly, send: Send, history: History) -> bool:
    """Read on, page by page, until the history has ended or is older than the send; whether that was reached.

    The range alone proves nothing: how it is to be written is not documented, and a clock may have been wrong. Nor does
    the end of a history that shows none of our earlier posts.
    """
    for page in range(1, MOST_PAGES + 1):
        more = taisly.history_page(page)
        known = {item.id for item in history.items if item.id}
        history.items += [item for item in more if item.id not in known]
        if any(history.matcher.is_older(item, send) for item in more):
            return True
        if not more:
            earlier = taisly.ledger.latest_history_ids(taisly.service, taisly.account_ids())
            return not earlier or bool(earlier & {item.id for item in history.items})
    return False
