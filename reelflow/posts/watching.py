"""Watch posts in Taisly's history until every platform has an outcome, or the time is over.

Each key has one reader, in one of the runs. It reads the history by time range for every open post of every run, and
writes the outcomes to the ledger, where the other runs read them. On the smallest plan (50 requests an hour), one check
per post and run would use up the quota with a handful of posts.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from reelflow.countdown import Countdown
from reelflow.errors import Busy, ReelflowError, Refused, ServiceError
from reelflow.ledger import Ledger
from reelflow.posts.history import CLOCK_SLACK, GRACE, adopt_lost, open_sends_of, read_history
from reelflow.posts.outcomes import outcomes_of
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.request_limit import BUSY_SECONDS
from reelflow.records.post_states import PostState, SendStatus, overdue_reason
from reelflow.records.posts import Outcome, Send, SendRecord

log = logging.getLogger(__name__)

FIRST_PAUSE = 5.0
"""Seconds until the first look; platforms need at least that long."""
GROWTH = 1.6
"""Factor from each pause to the next, so that a post that takes long does not use up the plan."""
LONGEST_PAUSE = 120.0
"""Seconds; 30 looks an hour, which leaves the smallest plan 20 requests for sending."""
NEXT_ARRIVAL = 3.0
"""A post that joins others in flight is looked for within this many first pauses."""
ASK_WHO_WAITS = 12.0
"""Seconds between two times that `stop_early` is asked; more by chance, so that not all runs end at once."""
FOLLOWER_PAUSE = 1.0
"""Seconds between two looks into the ledger by a run that does not read the history itself."""
KEY_UNUSED = 7 * 86400.0
"""Seconds after which nobody is expected to read the outcomes of a key that has not been used: it may be deleted."""
REFUSALS = 3
"""So many refusals in a row end a watch: one may come from a proxy or a captive portal on the way."""


@dataclass
class WatchResult:
    """The result of watching: what went wrong in the last look, if anything; and each new outcome.

    `paused_until` is when the pause that was logged last ends, in Unix seconds. `stopped_early` says that others are to
    read the outcomes that are missing.
    """

    trouble: ReelflowError | None = None
    refusals: int = 0
    paused_until: float = 0.0
    stopped_early: bool = False
    news: list[tuple[Send, Outcome]] = field(default_factory=list)


def watch_posts(
    taisly: RateLimitedTaisly,
    send_ids: Collection[str] | None,
    *,
    seconds: float,
    first_pause: float = FIRST_PAUSE,
    grace: float = GRACE,
    on_news: Callable[[Send, Outcome], None] = lambda send, outcome: None,
    stop_early: Callable[[], bool] = lambda: False,
) -> WatchResult:
    """Wait until the sends of `send_ids` have an outcome everywhere, or `seconds` are over.

    A post that Taisly publishes later is not waited for.

    A look that fails is no reason to give up, since the posts are out there all the same: a 429 is waited for, a
    broken connection tried again at the next look. Only repeated refusals end it early, such as of a key that is no
    longer accepted. Never raises for what Taisly does; `WatchResult.trouble` says what went wrong last.

    Args:
        taisly: With the ledger that has the sends.
        send_ids: Whose end to wait for; None for every open send of this key.
        seconds: How long to wait.
        first_pause: Seconds until the first look, and the least between two.
        grace: Seconds after which a post that cannot be found becomes UNCONFIRMED.
        on_news: Called for each new outcome that this run reads.
        stop_early: Asked now and then whether to leave the rest to others, while they can read it as well.

    Raises:
        LedgerUnavailable: the ledger cannot tell what is open, or who reads the history.
    """
    ledger, me, result = taisly.ledger, uuid.uuid4().hex, WatchResult()
    waiting = Countdown(seconds, taisly.sleep)
    if not _still_open(taisly, send_ids):
        return result
    _join(taisly, me, first_pause)
    others = _Seldom(stop_early, waiting)
    try:
        while waiting.left and _still_open(taisly, send_ids):
            if others.say_so():
                result.stopped_early = True
                break
            reading, next_look, pause = ledger.become_reader(taisly.key, me, ledger.lease_seconds)
            until_look = next_look - ledger.now()
            if not reading:
                waiting.sleep(FOLLOWER_PAUSE)
            elif 0 < until_look <= max(first_pause, LONGEST_PAUSE):  # later than that: the clock was set back since
                waiting.sleep(min(until_look, ledger.lease_seconds / 3))
            else:
                _look_and_tell(taisly, result, grace, on_news)
                if result.refusals == REFUSALS:
                    break
                pause = max(first_pause, min(LONGEST_PAUSE, pause * GROWTH))
                ledger.plan_next_look(taisly.key, ledger.now() + pause, pause)
    finally:
        ledger.stop_reading(taisly.key, me)
    return result


class _Seldom:
    """A question that is asked at once, and then every `ASK_WHO_WAITS` seconds or so."""

    def __init__(self, ask: Callable[[], bool], waiting: Countdown) -> None:
        self._ask, self._waiting = ask, waiting
        self._next = waiting.left

    def say_so(self) -> bool:
        """The answer, where it is time to ask; else no."""
        if self._waiting.left > self._next:
            return False
        self._next = self._waiting.left - ASK_WHO_WAITS * random.uniform(1.0, 1.5)  # noqa: S311 - nothing secret
        return self._ask()


def _join(taisly: RateLimitedTaisly, me: str, first_pause: float) -> None:
    """Plan a look for posts that have just been sent, without one for each of many."""
    ledger, now = taisly.ledger, taisly.ledger.now()
    _, next_look, pause = ledger.become_reader(taisly.key, me, 0)
    if next_look <= now:
        ledger.plan_next_look(taisly.key, now + first_pause, first_pause)
    elif next_look > now + NEXT_ARRIVAL * first_pause:
        ledger.plan_next_look(taisly.key, now + NEXT_ARRIVAL * first_pause, min(pause, NEXT_ARRIVAL * first_pause))


def _still_open(taisly: RateLimitedTaisly, send_ids: Collection[str] | None) -> bool:
    """Whether there is something to look for: a scheduled post has no outcome before its time."""
    try:
        found = open_sends_of(taisly) if send_ids is None else taisly.ledger.sends(send_ids)
    except ServiceError:  # which accounts this key has cannot be asked now: the next look says why
        return True
    now = taisly.ledger.now()
    due = [record for record in found if record[0].status(now) is not SendStatus.SCHEDULED]
    return any(o.state.in_flight for _, outcomes in due for o in outcomes)


def _look_and_tell(
    taisly: RateLimitedTaisly, result: WatchResult, grace: float, on_news: Callable[[Send, Outcome], None]
) -> None:
    """Look once. A key that has to rest after a 429 is left alone by the looks that follow, too."""
    try:
        for send, outcome in read_outcomes(taisly, grace=grace):
            result.news.append((send, outcome))
            on_news(send, outcome)
        result.trouble, result.refusals = None, 0
    except Busy as error:
        result.trouble = error
        _log_pause(error, taisly.ledger.now(), result)
    except Refused as error:
        result.trouble, result.refusals = error, result.refusals + 1
        log.warning("Taisly's history could not be read: %s", error)
    except ReelflowError as error:
        result.trouble = error
        log.warning("Taisly's history could not be read. Trying again at the next check: %s", error)


def _log_pause(error: Busy, now: float, result: WatchResult) -> None:
    """Log a pause once; the looks that fall into it fail alike."""
    if now >= result.paused_until:
        log.warning("Taisly's history cannot be read for now. Trying again after the pause: %s", error)
        result.paused_until = now + (error.retry_after or BUSY_SECONDS)


def read_outcomes(taisly: RateLimitedTaisly, *, grace: float = GRACE) -> list[tuple[Send, Outcome]]:
    """Read the history once for every open send, and record what it says; the outcomes that are new.

    Sends that died before their upload was complete are released; sends whose answer was lost are matched with the
    history, or become UNCONFIRMED after `grace` seconds. So do posts without an outcome after a much longer time.

    Raises:
        ServiceError: as the client does.
        LedgerUnavailable: what was read could not be recorded.
    """
    ledger, now = taisly.ledger, taisly.ledger.now()
    by_status: dict[SendStatus, list[SendRecord]] = {status: [] for status in SendStatus}
    for send, found in open_sends_of(taisly):
        by_status[send.status(now, clock_slack=CLOCK_SLACK.total_seconds())].append((send, found))
    for send, _ in by_status[SendStatus.ABANDONED]:
        ledger.release_dead(send.id, "its run died before the upload was complete; nothing was posted")
    due, lost = by_status[SendStatus.DUE], [send for send, _ in by_status[SendStatus.ANSWER_LOST]]
    readable = taisly.account_ids() | ledger.accounts_of_all_keys(KEY_UNUSED)
    news = give_up_disconnected(ledger, taisly.service, readable)
    if not due and not lost:
        return news
    history = read_history(taisly, [send for send, _ in due], lost)
    news += adopt_lost(taisly, lost, [send for send, _ in by_status[SendStatus.AT_WORK]], history, grace)
    adopted = [(send, found) for send, found in ledger.sends([s.id for s in lost]) if send.history_id is not None]
    items = {send.id: history.find(send.history_id) for send, _ in (*due, *adopted)}
    ledger.note_watched([send for send, _ in (*due, *adopted)])
    ledger.note_shown([i for i, item in items.items() if item], [send for send, _ in due if items[send.id] is None])
    connected = history.matcher.account_ids
    for send, found in (*due, *adopted):
        told = outcomes_of([o.account for o in found], items[send.id], connected=connected)
        news += [(send, outcome) for outcome in ledger.record_outcomes(send.id, told)]
        missed = 0.0 if items[send.id] else send.missed_for(now)
        if reason := overdue_reason(watched_for=send.watched_for(now), missed_for=missed):
            news += [(send, outcome) for outcome in ledger.settle(send.id, PostState.UNCONFIRMED, reason)]
    return news


def give_up_disconnected(ledger: Ledger, service: str, connected: Collection[str]) -> list[tuple[Send, Outcome]]:
    """End the sends whose outcome no connected account can tell, of any key, once that has lasted long enough.

    Args:
        ledger: With the sends.
        service: To which they went.
        connected: The ids of the accounts whose outcomes somebody may still read.

    Returns:
        The new outcomes.
    """
    now, news = ledger.now(), list[tuple[Send, Outcome]]()
    waiting = [
        send
        for send, _ in ledger.open_sends(service)
        if not set(connected) & set(send.account_ids)
        and send.status(now) not in (SendStatus.AT_WORK, SendStatus.SCHEDULED)
    ]
    for send in waiting:
        if overdue_reason(watched_for=send.watched_for(now), missed_for=0.0):
            reason = "its accounts are no longer connected in Taisly, so its outcome cannot be read"
            news += [(send, outcome) for outcome in ledger.settle(send.id, PostState.UNCONFIRMED, reason)]
    ledger.note_watched(waiting)
    return news
