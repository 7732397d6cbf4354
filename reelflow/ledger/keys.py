"""What the ledger knows of an API key: its requests of the last hour, its one reader, its connected accounts."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from reelflow.ledger.database import Database
from reelflow.ledger.schema import api_keys, api_requests
from reelflow.records.posts import Account

HOUR = 3600.0
HOUR_SLACK = 60.0
"""Seconds added to the hour in which requests are counted, since Taisly's clock sees each a little later than ours."""


def key_fingerprint(api_key: str, service: str) -> str:
    """A name for an API key that does not give it away."""
    return hashlib.sha256(f"reelflow\0{service}\0{api_key}".encode()).hexdigest()


class KeyLedger(Database):
    """The part of the ledger that is about API keys, known by their fingerprints."""

    # The quota: requests of the last hour, counted for all runs on all machines

    def take_request(self, api_key: str, most: int) -> tuple[str | None, float]:
        """Take room for one request: its ticket and 0, or None and the seconds until there may be room.

        Args:
            api_key: The key's fingerprint.
            most: Requests in the last hour, above which this one has to wait.
        """
        now = self.now()
        with self.transaction() as connection:
            state = self._key_row(connection, api_key)
            if state["blocked_until"] > now:
                return None, state["blocked_until"] - now
            since = now - HOUR - HOUR_SLACK
            connection.execute(
                api_requests.delete().where(api_requests.c.api_key == api_key, api_requests.c.at <= since)
            )
            taken = list(
                connection.scalars(
                    sa.select(api_requests.c.at).where(api_requests.c.api_key == api_key).order_by(api_requests.c.at)
                )
            )
            if len(taken) >= most:
                return None, max(0.1, taken[len(taken) - most] - since)
            ticket = uuid.uuid4().hex
            connection.execute(api_requests.insert().values(id=ticket, api_key=api_key, at=now))
        return ticket, 0.0

    def finish_request(self, ticket: str) -> None:
        """Count the request from now on: Taisly may have counted it at any time until its answer."""
        with self.transaction() as connection:
            connection.execute(api_requests.update().where(api_requests.c.id == ticket).values(at=self.now()))

    def requests_in_last_hour(self, api_key: str) -> int:
        """How many requests are counted now."""
        with self.transaction() as connection:
            since = self.now() - HOUR - HOUR_SLACK
            query = sa.select(sa.func.count()).where(api_requests.c.api_key == api_key, api_requests.c.at > since)
            return int(connection.scalar(query) or 0)

    def block_key(self, api_key: str, seconds: float) -> None:
        """Let nobody use the key for `seconds`: Taisly has answered 429."""
        with self.transaction() as connection:
            until = max(self._key_row(connection, api_key)["blocked_until"], self.now() + seconds)
            connection.execute(api_keys.update().where(api_keys.c.api_key == api_key).values(blocked_until=until))

    # One reader of the history for each key

    def become_reader(self, api_key: str, owner: str, seconds: float) -> tuple[bool, float, float]:
        """Become or stay the one reader for a key: (whether we are, when to look next, the last pause)."""
        now = self.now()
        with self.transaction() as connection:
            row = self._key_row(connection, api_key)
            if row["reader"] != owner and row["reader_until"] > now:
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
        with self.transaction() as connection:
            row = self._key_row(connection, api_key)
            if row["accounts_at"] < self.now() - max_age:
                return None
            return [Account.model_validate(value) for value in json.loads(row["accounts"])]

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
        """The (from, to) account ids remembered for a key, if they are not older than `max_age` seconds."""
        with self.transaction() as connection:
            row = self._key_row(connection, api_key)
            if row["copies_at"] < self.now() - max_age:
                return None
            return [(source, target) for source, target in json.loads(row["copies"])]

    def remember_copies(self, api_key: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Remember what the repost rules of a key copy."""
        values = {"copies": json.dumps(pairs), "copies_at": self.now()}
        with self.transaction() as connection:
            self._key_row(connection, api_key)
            connection.execute(api_keys.update().where(api_keys.c.api_key == api_key).values(values))

    def _key_row(self, connection: Connection, api_key: str) -> RowMapping:
        """The row of a key, made if there is none, and locked until the transaction ends."""
        fresh = {
            "api_key": api_key, "blocked_until": 0, "reader": "", "reader_until": 0, "next_look": 0, "pause": 0,
            "accounts": "[]", "accounts_at": 0, "copies": "[]", "copies_at": 0,
        }  # fmt: skip
        connection.execute(self.insert(api_keys).values(fresh).on_conflict_do_nothing())
        query = sa.select(api_keys).where(api_keys.c.api_key == api_key).with_for_update()
        return connection.execute(query).mappings().one()
