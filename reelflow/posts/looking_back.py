"""Look into Taisly's history for what a new, emptied or older ledger does not know, before its first sends."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from reelflow.errors import DuplicatePost
from reelflow.ledger import Ledger
from reelflow.posts.history import CLOCK_SLACK
from reelflow.posts.matching import Match, match_caption
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.posts import FoundPost, PostRequest, plain_caption
from reelflow.taisly.wire import HistoryItem
from reelflow.time_zones import DAY, shown
from reelflow.wording import count, duration

log = logging.getLogger(__name__)

AHEAD = timedelta(days=400)
"""How far in the future a scheduled post is looked for."""

LEAST = DAY
"""Seconds looked back in any case: the same post is one post, however soon the same video may be published again."""

PAGE = 10
"""Posts on a page of the history, as documented."""
MOST_PAGES = 30
"""Pages that are read to reach the time looked back to."""
SENSIBLE = (datetime(2020, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp())
"""Times outside of this cannot be Taisly's own."""

LONGEST_CAPTION = 10_000
"""Characters of a caption that are stored; platforms allow fewer."""


def look_back(taisly: RateLimitedTaisly, seconds: float, *, patience: float = 0.0) -> None:
    """Store what the history has and no send on record owns; once for each key, if its ledger has to look back.

    One request, if Taisly has understood the range. How a range is written is not documented, so an empty answer, or
    exactly one page of posts, may mean that it was ignored: then the history is read page by page, until a post is
    older.

    Args:
        taisly: With the ledger.
        seconds: How far apart the same post may be published to the same account.
        patience: Seconds to wait for room in the plan.

    Raises:
        ServiceError: the history cannot be read. Nothing may be sent until it was.
        DuplicatePost: it cannot be read as far back as is needed, so the post may be in it.
    """
    ledger, reach = taisly.ledger, max(seconds, LEAST)
    if not ledger.has_to_look_back(taisly.key):
        return
    items = _read_back(taisly, reach, patience)
    owned = ledger.owned_history_ids(taisly.service, [item.id for item in items if item.id])
    found = [found_post(item, _clock_ahead(taisly)) for item in items if item.id not in owned]
    ledger.store_found(taisly.key, taisly.service, found)
    shows = (
        f"It shows {count(len(found), 'post')} that this ledger does not know. A post with the same caption to the "
        "same account is refused."
    )
    log.log(
        logging.WARNING if found else logging.INFO,
        "This ledger is new on this Prefect server, or lacks sends that the server remembers. So Taisly's history of "
        "the last %s was read. %s",
        duration(reach),
        shows if found else "It shows no post that this ledger does not know.",
    )
    if untold := sum(not post.caption for post in found):
        log.warning("%d of them have no caption in the history, so they cannot be compared.", untold)


def _read_back(taisly: RateLimitedTaisly, reach: float, patience: float) -> list[HistoryItem]:
    """The history of so many seconds, and what is scheduled."""
    ahead = _clock_ahead(taisly)
    items = _read_range(taisly, reach, patience)
    if abs(_clock_ahead(taisly) - ahead) > CLOCK_SLACK.total_seconds() / 2:  # its first answer tells its clock
        items = _read_range(taisly, reach, patience)
    return items if len(items) not in (0, PAGE) else _read_pages(taisly, items, _start(taisly, reach), patience)


def _read_range(taisly: RateLimitedTaisly, reach: float, patience: float) -> list[HistoryItem]:
    return taisly.history_between(_start(taisly, reach), _taislys_now(taisly) + AHEAD, "publish", patience)


def _read_pages(
    taisly: RateLimitedTaisly, items: list[HistoryItem], start: datetime, patience: float
) -> list[HistoryItem]:
    """`items`, and the newest pages back to `start`."""
    found, seen = list(items), set[str]()
    for page in range(1, MOST_PAGES + 1):
        more = taisly.history_page(page, "publish", patience)
        known = {item.id for item in found if item.id}
        found += [item for item in more if item.id not in known]
        if not more or any(item.created is not None and item.created < start for item in more):
            return found
        ids = {item.id for item in more}
        if ids <= seen:  # the same page once more: the number is not understood
            break
        seen |= ids
    raise DuplicatePost(
        "Nothing was sent. This ledger is new on this Prefect server, or lacks sends that the server remembers, "
        "and Taisly's history cannot be read far enough back to see whether the post is in it (to "
        f"{shown(start)}; {count(page, 'page')} read). "
        "Check the accounts. To send this post all the same, set 'Send again on purpose' to 1."
    )


def _clock_ahead(taisly: RateLimitedTaisly) -> float:
    """By how much Taisly's clock is ahead of ours; 0 if that is not known, or its date is implausible."""
    ahead = taisly.clock_ahead or 0.0
    return ahead if SENSIBLE[0] < taisly.ledger.now() + ahead < SENSIBLE[1] else 0.0


def _taislys_now(taisly: RateLimitedTaisly) -> datetime:
    return datetime.fromtimestamp(taisly.ledger.now() + _clock_ahead(taisly), UTC)


def _start(taisly: RateLimitedTaisly, reach: float) -> datetime:
    return _taislys_now(taisly) - timedelta(seconds=reach) - CLOCK_SLACK


def found_post(item: HistoryItem, clock_ahead: float) -> FoundPost:
    """An item of Taisly's history as a post that no send on record owns; its time by our clock."""
    moments = (moment.timestamp() for moment in (item.scheduled, item.created) if moment is not None)
    return FoundPost(
        history_id=item.id,
        caption=(item.caption or "").replace("\0", "")[:LONGEST_CAPTION],
        account_ids=item.account_ids or tuple(r.platform_id for r in item.result if r.platform_id),
        platforms=tuple(r.platform for r in item.result if r.platform),
        at=next((moment - clock_ahead for moment in moments if SENSIBLE[0] < moment < SENSIBLE[1]), None),
    )


def check_found(ledger: Ledger, request: PostRequest, *, service: str) -> None:
    """Raise DuplicatePost if the history has this post at an account to which it would be sent, found looking back."""
    if reason := found_reason(ledger, request, ledger.found_posts(service), service=service):
        raise DuplicatePost(
            f"Nothing was sent, because {reason} To send this post all the same, set 'Send again on purpose' to 1."
        )


def found_reason(ledger: Ledger, request: PostRequest, found: Sequence[FoundPost], *, service: str) -> str:
    """What of the history may be this post, and where to look; "" for nothing.

    Args:
        ledger: It tells which accounts have the post already: for those, the history says nothing new.
        request: The post.
        found: What was found looking back, from the ledger.
        service: The post's service.
    """
    if not found or request.repeat or not plain_caption(request.caption):
        return ""
    now, accounts = ledger.now(), ledger.claimable(request, service=service)
    for post in found:
        if not _is_near(request, post, now) or match_caption(post.caption or None, request.caption) < Match.LIKELY:
            continue
        for account in accounts:
            if post.is_at(account):
                return (
                    f"Taisly's history has a post with the same caption on {account.label}{_when(post)}, which this "
                    "ledger does not know: it may have been sent from another ledger, or before this one lost what it "
                    f"knew. Check {account.label}."
                )
    return ""


def _is_near(request: PostRequest, post: FoundPost, now: float) -> bool:
    """Whether both would be published within the time in which the same post is refused."""
    due = max(now, request.scheduled_ms / 1000)
    return post.at is None or abs(due - post.at) < max(request.duplicate_seconds, LEAST)


def _when(post: FoundPost) -> str:
    return "" if post.at is None else f" from {shown(post.at)}"
