"""PostgreSQL's locks on a whole ledger. SQLite has one writer anyway."""

from __future__ import annotations

import time

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.countdown import Countdown
from reelflow.ledger.schema import metadata

MIGRATION_LOCK, PLANNING_LOCK, CLAIM_LOCK = 7263548, 7263549, 7263550
"""Advisory locks: of who migrates the schema, who plans phone tasks, and who claims, seals or releases a send."""
LOCK_MS = 500
"""How long one try waits for a table: less than the second after which PostgreSQL looks for deadlocks, and ends one of
those who wait for each other. So it is never a run that is ended."""
PAUSE = 0.1
"""Seconds between two tries, in which those who have waited go on."""
PATIENCE = 600.0
"""Seconds for which it is tried: a copy of a large ledger takes minutes."""
LOCKED, DEADLOCK = "55P03", "40P01"
"""PostgreSQL's codes for a try that has waited in vain."""


def lock_advisory(connection: Connection, lock: int) -> None:
    """Wait for one of the advisory locks; it is held until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({lock})"))


def lock_everything(connection: Connection, mode: str) -> None:
    """Let nobody write (EXCLUSIVE), or not even read (ACCESS EXCLUSIVE), until the transaction ends.

    Runs at work have locked some tables and go on to others, in an order of their own. Whoever waits for them while it
    keeps what they want next would end in a deadlock, so a try that has to wait long lets go of everything.
    """
    if connection.dialect.name != "postgresql":
        return
    there = set(sa.inspect(connection).get_table_names())
    names = ", ".join(table.name for table in metadata.sorted_tables if table.name in there)
    waiting = Countdown(PATIENCE, time.sleep)
    while True:
        attempt = connection.begin_nested()
        try:
            connection.execute(sa.text(f"SET LOCAL lock_timeout = {LOCK_MS}"))
            for lock in (CLAIM_LOCK, PLANNING_LOCK):
                lock_advisory(connection, lock)
            if names:
                connection.execute(sa.text(f"LOCK TABLE {names} IN {mode} MODE"))
            connection.execute(sa.text("SET LOCAL lock_timeout = DEFAULT"))
        except sa.exc.OperationalError as error:
            attempt.rollback()
            if getattr(error.orig, "sqlstate", None) not in (LOCKED, DEADLOCK) or not waiting.left:
                raise
            waiting.sleep(PAUSE)
        else:
            attempt.commit()
            return
