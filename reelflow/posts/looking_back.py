"""Look into Taisly's history for what a new, emptied or older ledger does not know, before its first sends."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from reelflow.errors import DuplicatePost
from reelflow.ledger import Ledger
from reelflow.posts.fitting import Fit, caption_fit
from reelflow.posts.history import CLOCK_SLACK
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.posts import Account, FoundPost, PostRequest, plain_caption
from reelflow.taisly.wire import HistoryItem
from reelflow.wording import count, duration

log = logging.getLogger(__name__)

AHEAD = timedelta(days=400)
"""How far in the future a scheduled post is looked for."""

LONGEST_CAPTION = 10_000
"""Characters of a caption that are stored; platforms allow fewer."""


def look_back(taisly: RateLimitedTaisly, seconds: float, *, patience: float = 0.0) -> None:
    """Store what the history has and no send on record owns; once for each key, if its ledger has to look back.

    One request; two if the first shows nothing, since how a range is to be written is not documented.

    Args:
        taisly: With the ledger.
        seconds: How far apart the same post may be published to the same account.
        patience: Seconds to wait for room in the plan.

    Raises:
        ServiceError: the history cannot be read. Nothing may be sent until it was.
    """
    ledger = taisly.ledger
    if not seconds or not ledger.has_to_look_back(taisly.key):
        return
    now, ahead = ledger.now(), taisly.clock_ahead or 0.0
    start = datetime.fromtimestamp(now + ahead - seconds, UTC) - CLOCK_SLACK
    items = taisly.history_between(start, datetime.fromtimestamp(now + ahead, UTC) + AHEAD, "publish", patience)
    items = items or taisly.history_page(1, "publish", patience)
    owned = ledger.owned_history_ids(taisly.service, [item.id for item in items if item.id])
    found = [_found(item, taisly.clock_ahead or 0.0) for item in items if item.id not in owned]
    ledger.store_found(taisly.key, taisly.service, found)
    shows = (
        f"It shows {count(len(found), 'post')} that this ledger does not know. A post with the same caption to the "
        "same account is refused."
    )
    log.log(
        logging.WARNING if found else logging.INFO,
        "This ledger is new here or has lost sends, so Taisly's history of the last %s was read. %s",
        duration(seconds),
        shows if found else "This ledger knows all of its posts.",
    )
    if untold := sum(not post.caption for post in found):
        log.warning("%d of them have no caption in the history, so they cannot be compared.", untold)


def _found(item: HistoryItem, clock_ahead: float) -> FoundPost:
    moment = item.scheduled or item.created
    return FoundPost(
        history_id=item.id,
        caption=(item.caption or "").replace("\0", "")[:LONGEST_CAPTION],
        account_ids=item.account_ids or tuple(r.platform_id for r in item.result if r.platform_id),
        platforms=tuple(r.platform for r in item.result if r.platform),
        at=moment.timestamp() - clock_ahead if moment else None,
    )


def check_found(ledger: Ledger, request: PostRequest, *, service: str) -> None:
    """Raise DuplicatePost if the history has this post at an account to which it would be sent, found looking back."""
    if request.repeat or not plain_caption(request.caption):
        return
    found, now = ledger.found_posts(service), ledger.now()
    accounts = ledger.claimable(request, service=service) if found else []
    for post in found:
        if not _is_near(request, post, now) or caption_fit(post.caption or None, request.caption) < Fit.LIKELY:
            continue
        for account in accounts:
            if _is_at(account, post):
                raise DuplicatePost(
                    f"Nothing was sent, because Taisly's history has a post with the same caption on {account.label}"
                    f"{_when(post)}, which this ledger does not know: it may have been sent from another ledger, or "
                    f"before this one lost what it knew. Check {account.label}. To send this post all the same, set "
                    "'Send again on purpose' to 1."
                )


def _is_near(request: PostRequest, post: FoundPost, now: float) -> bool:
    """Whether both would be published within the time in which the same post is refused."""
    due = max(now, request.scheduled_ms / 1000)
    return post.at is None or abs(due - post.at) < request.duplicate_seconds


def _is_at(account: Account, post: FoundPost) -> bool:
    """Whether a found post is at this account; where the history does not tell, it may be anywhere."""
    if post.account_ids:
        return account.id in post.account_ids
    return not post.platforms or account.platform.casefold() in {name.casefold() for name in post.platforms}


def _when(post: FoundPost) -> str:
    return "" if post.at is None else f" from {datetime.fromtimestamp(post.at, UTC):%Y-%m-%d %H:%M} UTC"
