"""Posting slots that are kept for posts: no two posts, runs or machines take the same one."""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.errors import InputError
from reelflow.ledger.database import in_parts, refuse_if_moved
from reelflow.ledger.schema import reservations
from reelflow.ledger.sends import SendLedger
from reelflow.ledger.taken import post_of, sent_at, taken_moments, used_moments
from reelflow.records.campaigns import Choose, Reservation, RowPost, SlotRequest, Taken, caption_fingerprint
from reelflow.records.posts import Account


class ReservationLedger(SendLedger):
    """The part of the ledger that keeps slots."""

    def reserve(
        self,
        service: str,
        requests: Sequence[SlotRequest],
        choose: Choose,
        *,
        earliest: float,
        margin: float = 0.0,
        others: Taken | None = None,
        fixed: Collection[RowPost] = (),
        flow_run: str | None = None,
        dry_run: bool = False,
    ) -> list[float | InputError]:
        """A slot for each post, all in one transaction; the same one as before for a post that has one.

        A post whose slot has passed before it was sent, or that was refused or cancelled, takes a new one.

        Args:
            service: The posts' service.
            requests: In the order in which they choose.
            choose: Decides; raises InputError where there is no slot.
            earliest: Unix seconds; slots are later.
            margin: Seconds by which a slot that a post has must be ahead; if it is not, it counts as passed.
            others: What else the accounts have, which this ledger does not know.
            fixed: Posts that are to be sent at times of their own. Slots that they had before are given up.
            flow_run: Id of the run that they belong to from now on.
            dry_run: Whether to look only.

        Returns:
            For each post its moment in Unix seconds, or why it has none.

        Raises:
            LedgerReplaced: the ledger was replaced.
        """
        if not requests and not fixed:
            return []
        found: list[float | InputError] = []
        with self.reading() if dry_run else self.transaction() as connection:
            if not dry_run:
                self._one_at_a_time(connection)
            refuse_if_moved(connection, self.place)
            now, accounts = self.now(), {a.id for r in requests for a in r.accounts}
            videos = {r.sha256 for r in requests} | {post.sha256 for post in fixed}
            slots = _Slots(connection, service, videos, now, now + margin, flow_run)
            slots.give_up(fixed)
            taken = taken_moments(connection, service, accounts, now, others or {}, add=fixed, leave_out=slots.given_up)
            for request in requests:
                at = slots.of(request)
                if at is None:
                    try:
                        at = choose(request, taken, earliest)
                    except InputError as error:
                        found.append(error)
                        continue
                    for account in request.accounts:
                        insort(taken[account.id], at)
                slots.keep(request, at)
                found.append(at)
            if not dry_run:
                self._store(connection, service, slots, now)
        return found

    def taken_moments(
        self, service: str, account_ids: set[str], others: Taken, *, leave_out: Collection[RowPost] = ()
    ) -> Taken:
        """When these accounts have posts, from a day ago on: sent, scheduled, reserved, or in `others`.

        Args:
            service: The posts' service.
            account_ids: Whose.
            others: What else they have, which this ledger does not know.
            leave_out: Posts that do not count, such as those of the plan that is compared with the rest: neither what
                is on record for them at their fixed time, nor the slots that they have.
        """
        with self.reading() as connection:
            return taken_moments(connection, service, account_ids, self.now(), others, leave_out=leave_out)

    def reservations(self, service: str, sha256s: Iterable[str]) -> list[Reservation]:
        """The slots that are kept for these videos, those that have passed included."""
        with self.reading() as connection:
            return [_reservation_of(row) for row in _rows(connection, service, set(sha256s))]

    def release_slots(self, service: str, kept: Iterable[Reservation]) -> None:
        """Let others have these slots: their posts are not wanted any more."""
        c = reservations.c
        with self.transaction() as connection:
            self._one_at_a_time(connection)
            for each in kept:
                connection.execute(
                    reservations.delete().where(
                        c.service == service,
                        c.campaign == each.campaign,
                        c.sha256 == each.sha256,
                        c.account_id == each.account.id,
                        c.caption_sha256 == each.caption_sha256,
                        c.repeat == each.repeat,
                        c.at == each.at,
                    )
                )

    def _store(self, connection: Connection, service: str, slots: _Slots, now: float) -> None:
        if slots.old_rows:
            delete = reservations.delete().where(reservations.c.id == sa.bindparam("old"))
            connection.execute(delete, [{"old": row} for row in slots.old_rows])
        values = [
            {
                "service": service,
                "campaign": request.campaign,
                "sha256": request.sha256,
                "account_id": account.id,
                "caption_sha256": caption_fingerprint(request.captions[account.id]),
                "repeat": request.repeat,
                "platform": account.platform,
                "name": account.name,
                "file": request.file,
                "at": at,
                "flow_run": slots.flow_run,
                "made_at": now,
            }
            for request, account, at in slots.new.values()
        ]
        if values:
            connection.execute(reservations.insert(), values)


class _Slots:
    """The slots of some videos while others are reserved."""

    def __init__(
        self, connection: Connection, service: str, videos: set[str], now: float, passed: float, flow_run: str | None
    ) -> None:
        self._now, self._passed, self.flow_run = now, passed, flow_run
        self._is_used = used_moments(connection, service, videos, now)
        self._rows: dict[RowPost, list[Any]] = {}
        for row in _rows(connection, service, videos):
            self._rows.setdefault(post_of(row), []).append(row)
        self._at: dict[RowPost, float] = {post: rows[-1]["at"] for post, rows in self._rows.items()}
        self.new: dict[RowPost, tuple[SlotRequest, Account, float]] = {}
        self.old_rows: list[int] = []
        self.given_up: set[RowPost] = set()

    def of(self, request: SlotRequest) -> float | None:
        """The moment that a post has; None if it has none, or needs another one."""
        moments = {self._moment(post) for post in _posts_of(request)}
        return moments.pop() if len(moments) == 1 else None

    def _moment(self, post: RowPost) -> float | None:
        at = self._at.get(post)
        if at is None:
            return None
        is_used = self._is_used.get(sent_at(post, at))
        if is_used is False or (is_used is None and at <= self._passed):
            return None  # cancelled or refused; or passed before it was sent
        return at

    def keep(self, request: SlotRequest, at: float) -> None:
        """Remember what has to be stored for a post that has this moment.

        Of what is stored already, that is the run to which it belongs now, and when it said so last.
        """
        for post, account in zip(_posts_of(request), request.accounts, strict=True):
            wanted = (at, caption_fingerprint(request.captions[account.id]))
            rows = self._rows.get(post, [])
            if self.flow_run is None and [(row["at"], row["caption_sha256"]) for row in rows] == [wanted]:
                continue
            if post not in self.new:
                self.old_rows += [row["id"] for row in rows]
            self._at[post], self.new[post] = at, (request, account, at)

    def give_up(self, fixed: Collection[RowPost]) -> None:
        """Let others have the slots of posts that have a fixed time by now, unless they were sent in them."""
        for post in fixed:
            slot = post._replace(at=None)
            at = self._at.get(slot)
            if at is None or at <= self._now or self._is_used.get(sent_at(slot, at)):
                continue
            self.given_up.add(slot)
            self.old_rows += [row["id"] for row in self._rows[slot]]


def _posts_of(request: SlotRequest) -> list[RowPost]:
    return [RowPost(request.campaign, request.sha256, account.id, request.repeat) for account in request.accounts]


def _reservation_of(row: Any) -> Reservation:
    return Reservation(
        campaign=row["campaign"],
        sha256=row["sha256"],
        account=Account(id=row["account_id"], platform=row["platform"], name=row["name"]),
        caption_sha256=row["caption_sha256"],
        repeat=row["repeat"],
        at=row["at"],
    )


def _rows(connection: Connection, service: str, sha256s: set[str]) -> Iterator[Any]:
    """The reservations of these videos, the newest last."""
    r = reservations.c
    for some in in_parts(sha256s):
        query = sa.select(reservations).where(r.service == service, r.sha256.in_(some)).order_by(r.made_at, r.id)
        yield from connection.execute(query).mappings()
