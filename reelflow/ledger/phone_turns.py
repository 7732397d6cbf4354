"""Whose turn it is to create tasks on a host, in the ledger: one run at a time, so that new ids can be told apart."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.errors import TurnLost
from reelflow.ledger.database import Database, refuse_if_moved
from reelflow.ledger.schema import has_lease, phone_hosts
from reelflow.records.phone_states import LEASES_AHEAD


class TurnLedger(Database):
    """The part of the ledger that says whose turn it is on each host.

    Once an attempt has lost its turn, only `take_turn` gives it another: whoever keeps one knows that nobody else
    created tasks meanwhile.
    """

    def take_turn(self, host: str, owner: str) -> bool:
        """Whether it is now this attempt's turn to create tasks on a host; it is for one lease from now.

        Raises:
            LedgerReplaced: another ledger is used in place of this one.
        """
        now, c = self.now(), phone_hosts.c
        with self.transaction() as connection:
            fresh = {"host": host, "turn_of": owner, "turn_until": 0}
            connection.execute(self.insert_new(phone_hosts), fresh)
            free = sa.or_(c.turn_of == owner, self._phone_lease_over(c.turn_until, now))
            taken = connection.execute(
                phone_hosts.update()
                .where(c.host == host, free)
                .values(turn_of=owner, turn_until=now + self.lease_seconds)
            )
            refuse_if_moved(connection, self.place)
            return taken.rowcount == 1

    def keep_turn(self, host: str, owner: str) -> None:
        """Show that the attempt whose turn it is is alive.

        Raises:
            TurnLost: another one has taken the turn since.
        """
        with self.transaction() as connection:
            self._keep_turn(connection, host, owner)

    def _keep_turn(self, connection: Connection, host: str, owner: str) -> None:
        kept = connection.execute(
            phone_hosts.update()
            .where(phone_hosts.c.host == host, phone_hosts.c.turn_of == owner)
            .values(turn_until=self.now() + self.lease_seconds)
        )
        if kept.rowcount != 1:
            raise TurnLost(
                f"Another run has taken the turn to create tasks on {host}, because this one sent no heartbeat for too "
                "long. This run sends nothing more: it is safe to start it again."
            )

    def end_turn(self, host: str, owner: str) -> None:
        """Let the next one create tasks on a host."""
        with self.transaction() as connection:
            connection.execute(
                phone_hosts.update()
                .where(phone_hosts.c.host == host, phone_hosts.c.turn_of == owner)
                .values(turn_of="", turn_until=0)
            )

    def _phone_lease_over(self, lease: sa.ColumnElement[float], now: float) -> sa.ColumnElement[bool]:
        """`is_over` of a column with leases."""
        return sa.or_(lease <= now, lease > now + LEASES_AHEAD * self.lease_seconds)

    def _phone_lease_alive(self, lease: sa.ColumnElement[float], now: float) -> sa.ColumnElement[bool]:
        """The opposite, in words for which an index is used."""
        return sa.and_(has_lease(lease), lease > now, lease <= now + LEASES_AHEAD * self.lease_seconds)
