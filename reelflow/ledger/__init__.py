"""The durable record of what was sent, and the only package with SQL.

One row for each destination of each post, claimed before anything is sent, so that two runs, two processes or two
machines cannot both send it. SQLite by default; PostgreSQL by URL where runs execute on several machines. What may
follow what is drawn in `reelflow.records.post_states` and `reelflow.records.phone_states`.

A send is *sealed* just before the last piece of its upload leaves. A send that died unsealed cannot have been
posted, and is released; one that died sealed may have been, and is looked for in Taisly's history.

Times are Unix seconds of this machine's clock. Leases are long compared with the differences between clocks kept by
NTP.
"""

import sqlalchemy as sa

from reelflow.ledger.approvals import ApprovalLedger
from reelflow.ledger.claims import ClaimLedger, DuplicateFound
from reelflow.ledger.database import URL_VARIABLE, default_url
from reelflow.ledger.engagements import EngagementLedger
from reelflow.ledger.identity import Identity, IdentityLedger
from reelflow.ledger.keys import Room, key_fingerprint
from reelflow.ledger.moving import move_ledger, refuse_while_in_use, replace_ledger
from reelflow.ledger.phones import PhoneLedger
from reelflow.ledger.reservations import ReservationLedger
from reelflow.ledger.retention import RetentionLedger
from reelflow.ledger.rotations import PERSON_SECONDS
from reelflow.ledger.schema import engagements, phone_requests, sends
from reelflow.ledger.sends import lease_is_alive

__all__ = [
    "PERSON_SECONDS",
    "URL_VARIABLE",
    "DuplicateFound",
    "Identity",
    "Ledger",
    "Room",
    "default_url",
    "key_fingerprint",
    "move_ledger",
    "refuse_while_in_use",
    "replace_ledger",
]


class Ledger(
    ClaimLedger, ReservationLedger, ApprovalLedger, PhoneLedger, EngagementLedger, IdentityLedger, RetentionLedger
):
    """The record behind one URL. Cheap to make; the database is opened at the first use.

    Every method is one transaction, and raises LedgerUnavailable where the database cannot be used.
    """

    def runs_alive(self) -> set[str]:
        """Flow runs that hold a lease now: they have shown within seconds that they are at work."""
        now = self.now()
        with self.transaction() as connection:
            posting = sa.select(sends.c.flow_run).where(lease_is_alive(sends.c.lease_until, now))
            is_alive = self._phone_lease_alive(phone_requests.c.lease_until, now)
            phoning = sa.select(phone_requests.c.flow_run).where(is_alive)
            engaging = sa.select(engagements.c.run).where(lease_is_alive(engagements.c.lease_until, now))
            runs = (connection.scalars(query) for query in (posting, phoning, engaging))
            return {run for its in runs for run in its if run}
