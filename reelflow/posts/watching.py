"""Watch posts in Taisly's history until every platform has an outcome.

Each key has one reader, in one of the runs. It reads the history by time range for every open post of every run, and
writes the outcomes to the ledger, where the other runs read them. On the smallest plan (50 requests an hour), one check
per post and run would use up the quota with a handful of posts.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reelflow.errors import Busy, ReelflowError, Refused, ServiceError
from reelflow.posts.matching import CLOCK_SLACK, match_sends, matches_send, outcomes_of
from reelflow.posts.rate_limited import BUSY_SECONDS, RateLimitedTaisly
from reelflow.records.post_states import PostState, SendStatus, settled_state
from reelflow.records.posts import Outcome, Send, SendRecord
from reelflow.taisly.wire import HistoryItem
from reelflow.wording import count

log = logging.getLogger(__name__)

FIRST_PAUSE = 5.0
"""Seconds until the first look; platforms need at least that long."""
GROWTH = 1.6
"""Factor from each pause to the next, so that a post that takes long does not use up the plan."""
LONGEST_PAUSE = 120.0
"""Seconds; 30 looks an hour, which leaves the smallest plan 20 requests for sending."""
NEXT_ARRIVAL = 3.0
"""A post that joins others in flight is looked for within this many first pauses."""
FOLLOWER_PAUSE = 1.0
"""Seconds between two looks into the ledger by a run that does not read the history itself."""
PAGES = 3
"""Pages searched, ten posts each, when the range lacks a post that it should have."""
GRACE = 600.0
"""Seconds after which a post whose answer was lost, and which the history does not show, is left to a person."""


@dataclass
class WatchResult:
    """The result of watching: what went wrong in the last look, if anything; and each new outcome."""

    trouble: ReelflowError | None = None
    news: list[tuple[Send, Outcome]] = field(default_factory=list)


def watch_posts(
    taisly: RateLimitedTaisly,
    send_ids: Collection[str] | None,
    *,
    seconds: float,
    first_pause: float = FIRST_PAUSE,
    grace: float = GRACE,
    on_news: Callable[[Send, Outcome], None] = lambda send, outcome: None,
) -> WatchResult:
    """Wait until the sends of `send_ids` have an outcome everywhere, or `seconds` are over.

    A look that fails is no reason to give up, since the posts are out there all the same: a 429 is waited for, a
    broken connection tried again at the next look. Only a refusal ends it early, such as of a key that is no longer
    accepted. Never raises for what Taisly does; `WatchResult.trouble` says what went wrong last.

    Args:
        taisly: With the ledger that has the sends.
        send_ids: Whose end to wait for; None for every open send of this key.
        seconds: How long to wait.
        first_pause: Seconds until the first look, and the least between two.
        grace: Seconds after which a post that cannot be found becomes UNCONFIRMED.
        on_news: Called for each new outcome that this run reads.

    Raises:
        LedgerUnavailable: the ledger cannot tell what is open, or who reads the history.
    """
    ledger, me, result = taisly.ledger, uuid.uuid4().hex, WatchResult()
    end = ledger.now() + seconds
    _join(taisly, me, first_pause)
    try:
        while (now := ledger.now()) < end and _still_open(taisly, send_ids):
            reading, next_look, pause = ledger.become_reader(taisly.key, me, ledger.lease_seconds)
            if not reading:
                taisly.sleep(min(FOLLOWER_PAUSE, end - now))
            elif now < next_look:
                taisly.sleep(min(next_look - now, end - now, ledger.lease_seconds / 3))
            else:
                wait = _look_and_tell(taisly, result, grace, on_news)
                if wait is None:
                    break
                pause = max(first_pause, min(LONGEST_PAUSE, pause * GROWTH))
                ledger.plan_next_look(taisly.key, ledger.now() + max(pause, wait), pause)
    finally:
        ledger.stop_reading(taisly.key, me)
    return result


def _join(taisly: RateLimitedTaisly, me: str, first_pause: float) -> None:
    """Plan a look for posts that have just been sent, without one for each of many."""
    ledger, now = taisly.ledger, taisly.ledger.now()
    _, next_look, pause = ledger.become_reader(taisly.key, me, 0)
    if next_look <= now:
        ledger.plan_next_look(taisly.key, now + first_pause, first_pause)
    elif next_look > now + NEXT_ARRIVAL * first_pause:
        ledger.plan_next_look(taisly.key, now + NEXT_ARRIVAL * first_pause, min(pause, NEXT_ARRIVAL * first_pause))


def _still_open(taisly: RateLimitedTaisly, send_ids: Collection[str] | None) -> bool:
    if send_ids is None:
        try:
            return bool(open_sends_of(taisly))
        except ServiceError:  # which accounts this key has cannot be asked now: the next look says why
            return True
    return any(o.state.in_flight for _, found in taisly.ledger.sends(send_ids) for o in found)


def open_sends_of(taisly: RateLimitedTaisly) -> list[SendRecord]:
    """The open sends to accounts that this key can see; those of another Taisly account are not its business.

    Raises:
        ServiceError: the accounts of the key are not known and cannot be asked for.
    """
    found = taisly.ledger.open_sends(taisly.service)
    ours = taisly.account_ids() if found else set()
    return [(send, its) for send, its in found if ours >= set(send.account_ids)]


def _look_and_tell(
    taisly: RateLimitedTaisly, result: WatchResult, grace: float, on_news: Callable[[Send, Outcome], None]
) -> float | None:
    """Look once. The least seconds until the next look, or None if there can be none."""
    try:
        for send, outcome in read_outcomes(taisly, grace=grace):
            result.news.append((send, outcome))
            on_news(send, outcome)
        result.trouble = None
    except Busy as error:
        result.trouble = error
        return error.retry_after or BUSY_SECONDS
    except Refused as error:
        result.trouble = error
        log.warning("Taisly's history can no longer be read: %s", error)
        return None
    except ReelflowError as error:
        result.trouble = error
        log.warning("Taisly's history could not be read. Trying again at the next check: %s", error)
    return 0.0


def read_outcomes(taisly: RateLimitedTaisly, *, grace: float = GRACE) -> list[tuple[Send, Outcome]]:
    """Read the history once for every open send, and record what it says; the outcomes that are new.

    Sends that died before their upload was complete are released; sends whose answer was lost are matched with the
    history, or become UNCONFIRMED after `grace` seconds.

    Raises:
        ServiceError: as the client does.
        LedgerUnavailable: what was read could not be recorded.
    """
    ledger, now = taisly.ledger, taisly.ledger.now()
    by_status: dict[SendStatus, list[SendRecord]] = {status: [] for status in SendStatus}
    for send, found in open_sends_of(taisly):
        by_status[send.status(now, clock_slack=CLOCK_SLACK.total_seconds())].append((send, found))
    for send, _ in by_status[SendStatus.ABANDONED]:
        ledger.release_claim(send.id, "its run died before the upload was complete; nothing was posted")
    due, lost = by_status[SendStatus.DUE], [send for send, _ in by_status[SendStatus.ANSWER_LOST]]
    if not due and not lost:
        return []
    items = _read_history(taisly, [send for send, _ in due], lost, now)
    _adopt(taisly, lost, [send for send, _ in by_status[SendStatus.AT_WORK]], list(items.values()), now, grace)
    adopted = [(send, found) for send, found in ledger.sends([s.id for s in lost]) if send.history_id is not None]
    news = []
    for send, found in (*due, *adopted):
        told = outcomes_of([o.account for o in found], items.get(send.history_id or ""))
        news += [(send, outcome) for outcome in ledger.record_outcomes(send.id, told)]
    return news


def _read_history(taisly: RateLimitedTaisly, due: list[Send], lost: list[Send], now: float) -> dict[str, HistoryItem]:
    """The history of the time of these sends, by id; page by page where the range lacks what it should have."""
    slack = CLOCK_SLACK.total_seconds()
    begun = [s.begun_at or now for s in (*due, *lost)]
    first = min(begun) - slack
    last = max(now, *(s.scheduled_ms / 1000 for s in (*due, *lost))) + slack
    found = taisly.history_between(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC))
    items = {item.id: item for item in found}
    wanted = {s.history_id for s in due}
    for page in range(1, PAGES + 1):
        if wanted <= set(items) and (items or not lost):
            break
        more = taisly.history_page(page)
        items |= {item.id: item for item in more}
        if not more:
            break
    return items


def _adopt(
    taisly: RateLimitedTaisly,
    lost: list[Send],
    at_work: list[Send],
    items: list[HistoryItem],
    now: float,
    grace: float,
) -> None:
    """Match lost sends with what the history has and nobody owns; give up on those that are older than `grace`."""
    if not lost:
        return
    ledger = taisly.ledger
    owned = ledger.owned_history_ids(taisly.service, [item.id for item in items])
    free = [item for item in items if item.id not in owned]
    matched = match_sends(lost, at_work, free)
    for send in lost:
        state = settled_state(found=send.id in matched, age=now - (send.sealed_at or now), grace=grace)
        if state is PostState.ACCEPTED:
            ledger.accepted(send.id, matched[send.id], "found in Taisly's history")
        elif state is PostState.UNCONFIRMED:
            candidates = sum(matches_send(item, [send]) for item in free)
            ledger.settle(send.id, PostState.UNCONFIRMED, unconfirmed_reason(candidates))


def unconfirmed_reason(candidates: int) -> str:
    """Why it is not known whether a post went out."""
    seen = f"shows {count(candidates, 'post')} that could be it" if candidates else "does not show it"
    return f"Taisly's answer was lost, and its history {seen}"


def reconcile_now(taisly: RateLimitedTaisly, send_id: str) -> bool:
    """After a 429 to a whole upload: whether the post is out after all, or may be. False: it may be sent again.

    The history is read once; a send that cannot be told from others is left to `read_outcomes`.
    """
    ((send, _),) = taisly.ledger.sends([send_id])
    try:
        items = _read_history(taisly, [], [send], taisly.ledger.now())
    except ServiceError as error:
        taisly.ledger.answer_lost(send_id, f"429, and the history cannot be read ({error})")
        return True
    owned = taisly.ledger.owned_history_ids(taisly.service, list(items))
    candidates = [item for item in items.values() if item.id not in owned and matches_send(item, [send])]
    if not candidates:
        return False
    at_work = [s for s, _ in open_sends_of(taisly) if s.id != send_id and s.history_id is None]
    if matched := match_sends([send], at_work, candidates):
        taisly.ledger.accepted(send_id, matched[send_id], "answered with 429, but found in Taisly's history")
    else:
        taisly.ledger.answer_lost(send_id, "429, but the history has posts that may be it")
    return True
