"""When accounts have posts, and which of their slots were used: read in the transaction that gives slots."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.ledger.database import in_parts
from reelflow.ledger.schema import destinations, reservations, sends
from reelflow.records.campaigns import RowPost, Taken
from reelflow.records.post_states import NOT_OUT, PostState, may_be_claimed
from reelflow.time_zones import DAY

_WITH_LEASES = sa.select(destinations, sends.c.lease_until, sends.c.sealed_at, sends.c.claimed_at).join(
    sends, sends.c.id == destinations.c.send_id
)


class SentPost(NamedTuple):
    """A post as it was sent to one account, or is to be, whatever its caption. `ms` is 0 for at once."""

    sha256: str
    account_id: str
    repeat: int
    ms: int


def sent_at(post: RowPost, at: float) -> SentPost:
    """A post of a plan as it is sent for a moment in Unix seconds."""
    return SentPost(post.sha256, post.account_id, post.repeat, round(at * 1000))


def post_of(row: Any) -> RowPost:
    """The post for which a row of reservations keeps a slot."""
    return RowPost(row["campaign"], row["sha256"], row["account_id"], row["repeat"])


def used_moments(connection: Connection, service: str, sha256s: set[str], now: float) -> dict[SentPost, bool]:
    """Whether posts of these videos may be out, or are being sent; not if they were refused or cancelled.

    A claim that came to nothing is not named: its run died or was told to wait, and the post is sent at the same time
    by the next one.
    """
    d, found = destinations.c, dict[SentPost, bool]()
    for some in in_parts(sha256s):
        query = _WITH_LEASES.where(d.service == service, d.sha256.in_(some))
        for row in connection.execute(query).mappings():
            if row["state"] in NOT_OUT:
                found.setdefault(_sent_of(row), False)
            elif not _may_be_claimed(row, now):
                found[_sent_of(row)] = True
    return found


def taken_moments(
    connection: Connection,
    service: str,
    account_ids: set[str],
    now: float,
    others: Taken,
    *,
    add: Collection[RowPost] = (),
    leave_out: Collection[RowPost] = (),
) -> dict[str, list[float]]:
    """When these accounts have posts, from a day ago on: sent, scheduled or reserved, each once; sorted.

    Args:
        connection: Of the ledger.
        service: The posts' service.
        account_ids: Whose.
        now: Unix seconds.
        others: What else they have.
        add: Posts that are to be sent at times of their own.
        leave_out: Posts that do not count, neither at their own times nor in their slots.
    """
    d, r, since = destinations.c, reservations.c, now - DAY
    found = {account: {("", 0, at) for at in others.get(account, ())} for account in account_ids}
    slots_left_out = {post._replace(at=None) for post in leave_out}
    left_out = {sent_at(post, post.at) for post in leave_out if post.at is not None}
    counted, gone = set[SentPost](), set[SentPost]()
    for some in in_parts(account_ids):
        is_recent = (d.scheduled_ms >= round(since * 1000), d.changed_at >= since)  # with OR, all would be read
        ids = (sa.select(d.id).where(d.service == service, d.account_id.in_(some), each) for each in is_recent)
        for row in connection.execute(_WITH_LEASES.where(d.id.in_(sa.union(*ids)))).mappings():
            sent = _sent_of(row)
            if row["state"] in (*NOT_OUT, PostState.FAILED):
                gone.add(sent)
            elif sent not in left_out and not _may_be_claimed(row, now):
                at = row["scheduled_ms"] / 1000 or row["sealed_at"] or row["claimed_at"]
                counted.add(sent)
                found[sent.account_id].add((sent.sha256, sent.repeat, at))
        ahead = sa.select(reservations).where(r.service == service, r.account_id.in_(some), r.at > now)
        for row in connection.execute(ahead).mappings():
            post, at = post_of(row), row["at"]
            if post not in slots_left_out and sent_at(post, at) not in gone:
                found[post.account_id].add((post.sha256, post.repeat, at))
    for post in add:
        if post.account_id in found and post.at is not None and sent_at(post, post.at) not in counted:
            found[post.account_id].add((post.sha256, post.repeat, post.at or now))
    return {account: sorted(at for *_, at in moments) for account, moments in found.items()}


def _sent_of(row: Any) -> SentPost:
    return SentPost(row["sha256"], row["account_id"], row["repeat"], row["scheduled_ms"])


def _may_be_claimed(row: Any, now: float) -> bool:
    state = PostState(row["state"])
    return may_be_claimed(state, lease_until=row["lease_until"], sealed_at=row["sealed_at"], now=now)
