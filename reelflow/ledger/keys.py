"""What the ledger knows of an API key: its requests of the last hour, its one reader, its connected accounts."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection, RowMapping

from reelflow.ledger.database import Database, refuse_if_moved
from reelflow.ledger.schema import api_keys, api_requests, api_waiting
from reelflow.records.posts import Account

HOUR = 3600.0
HOUR_SLACK = 60.0
"""Seconds added to the hour in which requests are counted, since Taisly's clock sees each a little later than ours."""


PLACE_KEPT = 30.0
"""Seconds for which a place in the queue is kept for one that does not ask again."""


PAUSED = "paused"
"""Marks what a repost rule copies that is paused."""
FOR_A_PERSON = "person"
"""Who holds a mark while a person has to put a new key into the block, or run a rotation again; any run may take it."""
WATCH = "watch"
"""The kind of a request that looks for outcomes."""

_REQUEST, _WAITING = api_requests.c, api_waiting.c
_KEY: sa.BindParameter[str] = bindparam("key")
# Built once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_KEY_ROW = sa.select(api_keys).where(api_keys.c.api_key == _KEY)
_LOCKED_KEY_ROW = _KEY_ROW.with_for_update()
_NEW_REQUEST = api_requests.insert()
_CHANGE_REQUEST = api_requests.update().where(_REQUEST.id == bindparam("ticket"))
_OLD_REQUESTS = api_requests.delete().where(_REQUEST.api_key == _KEY, _REQUEST.at <= bindparam("since"))
_FUTURE_REQUESTS = api_requests.update().where(_REQUEST.api_key == _KEY, _REQUEST.at > bindparam("latest"))
_REQUESTS = sa.select(_REQUEST.at, _REQUEST.kind).where(_REQUEST.api_key == _KEY).order_by(_REQUEST.at)
_STOP_RESTING = api_keys.update().where(
    sa.exists().where(
        _REQUEST.id == bindparam("ticket"),
        _REQUEST.api_key == api_keys.c.api_key,
        _REQUEST.at > api_keys.c.blocked_at,
    )
)
_LEAVE = api_waiting.delete().where(_WAITING.waiter == bindparam("who"))
_LEFT = api_waiting.delete().where(
    sa.or_(_WAITING.alive_until <= bindparam("now"), _WAITING.alive_until > bindparam("latest"))
)
_MINE = sa.select(_WAITING.place).where(_WAITING.waiter == bindparam("who")).scalar_subquery()
_BEFORE = sa.select(sa.func.count()).where(
    _WAITING.api_key == _KEY,
    _WAITING.kind == bindparam("of_kind"),
    _WAITING.waiter != bindparam("who"),
    sa.or_(_MINE.is_(None), _WAITING.place < _MINE),
)


class Room(NamedTuple):
    """Room for one request, or how long there is none.

    Attributes:
        ticket: For `finish_request`; None if there is no room now.
        wait: Seconds until there may be room.
        is_paused: Whether that is because Taisly asked for a pause.
        is_rotating: Whether that is because the key is being replaced.
        needs_person: Whether a person has to do something for that to go on.
        is_unsure: Whether a run was replacing it and never ended, so that nobody knows whether the key works.
        replaced_by: The fingerprint of the key that has replaced this one.
    """

    ticket: str | None
    wait: float
    is_paused: bool
    is_rotating: bool = False
    needs_person: bool = False
    is_unsure: bool = False
    replaced_by: str = ""


def key_fingerprint(api_key: str, service: str) -> str:
    """A name for an API key that does not give it away."""
    return hashlib.sha256(f"reelflow\0{service}\0{api_key}".encode()).hexdigest()


class KeyLedger(Database):
    """The part of the ledger that is about API keys, known by their fingerprints."""

    # The quota: requests of the last hour, counted for all runs on all machines

    def take_request(
        self,
        api_key: str,
        kind: str,
        most: Callable[[int], int],
        *,
        waiter: str = "",
        patience: float = 0.0,
        regardless: bool = False,
    ) -> Room:
        """Take room for one request, or a place in the queue for it.

        Requests of one kind get their room in the order in which they first asked. A waiter keeps its place by asking
        again within `PLACE_KEPT` seconds.

        Args:
            api_key: The key's fingerprint.
            kind: What it is for.
            most: Requests in the last hour, above which this one has to wait, from how many of them were to watch.
            waiter: An id under which the request waits; none for one that does not.
            patience: Seconds that it would wait. No place is taken for a longer time.
            regardless: Whether the key is used although another one has replaced it, or may have.
        """
        now = self.now()
        with self.transaction() as connection:
            state = self._key_row(connection, api_key)
            rotating = is_rotating(state, now)
            if not regardless and state["replaced_by"]:
                return Room(None, 0.0, is_paused=False, replaced_by=state["replaced_by"])
            if not regardless and state["rotating"] and not rotating:
                return Room(None, 0.0, is_paused=False, is_unsure=True)
            connection.execute(_LEFT, {"now": now, "latest": now + 2 * PLACE_KEPT})
            taken = self._requests_taken(connection, api_key, now)
            room = most(sum(of_kind == WATCH for _, of_kind in taken))
            before = self._waiting_before(connection, api_key, kind, waiter)
            paused = state["blocked_until"] > now
            wait = min(state["blocked_until"] - now, HOUR) if paused else 0.0
            if state["blocked_until"] > now + HOUR:  # from before this machine's clock was set back
                connection.execute(
                    api_keys.update().where(api_keys.c.api_key == api_key).values(blocked_until=now + HOUR)
                )
            if (due := len(taken) + before - room) >= 0:
                freed = taken[due][0] if due < len(taken) else now
                wait = max(wait, 0.1, freed + HOUR + HOUR_SLACK - now)
            if rotating:
                wait = max(wait, state["rotating_until"] - now)
            if wait == 0.0:
                ticket = uuid.uuid4().hex
                connection.execute(_NEW_REQUEST, {"id": ticket, "api_key": api_key, "kind": kind, "at": now})
                if waiter:
                    connection.execute(_LEAVE, {"who": waiter})
                return Room(ticket, 0.0, is_paused=False)
            if wait <= patience:
                self._keep_place(connection, api_key, kind, waiter, now)
            needs_person = rotating and state["rotating"] == FOR_A_PERSON
            return Room(None, wait, is_paused=paused, is_rotating=rotating, needs_person=needs_person)

    @staticmethod
    def _requests_taken(connection: Connection, api_key: str, now: float) -> list[tuple[float, str]]:
        """When the requests of the last hour were made, and of what kind they were; oldest first.

        None of them lies in the future, unless this machine's clock was set back since: then it counts from now on.
        """
        connection.execute(_OLD_REQUESTS, {"key": api_key, "since": now - HOUR - HOUR_SLACK})
        connection.execute(_FUTURE_REQUESTS, {"key": api_key, "latest": now + HOUR_SLACK, "at": now})
        return [(at, kind) for at, kind in connection.execute(_REQUESTS, {"key": api_key})]

    @staticmethod
    def _waiting_before(connection: Connection, api_key: str, kind: str, waiter: str) -> int:
        """How many wait for the same room and asked earlier."""
        return connection.scalar(_BEFORE, {"key": api_key, "of_kind": kind, "who": waiter}) or 0

    def _keep_place(self, connection: Connection, api_key: str, kind: str, waiter: str, now: float) -> None:
        values = {"waiter": waiter, "api_key": api_key, "kind": kind, "alive_until": now + PLACE_KEPT}
        fresh = self.insert(api_waiting).values(values)
        connection.execute(
            fresh.on_conflict_do_update(index_elements=["waiter"], set_={"alive_until": values["alive_until"]})
        )

    def leave_queue(self, waiter: str) -> None:
        """Give up a place in the queue."""
        with self.transaction() as connection:
            connection.execute(_LEAVE, {"who": waiter})

    def count_request(self, api_key: str) -> str:
        """Count one request that is made whether there is room or not, such as a person's check; its ticket."""
        ticket = uuid.uuid4().hex
        with self.transaction() as connection:
            connection.execute(_NEW_REQUEST, {"id": ticket, "api_key": api_key, "kind": "", "at": self.now()})
        return ticket

    def finish_request(self, ticket: str, *, succeeded: bool = False) -> None:
        """Count the request from now on: Taisly may have counted it at any time until its answer.

        Args:
            ticket: From `take_request` or `count_request`.
            succeeded: Whether it was answered well. Then the key need not rest any more, if it began to rest before.
        """
        with self.transaction() as connection:
            if succeeded:
                connection.execute(_STOP_RESTING, {"ticket": ticket, "blocked_until": 0})
            connection.execute(_CHANGE_REQUEST, {"ticket": ticket, "at": self.now()})

    def may_still_use(self, ticket: str, api_key: str) -> bool:
        """Whether a request for which there was room may still be made; it counts from now on.

        Not if its key has begun to rest since, or is replaced, or if an hour has passed, so that others have its room.
        """
        now = self.now()
        with self.transaction() as connection:
            state = self._key_row(connection, api_key)
            if state["blocked_until"] > now or state["rotating"] or is_rotating(state, now) or state["replaced_by"]:
                return False
            still = sa.and_(_REQUEST.id == ticket, _REQUEST.at > now - HOUR)
            return connection.execute(api_requests.update().where(still).values(at=now)).rowcount == 1

    def forget_request(self, ticket: str) -> None:
        """Count a request no more: it was not made."""
        with self.transaction() as connection:
            connection.execute(api_requests.delete().where(_REQUEST.id == ticket))

    def requests_in_last_hour(self, api_key: str) -> int:
        """How many requests are counted now."""
        with self.reading() as connection:
            since = self.now() - HOUR - HOUR_SLACK
            query = sa.select(sa.func.count()).where(api_requests.c.api_key == api_key, api_requests.c.at > since)
            return int(connection.scalar(query) or 0)

    def first_free_again(self, api_key: str) -> float | None:
        """When the oldest request of the last hour no longer counts, in Unix seconds; None if there is none."""
        with self.reading() as connection:
            since = self.now() - HOUR - HOUR_SLACK
            query = sa.select(sa.func.min(_REQUEST.at)).where(_REQUEST.api_key == api_key, _REQUEST.at > since)
            oldest = connection.scalar(query)
            return None if oldest is None else float(oldest) + HOUR + HOUR_SLACK

    def block_key(self, api_key: str, seconds: float) -> None:
        """Let nobody use the key for `seconds`, at most an hour: Taisly has answered 429."""
        now = self.now()
        with self.transaction() as connection:
            before = self._key_row(connection, api_key)["blocked_until"]
            values = {"blocked_until": min(max(before, now + seconds), now + HOUR), "blocked_at": now}
            connection.execute(api_keys.update().where(api_keys.c.api_key == api_key).values(values))

    def unblock_keys(self) -> int:
        """Let every key be used at once; how many had to rest."""
        with self.transaction() as connection:
            rested = api_keys.update().where(api_keys.c.blocked_until > self.now()).values(blocked_until=0)
            return int(connection.execute(rested).rowcount)

    # One reader of the history for each key

    def become_reader(self, api_key: str, owner: str, seconds: float) -> tuple[bool, float, float]:
        """Become or stay the one reader for a key: (whether we are, when to look next, the last pause)."""
        now = self.now()
        with self.transaction() as connection:
            refuse_if_moved(connection, self.place)
            row = self._key_row(connection, api_key)
            # A lease that ends much later is one from before this machine's clock was set back.
            is_read = now < row["reader_until"] <= now + 2 * max(self.lease_seconds, seconds)
            if row["reader"] != owner and is_read:
                return False, row["next_look"], row["pause"]
            connection.execute(
                api_keys.update().where(api_keys.c.api_key == api_key).values(reader=owner, reader_until=now + seconds)
            )
            return True, row["next_look"], row["pause"]

    def plan_next_look(self, api_key: str, at: float, pause: float) -> None:
        """Set when the history is read next, whoever is the reader then."""
        with self.transaction() as connection:
            self._key_row(connection, api_key)
            connection.execute(api_keys.update().where(api_keys.c.api_key == api_key).values(next_look=at, pause=pause))

    def stop_reading(self, api_key: str, owner: str) -> None:
        """Let another run read."""
        with self.transaction() as connection:
            connection.execute(
                api_keys.update()
                .where(api_keys.c.api_key == api_key, api_keys.c.reader == owner)
                .values(reader_until=0)
            )

    # Connected accounts, kept a while so that a hundred posts do not ask a hundred times

    def known_accounts(self, api_key: str, max_age: float) -> list[Account] | None:
        """The accounts remembered for a key, if they are not older than `max_age` seconds."""
        with self.reading() as connection:
            row = _known_row(connection, api_key)
            if row is None or not row["accounts_at"] or row["accounts_at"] < self.now() - max_age:
                return None
            return [Account.model_validate(value) for value in json.loads(row["accounts"])]

    def accounts_of_all_keys(self, max_age: float) -> set[str]:
        """The ids of all accounts that are remembered for any key, if they are not older than `max_age` seconds."""
        with self.reading() as connection:
            rows = connection.scalars(
                sa.select(api_keys.c.accounts).where(api_keys.c.accounts_at >= self.now() - max_age)
            )
            return {account["id"] for row in rows for account in json.loads(row)}

    def remember_accounts(self, api_key: str, accounts: Sequence[Account]) -> None:
        """Remember the connected accounts of a key."""
        text = json.dumps([a.model_dump() for a in accounts])
        with self.transaction() as connection:
            self._key_row(connection, api_key)
            connection.execute(
                api_keys.update().where(api_keys.c.api_key == api_key).values(accounts=text, accounts_at=self.now())
            )

    # What repost rules copy, kept as long

    def known_copies(self, api_key: str, max_age: float) -> list[tuple[str, str]] | None:
        """What active rules of a key copy, as (from, to) account ids, if it was read in the last `max_age` seconds."""
        with self.reading() as connection:
            row = _known_row(connection, api_key)
            if row is None or not row["copies_at"] or row["copies_at"] < self.now() - max_age:
                return None
            return _copies_in(row, paused=False)

    def known_paused_copies(self, api_key: str) -> list[tuple[str, str]]:
        """The same of paused rules, however long ago they were read."""
        with self.reading() as connection:
            row = _known_row(connection, api_key)
            return [] if row is None else _copies_in(row, paused=True)

    def remember_copies(
        self, api_key: str, pairs: Sequence[tuple[str, str]], paused: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Remember what the repost rules of a key copy, and what those would that are paused."""
        values = {"copies": json.dumps([*pairs, *((*pair, PAUSED) for pair in paused)]), "copies_at": self.now()}
        with self.transaction() as connection:
            self._key_row(connection, api_key)
            connection.execute(api_keys.update().where(api_keys.c.api_key == api_key).values(values))

    def forget_copies(self, api_key: str) -> None:
        """Have the rules of a key read again before its next post: they are about to change."""
        with self.transaction() as connection:
            connection.execute(api_keys.update().where(api_keys.c.api_key == api_key).values(copies_at=0))

    def _key_row(self, connection: Connection, api_key: str) -> RowMapping:
        """The row of a key, made if there is none, and locked until the transaction ends."""
        fresh = {
            "api_key": api_key, "blocked_until": 0, "blocked_at": 0, "reader": "", "reader_until": 0, "next_look": 0,
            "pause": 0, "accounts": "[]", "accounts_at": 0, "copies": "[]", "copies_at": 0,
            "looked_back": 0, "rotating": "", "rotating_until": 0, "replaced_by": "",
        }  # fmt: skip
        connection.execute(self.insert_new(api_keys), fresh)
        return connection.execute(_LOCKED_KEY_ROW, {"key": api_key}).mappings().one()


def is_rotating(row: RowMapping, now: float) -> bool:
    """Whether a key is being replaced. A mark that ends much later is one from before the clock was set back."""
    return bool(now < row["rotating_until"] <= now + HOUR)


def _copies_in(row: RowMapping, *, paused: bool) -> list[tuple[str, str]]:
    found = json.loads(row["copies"])
    return [(source, target) for source, target, *more in found if (PAUSED in more) is paused]


def _known_row(connection: Connection, api_key: str) -> RowMapping | None:
    """What is known of a key; None if nothing is."""
    return connection.execute(_KEY_ROW, {"key": api_key}).mappings().first()
