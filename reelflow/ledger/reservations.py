"""Posting slots that are kept for posts: no two posts, runs or machines take the same one."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.errors import InputError
from reelflow.ledger.database import in_parts, refuse_if_moved
from reelflow.ledger.schema import RESERVED, destinations, reservations, sends
from reelflow.ledger.sends import SendLedger
from reelflow.records.campaigns import Choose, Reservation, SlotRequest, Taken, caption_fingerprint
from reelflow.records.post_states import NOT_OUT, PostState, may_be_claimed
from reelflow.records.posts import Account
from reelflow.time_zones import DAY


class _Key(NamedTuple):
    """What a post at one account is known by, apart from its time."""

    sha256: str
    account_id: str
    caption_sha256: str
    repeat: int


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
        flow_run: str | None = None,
        dry_run: bool = False,
    ) -> list[float | InputError]:
        """A slot for each post, all in one transaction; the same one as before for a post that has one.

        A post whose slot has passed before it was sent, or that is certainly not out, takes a new one.

        Args:
            service: The posts' service.
            requests: In the order in which they choose.
            choose: Decides; raises InputError where there is no slot.
            earliest: Unix seconds; slots are later.
            margin: Seconds by which a slot that a post has must be ahead; if it is not, it counts as passed.
            others: What else the accounts have, which this ledger does not know.
            flow_run: Id of the run that they belong to from now on.
            dry_run: Whether to look only.

        Returns:
            For each post its moment in Unix seconds, or why it has none.

        Raises:
            LedgerUnavailable: the ledger was replaced.
        """
        if not requests:
            return []
        found: list[float | InputError] = []
        with self.transaction() as connection:
            self._one_at_a_time(connection)
            refuse_if_moved(connection, self.place)
            now = self.now()
            states = _states(connection, service, {r.sha256 for r in requests}, now)
            kept = {
                (row["campaign"], _key_of(row)): row["at"]
                for row in _rows(connection, service, {r.sha256 for r in requests})
            }
            taken = _taken(connection, service, {a.id for r in requests for a in r.accounts}, now, others or {})
            for request in requests:
                at = _kept(request, kept, states, now + margin)
                if at is None:
                    try:
                        at = choose(request, taken, earliest)
                    except InputError as error:
                        found.append(error)
                        continue
                    for account in request.accounts:
                        insort(taken[account.id], at)
                if not dry_run:  # also a slot that it has: it is this run's now
                    self._store(connection, service, request, at, flow_run, now)
                found.append(at)
        return found

    def taken_moments(self, service: str, account_ids: set[str], others: Taken) -> Taken:
        """When these accounts have posts, from a day ago on: sent, scheduled, reserved, or in `others`."""
        with self.reading() as connection:
            return _taken(connection, service, account_ids, self.now(), others)

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

    def keep_slot_with(self, service: str, kept: Reservation, caption_sha256: str) -> None:
        """Let a post keep its slot although its caption was changed; not if the changed one has a slot already."""
        c = reservations.c
        with self.transaction() as connection:
            self._one_at_a_time(connection)
            same = (
                c.service == service,
                c.campaign == kept.campaign,
                c.sha256 == kept.sha256,
                c.account_id == kept.account.id,
                c.repeat == kept.repeat,
            )
            if connection.execute(sa.select(c.id).where(*same, c.caption_sha256 == caption_sha256)).first() is None:
                connection.execute(
                    reservations.update()
                    .where(*same, c.caption_sha256 == kept.caption_sha256)
                    .values(caption_sha256=caption_sha256)
                )

    def _store(
        self, connection: Connection, service: str, request: SlotRequest, at: float, flow_run: str | None, now: float
    ) -> None:
        for account in request.accounts:
            fresh = self.insert(reservations).values(
                service=service,
                campaign=request.campaign,
                sha256=request.sha256,
                account_id=account.id,
                caption_sha256=caption_fingerprint(request.captions[account.id]),
                repeat=request.repeat,
                platform=account.platform,
                name=account.name,
                file=request.file,
                at=at,
                flow_run=flow_run,
                made_at=now,
            )
            changed = {"at": at, "flow_run": flow_run, "made_at": now}
            connection.execute(fresh.on_conflict_do_update(index_elements=list(RESERVED), set_=changed))


def _key_of(row: Any) -> _Key:
    return _Key(row["sha256"], row["account_id"], row["caption_sha256"], row["repeat"])


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
    for some in in_parts(sha256s):
        query = sa.select(reservations).where(reservations.c.service == service, reservations.c.sha256.in_(some))
        yield from connection.execute(query).mappings()


def _states(connection: Connection, service: str, sha256s: set[str], now: float) -> dict[tuple[_Key, int], bool]:
    """Whether a post may be sent again, by its key and time in ms: it is certain that it is not out."""
    d, found = destinations.c, dict[tuple[_Key, int], bool]()
    for some in in_parts(sha256s):
        query = (
            sa.select(destinations, sends.c.lease_until, sends.c.sealed_at)
            .join(sends, sends.c.id == d.send_id)
            .where(d.service == service, d.sha256.in_(some))
        )
        for row in connection.execute(query).mappings():
            found[_key_of(row), row["scheduled_ms"]] = may_be_claimed(
                PostState(row["state"]), lease_until=row["lease_until"], sealed_at=row["sealed_at"], now=now
            )
    return found


def _kept(
    request: SlotRequest,
    kept: Mapping[tuple[str, _Key], float],
    states: Mapping[tuple[_Key, int], bool],
    passed: float,
) -> float | None:
    """The moment that a post has, unless it needs another one: what is not later than `passed` has passed."""
    moments = set[float | None]()
    for account in request.accounts:
        caption = caption_fingerprint(request.captions[account.id])
        key = _Key(request.sha256, account.id, caption, request.repeat)
        at = kept.get((request.campaign, key))
        may_be_sent = states.get((key, round(at * 1000))) if at is not None else None
        if at is not None and (may_be_sent is True or (may_be_sent is None and at <= passed)):
            at = None  # cancelled or refused; or passed before it was sent
        moments.add(at)
    return moments.pop() if len(moments) == 1 else None


def _taken(
    connection: Connection, service: str, account_ids: set[str], now: float, others: Taken
) -> dict[str, list[float]]:
    """When these accounts have posts, from a day ago on: sent, scheduled or reserved, each once; sorted."""
    d, r, since = destinations.c, reservations.c, now - DAY
    found = {account: {("", "", 0, at) for at in others.get(account, ())} for account in account_ids}
    gone = set[tuple[_Key, int]]()
    for some in in_parts(account_ids):
        sent = (
            sa.select(destinations, sends.c.sealed_at, sends.c.claimed_at)
            .join(sends, sends.c.id == d.send_id)
            .where(d.service == service, d.account_id.in_(some))
            .where(sa.or_(d.scheduled_ms >= since * 1000, d.changed_at >= since))
        )
        for row in connection.execute(sent).mappings():
            key = _key_of(row)
            if row["state"] in (*NOT_OUT, PostState.FAILED):
                gone.add((key, row["scheduled_ms"]))
                continue
            at = row["scheduled_ms"] / 1000 or row["sealed_at"] or row["claimed_at"]
            found[key.account_id].add((key.sha256, key.caption_sha256, key.repeat, at))
        ahead = sa.select(reservations).where(r.service == service, r.account_id.in_(some), r.at > now)
        for row in connection.execute(ahead).mappings():
            key = _key_of(row)
            if (key, round(row["at"] * 1000)) not in gone:
                found[key.account_id].add((key.sha256, key.caption_sha256, key.repeat, row["at"]))
    return {account: sorted(at for *_, at in moments) for account, moments in found.items()}
