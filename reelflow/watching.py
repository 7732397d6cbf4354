"""Following posts in Taisly's history until every platform has an outcome.

One look reads the history by time range and so serves every post in flight: on the smallest plan (50 requests an
hour) a look per post would use up the quota with a handful of posts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reelflow.errors import Busy, NothingSent, OutcomeUnknown, Refused, ServiceError
from reelflow.models import SentPost
from reelflow.taisly.client import TaislyClient
from reelflow.taisly.wire import HistoryItem

log = logging.getLogger(__name__)

FIRST_PAUSE = 5.0
"""Seconds until the first look; platforms need at least that long."""
GROWTH = 1.6
LONGEST_PAUSE = 120.0
"""Seconds; 30 looks an hour, which leaves the smallest plan 20 requests for sending."""
CLOCK_SLACK = timedelta(minutes=10)
"""How far our clock and Taisly's may differ before a post falls out of the range that is read."""
PAGES = 3
"""Pages looked through, ten posts each, when the range does not have a post that it should."""
BUSY_PAUSE = 60.0
"""Seconds to wait after a 429 that does not say how long."""


def pauses(first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> Iterator[float]:
    """Seconds to wait before each look: growing by 1.6 up to `longest`."""
    pause = min(first, longest)
    while True:
        yield pause
        pause = min(longest, pause * GROWTH)


@dataclass
class Looked:
    """What the history said last: the items by id, and why a look failed, if the last one did."""

    items: dict[str, HistoryItem] = field(default_factory=dict)
    trouble: ServiceError | None = None

    def open(self, posts: Mapping[str, SentPost]) -> list[str]:
        """The ids of `posts` that are not finished."""
        return [i for i in posts if i not in self.items or not self.items[i].finished]


def look(client: TaislyClient, posts: Mapping[str, SentPost], now: datetime) -> dict[str, HistoryItem]:
    """Read the history once for all `posts` (by history id), with pages as the fallback.

    Raises:
        ServiceError: as the client does.
    """
    first = min(post.sent_at for post in posts.values()) - CLOCK_SLACK
    last = max([now, *(post.scheduled_for for post in posts.values() if post.scheduled_for)]) + CLOCK_SLACK
    found = {item.id: item for item in client.history_between(first, last) if item.id in posts}
    for page in range(1, PAGES + 1):
        if len(found) == len(posts):
            break
        items = client.history_page(page)
        found |= {item.id: item for item in items if item.id in posts}
        if not items:
            break
    return found


def watch(
    client: TaislyClient,
    posts: Mapping[str, SentPost],
    *,
    seconds: float,
    first_pause: float = FIRST_PAUSE,
    longest_pause: float = LONGEST_PAUSE,
    on_look: Callable[[Looked], None] = lambda looked: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Looked:
    """Look again and again, at growing intervals, until all `posts` are finished or `seconds` are over.

    A look that fails is no reason to give up, since the posts are out there all the same: a 429 is waited for,
    a broken connection tried again at the next look. Only a key that is no longer accepted ends it early.
    Never raises for what a service does; `Looked.trouble` says what went wrong last.

    Args:
        client: The client to read with.
        posts: The posts by history id.
        seconds: How long to go on.
        first_pause: Seconds until the first look.
        longest_pause: Seconds between two looks at the most.
        on_look: Called after each look.
        sleep: For tests.
        clock: For tests.
    """
    looked, end = Looked(), clock() + seconds
    for pause in pauses(first_pause, longest_pause):
        if not looked.open(posts):
            break
        if isinstance(looked.trouble, Busy):
            pause = max(pause, looked.trouble.retry_after or BUSY_PAUSE)
        left = end - clock()
        if left <= 0:
            break
        sleep(min(pause, left))
        try:
            looked.items |= look(client, posts, datetime.now(UTC))
            looked.trouble = None
        except Refused as error:
            looked.trouble = error
            log.warning("The history cannot be read any more: %s", error)
            break
        except (NothingSent, OutcomeUnknown) as error:
            looked.trouble = error
            log.warning("The history could not be read, will look again: %s", error)
        on_look(looked)
    return looked
