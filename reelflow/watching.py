"""Following posts in Taisly's history until every platform has an outcome.

There is one reader for each key, whichever run it is in: it reads the history by time range for every open post of
every run, and writes what it finds into the ledger, from which the other runs take it. On the smallest plan (50
requests an hour) a look for each post and run would use up the quota with a handful of posts.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reelflow.errors import Busy, ReelflowError, Refused, ServiceError
from reelflow.metered import BUSY_SECONDS, MeteredTaisly
from reelflow.models import UNDER_WAY, Outcome, Send, State
from reelflow.publishing import CLOCK_SLACK, fits, match, outcomes, unconfirmed_words
from reelflow.taisly.wire import HistoryItem

log = logging.getLogger(__name__)

FIRST_PAUSE = 5.0
"""Seconds until the first look; platforms need at least that long."""
GROWTH = 1.6
LONGEST_PAUSE = 120.0
"""Seconds; 30 looks an hour, which leaves the smallest plan 20 requests for sending."""
NEXT_ARRIVAL = 3.0
"""A post that joins others in flight is looked for within this many first pauses."""
FOLLOWER_PAUSE = 1.0
"""Seconds between two looks into the ledger by a run that does not read the history itself."""
PAGES = 3
"""Pages looked through, ten posts each, when the range does not have a post that it should."""
GRACE = 600.0
"""Seconds after which a post whose answer was lost, and which the history does not show, is left to a person."""

Open = list[tuple[Send, list[Outcome]]]


@dataclass
class Followed:
    """What came of following: what went wrong last, if the last look failed; and each piece of news."""

    trouble: ReelflowError | None = None
    news: list[tuple[Send, Outcome]] = field(default_factory=list)


def follow(
    taisly: MeteredTaisly,
    send_ids: Sequence[str] | None,
    *,
    seconds: float,
    first_pause: float = FIRST_PAUSE,
    grace: float = GRACE,
    on_news: Callable[[Send, Outcome], None] = lambda send, outcome: None,
) -> Followed:
    """Wait until the sends of `send_ids` have an outcome everywhere, or `seconds` are over.

    A look that fails is no reason to give up, since the posts are out there all the same: a 429 is waited for, a
    broken connection tried again at the next look. Only a key that is no longer accepted ends it early. Never raises
    for what Taisly does; `Followed.trouble` says what went wrong last.

    Args:
        taisly: With the ledger that has the sends.
        send_ids: Whose end to wait for; None for every open send of this key.
        seconds: How long to wait.
        first_pause: Seconds until the first look.
        grace: Seconds after which a post that cannot be found becomes UNCONFIRMED.
        on_news: Called for each new outcome that this run reads.
    """
    ledger, me, followed = taisly.ledger, uuid.uuid4().hex, Followed()
    end = ledger.now() + seconds
    _join(taisly, me, first_pause)
    try:
        while (now := ledger.now()) < end and _still_open(taisly, send_ids):
            leading, next_look, pause = ledger.lead(taisly.key, me, ledger.lease_seconds)
            if not leading:
                taisly.sleep(min(FOLLOWER_PAUSE, end - now))
            elif now < next_look:
                taisly.sleep(min(next_look - now, end - now, ledger.lease_seconds / 3))
            else:
                wait = _look_and_tell(taisly, followed, grace, on_news)
                if wait is None:
                    break
                pause = max(first_pause, min(LONGEST_PAUSE, pause * GROWTH))
                ledger.plan_look(taisly.key, ledger.now() + max(pause, wait), pause)
    finally:
        ledger.stop_leading(taisly.key, me)
    return followed


def _join(taisly: MeteredTaisly, me: str, first_pause: float) -> None:
    """Plan a look for posts that have just been sent, without one for each of many."""
    ledger, now = taisly.ledger, taisly.ledger.now()
    _, next_look, pause = ledger.lead(taisly.key, me, 0)
    if next_look <= now:
        ledger.plan_look(taisly.key, now + first_pause, first_pause)
    elif next_look > now + NEXT_ARRIVAL * first_pause:
        ledger.plan_look(taisly.key, now + NEXT_ARRIVAL * first_pause, min(pause, NEXT_ARRIVAL * first_pause))


def _still_open(taisly: MeteredTaisly, send_ids: Sequence[str] | None) -> bool:
    if send_ids is None:
        try:
            return bool(open_for(taisly))
        except ServiceError:  # which accounts this key has cannot be asked now: the next look says why
            return True
    return any(o.state in UNDER_WAY for _, found in taisly.ledger.sends(send_ids) for o in found)


def open_for(taisly: MeteredTaisly) -> Open:
    """The open sends to accounts that this key can see; those of another Taisly account are not its business."""
    found = taisly.ledger.open_sends(taisly.service)
    ours = taisly.account_ids() if found else set()
    return [(send, its) for send, its in found if ours >= set(send.account_ids)]


def _look_and_tell(
    taisly: MeteredTaisly, followed: Followed, grace: float, on_news: Callable[[Send, Outcome], None]
) -> float | None:
    """Look once. The least seconds until the next look, or None if there can be none."""
    try:
        for send, outcome in look(taisly, grace=grace):
            followed.news.append((send, outcome))
            on_news(send, outcome)
        followed.trouble = None
    except Busy as error:
        followed.trouble = error
        return error.retry_after or BUSY_SECONDS
    except Refused as error:
        followed.trouble = error
        log.warning("The history cannot be read any more: %s", error)
        return None
    except ReelflowError as error:
        followed.trouble = error
        log.warning("The history could not be read, will look again: %s", error)
    return 0.0


def look(taisly: MeteredTaisly, *, grace: float = GRACE) -> list[tuple[Send, Outcome]]:
    """Read the history once for every open send, and put on record what it says; the outcomes that are news.

    Sends that died before their upload was complete are given back; sends whose answer was lost are matched with the
    history, or become UNCONFIRMED after `grace` seconds.

    Raises:
        ServiceError: as the client does.
        LedgerUnavailable: what was read could not be put on record.
    """
    ledger, now = taisly.ledger, taisly.ledger.now()
    accepted: Open = []
    lost: list[Send] = []
    busy: list[Send] = []
    for send, found in open_for(taisly):
        if send.history_id is not None:
            if send.scheduled_ms <= (now + CLOCK_SLACK.total_seconds()) * 1000:
                accepted.append((send, found))
        elif not send.lost(now):
            busy.append(send)
        elif send.sealed_at is None:
            ledger.give_back(send.id, "its run died before the upload was complete; nothing was posted")
        else:
            lost.append(send)
    if not accepted and not lost:
        return []
    items = _read(taisly, [s for s, _ in accepted], lost, now)
    _adopt(taisly, lost, busy, list(items.values()), now, grace)
    news = []
    adopted = [(s, found) for s, found in ledger.sends([s.id for s in lost]) if s.history_id is not None]
    for send, found in (*accepted, *adopted):
        item = items.get(send.history_id or "")
        told = outcomes([o.account for o in found], item)
        news += [(send, outcome) for outcome in ledger.record(send.id, told)]
    return news


def _read(taisly: MeteredTaisly, accepted: list[Send], lost: list[Send], now: float) -> dict[str, HistoryItem]:
    """The history of the time of these sends, by id; page by page where the range has not what it should."""
    slack = CLOCK_SLACK.total_seconds()
    begun = [s.begun_at or now for s in (*accepted, *lost)]
    first = min(begun) - slack
    last = max(now, *(s.scheduled_ms / 1000 for s in (*accepted, *lost))) + slack
    found = taisly.history_between(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC))
    items = {item.id: item for item in found}
    wanted = {s.history_id for s in accepted}
    for page in range(1, PAGES + 1):
        if wanted <= set(items) and (items or not lost):
            break
        more = taisly.history_page(page)
        items |= {item.id: item for item in more}
        if not more:
            break
    return items


def _adopt(
    taisly: MeteredTaisly, lost: list[Send], busy: list[Send], items: list[HistoryItem], now: float, grace: float
) -> None:
    """Match lost sends with what the history has and nobody owns; give up on those that are older than `grace`."""
    if not lost:
        return
    ledger = taisly.ledger
    owned = ledger.owned(taisly.service, [item.id for item in items])
    free = [item for item in items if item.id not in owned]
    matched = match(lost, busy, free)
    for send in lost:
        if send.id in matched:
            ledger.accepted(send.id, matched[send.id], "found in Taisly's history")
        elif now - (send.sealed_at or now) > grace:
            fitting = sum(fits(item, [send]) for item in free)
            ledger.settle(send.id, State.UNCONFIRMED, unconfirmed_words(send, fitting))


def reconcile_now(taisly: MeteredTaisly, send_id: str) -> bool:
    """After a 429 to a whole upload: whether the post is out after all, or may be. False: it may be sent again.

    The history is read once; a send that cannot be told from others is left to `look`.
    """
    ((send, _),) = taisly.ledger.sends([send_id])
    try:
        items = _read(taisly, [], [send], taisly.ledger.now())
    except ServiceError as error:
        taisly.ledger.answer_lost(send_id, f"429, and the history cannot be read ({error})")
        return True
    owned = taisly.ledger.owned(taisly.service, list(items))
    fitting = [item for item in items.values() if item.id not in owned and fits(item, [send])]
    if not fitting:
        return False
    busy = [s for s, _ in open_for(taisly) if s.id != send_id and s.history_id is None]
    if matched := match([send], busy, fitting):
        taisly.ledger.accepted(send_id, matched[send_id], "answered with 429, but found in Taisly's history")
    else:
        taisly.ledger.answer_lost(send_id, "429, but the history has posts that may be it")
    return True
