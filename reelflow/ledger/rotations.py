"""A new API key in place of an old one: nobody uses the old one meanwhile, and the new one goes on where it ended."""

from __future__ import annotations

import json
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from reelflow.errors import ClaimLost, InputError
from reelflow.ledger.database import refuse_if_moved
from reelflow.ledger.keys import FOR_A_PERSON, KeyLedger, is_rotating
from reelflow.ledger.schema import api_keys, api_requests, api_waiting, destinations, sends
from reelflow.ledger.sends import lease_is_alive
from reelflow.records.post_states import PostState
from reelflow.records.posts import file_name
from reelflow.wording import duration

PERSON_SECONDS = 3600.0
"""How long runs wait for a person who has to put a working key into the block."""


class RotationLedger(KeyLedger):
    """The part of the ledger that is about replacing an API key; keys are known by their fingerprints."""

    def begin_rotation(self, api_key: str, owner: str, seconds: float) -> None:
        """Let no request with a key begin for so many seconds, or until `end_rotation`.

        Raises:
            InputError: another run is replacing or revoking it. Nothing was changed.
        """
        now = self.now()
        with self.transaction() as connection:
            refuse_if_moved(connection, self.place)
            row = self._key_row(connection, api_key)
            if is_rotating(row, now) and row["rotating"] not in ("", owner, FOR_A_PERSON):
                left = duration(row["rotating_until"] - now)
                raise InputError(
                    "Another run is replacing or revoking this API key. Nothing was changed. If it was killed, try "
                    f"again in {left}."
                )
            _change(connection, api_key, rotating=owner, rotating_until=now + seconds, replaced_by="")

    def renew_rotation(self, api_key: str, owner: str, seconds: float) -> None:
        """Go on with it for so many seconds.

        Raises:
            ClaimLost: another run has begun one since.
        """
        with self.transaction() as connection:
            if self._key_row(connection, api_key)["rotating"] != owner:
                raise ClaimLost("Another run is replacing or revoking this API key. This run changes nothing more.")
            _change(connection, api_key, rotating_until=self.now() + seconds)

    def end_rotation(self, api_key: str, owner: str) -> None:
        """Let requests begin again, unless another run has begun a rotation since."""
        with self.transaction() as connection:
            connection.execute(
                api_keys.update()
                .where(api_keys.c.api_key == api_key, api_keys.c.rotating == owner)
                .values(rotating="", rotating_until=0)
            )

    def await_new_key(self, api_key: str, owner: str, seconds: float) -> None:
        """Let runs wait for so many seconds for a person: the old key is dead, or may be."""
        with self.transaction() as connection:
            if self._key_row(connection, api_key)["rotating"] == owner:
                _change(connection, api_key, rotating=FOR_A_PERSON, rotating_until=self.now() + seconds)

    def settle_unfinished_rotation(self, api_key: str, *, works: bool) -> None:
        """After a rotation that never ended: let requests begin, or wait for a person, if nobody has begun another.

        Args:
            api_key: The key that was being replaced.
            works: Whether Taisly accepts it.
        """
        now = self.now()
        with self.transaction() as connection:
            row = self._key_row(connection, api_key)
            if not row["rotating"] or is_rotating(row, now):
                return
            if works:
                _change(connection, api_key, rotating="", rotating_until=0)
            else:
                _change(connection, api_key, rotating=FOR_A_PERSON, rotating_until=now + PERSON_SECONDS)

    def is_being_replaced(self, api_key: str) -> bool:
        """Whether a run is replacing the key now, or a person is about to."""
        with self.reading() as connection:
            row = connection.execute(sa.select(api_keys).where(api_keys.c.api_key == api_key)).mappings().first()
            return row is not None and is_rotating(row, self.now())

    def successor_of(self, api_key: str) -> str:
        """The fingerprint of the key that has replaced a key; empty if none has."""
        with self.reading() as connection:
            query = sa.select(api_keys.c.replaced_by).where(api_keys.c.api_key == api_key)
            return str(connection.scalar(query) or "")

    def replace_key(self, old: str, new: str) -> None:
        """Record that a new key is used in place of an old one: it has the plan, the accounts and the queue of that.

        Doing it again changes nothing.
        """
        if old == new:
            return
        with self.transaction() as connection:
            before, after = self._key_row(connection, old), self._key_row(connection, new)
            for table in (api_requests, api_waiting):
                connection.execute(table.update().where(table.c.api_key == old).values(api_key=new))
            _change(connection, new, **_merged(before, after), replaced_by="")
            _change(connection, old, rotating="", rotating_until=0, replaced_by=new)

    def uploads_in_progress(self, service: str, account_ids: Collection[str]) -> list[str]:
        """The file names of the posts that a living run is uploading, or awaits Taisly's answer to, sorted.

        Args:
            service: Of the key.
            account_ids: The accounts of the key; none if they are not known: then all of the service count.
        """
        is_sending = sa.exists().where(
            destinations.c.send_id == sends.c.id, destinations.c.state == PostState.SENDING.value
        )
        query = sa.select(sends.c.file, sends.c.accounts).where(
            sends.c.service == service,
            sends.c.history_id.is_(None),
            lease_is_alive(sends.c.lease_until, self.now()),
            is_sending,
        )
        with self.reading() as connection:
            rows = connection.execute(query).all()
        wanted = set(account_ids)
        return sorted(file_name(row.file) for row in rows if not wanted or wanted & set(json.loads(row.accounts)))


def _change(connection: Connection, api_key: str, **values: object) -> None:
    connection.execute(api_keys.update().where(api_keys.c.api_key == api_key).values(**values))


def _merged(old: RowMapping, new: RowMapping) -> dict[str, object]:
    """What the new key takes over: what is newer, and the longer of two pauses."""
    taken: dict[str, object] = {
        name: max(old[name], new[name]) for name in ("blocked_until", "blocked_at", "looked_back", "next_look")
    }
    for name in ("accounts", "copies"):
        newer = old if old[f"{name}_at"] > new[f"{name}_at"] else new
        taken |= {name: newer[name], f"{name}_at": newer[f"{name}_at"]}
    reader = old if old["reader_until"] > new["reader_until"] else new
    return taken | {"reader": reader["reader"], "reader_until": reader["reader_until"], "pause": reader["pause"]}
