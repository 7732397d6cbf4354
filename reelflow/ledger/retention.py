"""Remove from the ledger what nobody reads any more. What prevents a second post or a second comment stays for ever.

Small transactions, with a pause after each: a run that is at work waits for one of them at most, and a process that is
killed leaves a ledger that is right. Each looks again at what it removes, since a person may have used it meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.ledger.database import AT_ONCE, Database, refuse_if_moved
from reelflow.ledger.schema import (
    alarms,
    api_requests,
    approvals,
    destinations,
    events,
    found_posts,
    metadata,
    phone_actions,
    phone_requests,
    phone_tasks,
    reservations,
    sends,
)
from reelflow.records.approvals import Answer
from reelflow.records.duplicates import UNSETTLED
from reelflow.records.phone_states import UNFINISHED, RequestState
from reelflow.records.retention import LedgerSize, Leftover, kept_since
from reelflow.wording import count

log = logging.getLogger(__name__)

SHORTEST_PAUSE = 0.005
"""Seconds after each part. The pause is as long as the part took, so that others get at least half of the time."""
_CLOSED = "closed"
"""As in `approvals`: the run has ended, or asks no more."""

_A, _D, _F, _R = approvals.c, destinations.c, found_posts.c, reservations.c
_P, _S, _T = phone_requests.c, sends.c, phone_tasks.c


class _Rule(NamedTuple):
    """Which rows go, given from when on they are kept; with `empties`, they stay, with this in place of a column."""

    table: sa.Table
    which: Callable[[float, float], sa.ColumnElement[bool]]
    empties: dict[str, str] | None = None

    @property
    def key(self) -> sa.Column[Any]:
        return next(iter(self.table.primary_key))


class RetentionLedger(Database):
    """The part of the ledger that forgets."""

    def tidy(self, days: float, *, dry_run: bool = False) -> dict[Leftover, int]:
        """Remove what is older than so many days and read by nobody; how many rows of each kind.

        Args:
            days: How long it is kept. Some of it is kept longer, whatever is said here: see `kept_since`.
            dry_run: Whether to count only.

        Raises:
            LedgerUnavailable: it cannot be used, or another one is used in its place. What was removed until then stays
                removed.
        """
        now, found = self.now(), dict[Leftover, int]()
        for what, rule in _RULES.items():
            condition = rule.which(kept_since(what, days, now), now)
            found[what] = self._count(rule, condition) if dry_run else self._remove(rule, condition)
            if found[what] and not dry_run:
                log.info("%s: %s %s.", what, count(found[what], "row"), "emptied" if rule.empties else "removed")
        return found

    def size(self) -> LedgerSize:
        """How large it is. Each table is counted, which takes a while where it is large; nobody waits for that."""
        with self.reading() as connection:
            refuse_if_moved(connection, self.place)
            rows = {
                table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in metadata.sorted_tables
            }
            if connection.dialect.name == "postgresql":
                sizes = (
                    sa.select(sa.func.pg_total_relation_size(sa.cast(name, sa.dialects.postgresql.REGCLASS)))
                    for name in rows
                )
                return LedgerSize(rows, sum(connection.scalar(size) or 0 for size in sizes), None)
            page, pages, free = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
                for name in ("page_size", "page_count", "freelist_count")
            )
            return LedgerSize(rows, page * pages, page * free)

    def _count(self, rule: _Rule, condition: sa.ColumnElement[bool]) -> int:
        with self.reading() as connection:
            refuse_if_moved(connection, self.place)
            return connection.scalar(sa.select(sa.func.count()).select_from(rule.table).where(condition)) or 0

    def _remove(self, rule: _Rule, condition: sa.ColumnElement[bool]) -> int:
        """Walk through a table by its key: what is to go is looked for without keeping anybody from writing."""
        removed, last = 0, None
        while True:
            began = time.monotonic()
            query = sa.select(rule.key).where(condition).order_by(rule.key).limit(AT_ONCE)
            with self.reading() as connection:
                keys = list(connection.scalars(query if last is None else query.where(rule.key > last)))
            with self.transaction() as connection:
                removed += self._remove_some(connection, rule, sa.and_(rule.key.in_(keys), condition))
            if len(keys) < AT_ONCE:
                return removed
            last = keys[-1]
            self._sleep(max(SHORTEST_PAUSE, time.monotonic() - began))

    def _remove_some(self, connection: Connection, rule: _Rule, which: sa.ColumnElement[bool]) -> int:
        statement = rule.table.delete() if rule.empties is None else rule.table.update().values(rule.empties)
        changed = connection.execute(statement.where(which)).rowcount
        refuse_if_moved(connection, self.place)  # after the first write, which waits for a move under way
        return changed


def _events(since: float, _now: float) -> sa.ColumnElement[bool]:
    """Those of sends that have an outcome everywhere: the others are what a person finds the outcome with."""
    open_ones = sa.exists().where(_D.send_id == events.c.send_id, _D.state.in_(UNSETTLED))
    return sa.and_(events.c.at < since, sa.not_(open_ones))


def _alarms(since: float, _now: float) -> sa.ColumnElement[bool]:
    return sa.and_(alarms.c.told_at < since, alarms.c.at < since)


def _approvals(since: float, _now: float) -> sa.ColumnElement[bool]:
    """What was approved, or is not asked any more; not what a person has dropped, nor of a run that waits.

    One row of the last question of each run stays: Prefect answers a question whose number it has had with the answer
    of then, whatever is asked.
    """
    other = approvals.alias("other")
    same_run = other.c.flow_run == _A.flow_run
    later = sa.or_(other.c.question > _A.question, sa.and_(other.c.question == _A.question, other.c.id > _A.id))
    waits = sa.exists().where(same_run, other.c.answer == "")
    return sa.and_(
        _A.answer.in_([Answer.APPROVED, _CLOSED]),
        _A.asked_at < since,
        _A.until < since,
        sa.func.coalesce(_A.answered_at, 0.0) < since,
        sa.exists().where(same_run, later),
        sa.not_(waits),
    )


def _slots(since: float, _now: float) -> sa.ColumnElement[bool]:
    """Those that have passed without a post. One in which a post was sent says of a campaign that this post is its.

    A post keeps all its slots if one of them has to stay: the newest of them counts.
    """
    other = reservations.alias("other")
    of_same_post = (other.c[name] == _R[name] for name in ("service", "campaign", "sha256", "account_id", "repeat"))
    stays = sa.exists().where(*of_same_post, sa.or_(other.c.at >= since, other.c.made_at >= since, _is_used(other.c)))
    return sa.and_(_R.at < since, _R.made_at < since, sa.not_(stays))


def _is_used(slot: Any) -> sa.ColumnElement[bool]:
    """Whether anything is on record at the moment of a slot, whatever became of it; to the millisecond."""
    return sa.exists().where(
        _D.service == slot.service,
        _D.sha256 == slot.sha256,
        _D.account_id == slot.account_id,
        _D.repeat == slot.repeat,
        _D.scheduled_ms.between(slot.at * 1000 - 1, slot.at * 1000 + 1),
    )


def _found_posts(since: float, _now: float) -> sa.ColumnElement[bool]:
    """Those without a time refuse the same caption for ever."""
    return sa.and_(_F.at < since, _F.found_at < since)


def _is_old_request(since: float, now: float) -> sa.ColumnElement[bool]:
    return sa.and_(_P.planned_at < since, sa.func.coalesce(_P.begun_at, 0.0) < since, _P.lease_until <= now)


def _phone_requests(since: float, now: float) -> sa.ColumnElement[bool]:
    """Those that certainly created nothing."""
    return sa.and_(
        _P.state.in_([RequestState.REFUSED, RequestState.NOT_CREATED]),
        _is_old_request(since, now),
        sa.not_(sa.exists().where(_T.request_id == _P.id)),
        sa.not_(sa.exists().where(phone_actions.c.request_id == _P.id)),
    )


def _phone_settings(since: float, now: float) -> sa.ColumnElement[bool]:
    """What TikMatrix was told is read to send a request, and never after that."""
    unfinished = sa.exists().where(_T.request_id == _P.id, _T.state.in_(UNFINISHED))
    return sa.and_(
        _P.state == RequestState.CREATED, _P.config != "{}", _is_old_request(since, now), sa.not_(unfinished)
    )


def _api_requests(since: float, _now: float) -> sa.ColumnElement[bool]:
    """Those of a key that is not used any more; each request of a key removes its own."""
    return api_requests.c.at < since


def _pictures(since: float, _now: float) -> sa.ColumnElement[bool]:
    """Of sends with which no other is compared any more: all have an outcome, and too long ago."""
    compared = sa.exists().where(_D.send_id == _S.id, sa.or_(_D.state.in_(UNSETTLED), _D.changed_at >= since))
    return sa.and_(_S.pictures != "[]", _S.claimed_at < since, _S.scheduled_ms < since * 1000, sa.not_(compared))


_RULES = {
    Leftover.JOURNAL: _Rule(events, _events),
    Leftover.ALARMS: _Rule(alarms, _alarms),
    Leftover.APPROVALS: _Rule(approvals, _approvals),
    Leftover.SLOTS: _Rule(reservations, _slots),
    Leftover.FOUND_POSTS: _Rule(found_posts, _found_posts),
    Leftover.PHONE_REQUESTS: _Rule(phone_requests, _phone_requests),
    Leftover.API_REQUESTS: _Rule(api_requests, _api_requests),
    Leftover.PICTURES: _Rule(sends, _pictures, {"pictures": "[]"}),
    Leftover.PHONE_SETTINGS: _Rule(phone_requests, _phone_settings, {"config": "{}"}),
}
