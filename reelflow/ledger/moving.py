"""Move everything from one ledger to an empty one, or use another one in place of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from reelflow.errors import InputError
from reelflow.ledger.database import Database, refuse_if_moved
from reelflow.ledger.locks import lock_everything
from reelflow.ledger.schema import api_keys, engagements, ledger, metadata, phone_hosts, phone_requests, sends
from reelflow.ledger.sends import lease_is_alive

ROWS_AT_ONCE = 500
LEASES = (
    sends.c.lease_until,
    phone_requests.c.lease_until,
    phone_hosts.c.turn_until,
    api_keys.c.reader_until,
    api_keys.c.rotating_until,
    engagements.c.lease_until,
)
"""Until when runs hold what they are at work on."""
_CONTENT = [table for table in metadata.sorted_tables if table is not ledger]


def move_ledger(source: Database, target: Database, *, commit: Callable[[], None]) -> int:
    """Copy everything, let programs use the copy, and mark the source as moved.

    The target keeps its own identity: whoever still uses an old copy of the source is not taken for its owner. Nothing
    can be recorded in the source meanwhile.

    Args:
        source: The ledger that is in use. It stays so if anything fails.
        target: An empty database.
        commit: Called when the copy is complete; makes programs use it. If it raises, that may have happened or not, so
            the copy stays as it is.

    Returns:
        How many rows were copied.

    Raises:
        InputError: a run is active, or the target is not empty.
        LedgerUnavailable: one of the two cannot be used.
    """
    if _id_of(source) == _id_of(target):  # before any lock is held: they would wait for each other
        raise InputError(f"Nothing was moved: {target.place} is the ledger that is in use already.")
    with source.transaction() as read:
        lock_everything(read, "EXCLUSIVE")
        refuse_if_moved(read, source.place)
        in_use = _is_in_use(read, source.now())
        with target.transaction() as written:
            lock_everything(written, "EXCLUSIVE")
            if any(written.execute(sa.select(table).limit(1)).first() for table in _CONTENT):
                raise InputError(
                    f"Nothing was moved: the database at {target.place} has a ledger that is not empty. Name an empty "
                    "database."
                )
            if in_use:
                raise InputError(
                    "Nothing was moved: a run is active. Pause the schedules, wait until all runs have finished, then "
                    "try again."
                )
            copied = sum(_copy(read, written, table) for table in _CONTENT)
            kept = read.execute(sa.select(ledger.c.created_at, ledger.c.lost_sends, ledger.c.look_back)).mappings()
            written.execute(ledger.update().values(**kept.one()))
        read.execute(ledger.update().values(moved_to=target.full_place))
        commit()
    return copied


def replace_ledger(old: Database, new: Database, *, commit: Callable[[], None]) -> None:
    """Let programs use another ledger, and mark this one: whoever has opened it before sends nothing more.

    Args:
        old: The ledger that is in use. It stays so if anything fails.
        new: The one that is used from now on; nothing is copied.
        commit: Makes programs use it.

    Raises:
        InputError: a run is active.
        LedgerUnavailable: one of the two cannot be used.
    """
    with old.transaction() as connection:
        lock_everything(connection, "EXCLUSIVE")
        _refuse_while_in_use(connection, old)
        connection.execute(ledger.update().values(moved_to=new.full_place))
        commit()


def refuse_while_in_use(database: Database) -> None:
    """Raise InputError if a run is active: it would record what it does in a ledger that nobody reads any more."""
    with database.transaction() as connection:
        _refuse_while_in_use(connection, database)


def _refuse_while_in_use(connection: Connection, database: Database) -> None:
    if _is_in_use(connection, database.now()):
        raise InputError(
            f"Nothing was changed: a run is active with {database.place}. Pause the schedules, wait until all runs "
            "have finished, then try again."
        )


def _id_of(database: Database) -> str:
    with database.transaction() as connection:
        return str(connection.scalar(sa.select(ledger.c.id)))


def _is_in_use(connection: Connection, now: float) -> bool:
    queries = (sa.select(column).where(lease_is_alive(column, now)).limit(1) for column in LEASES)
    return any(connection.execute(query).first() for query in queries)


def _copy(read: Connection, written: Connection, table: sa.Table) -> int:
    copied, key, columns = 0, next(iter(table.primary_key)), table.columns.keys()
    for rows in read.execute(sa.select(table)).mappings().partitions(ROWS_AT_ONCE):
        if written.dialect.name == "postgresql":
            written.execute(_at_once(table), {name: [row[name] for row in rows] for name in columns})
        else:
            written.execute(table.insert(), [dict(row) for row in rows])
        copied += len(rows)
    if written.dialect.name == "postgresql" and isinstance(key.type, sa.Integer):
        highest = sa.select(sa.func.coalesce(sa.func.max(key), 0) + 1).scalar_subquery()
        sequence = sa.func.pg_get_serial_sequence(table.name, key.name)
        written.execute(sa.select(sa.func.setval(sequence, highest, sa.false())))
    return copied


@cache
def _at_once(table: sa.Table) -> sa.Insert:
    """One statement of many rows, a list for each column.

    The trigger that counts the sends of a PostgreSQL changes one row, once for each statement, and has to read past all
    that this row was before in the same transaction: with a statement for each row, that takes longer and longer.
    """
    names = table.c.keys()
    lists = [sa.cast(sa.bindparam(name), postgresql.ARRAY(table.c[name].type)) for name in names]
    rows = sa.func.unnest(*lists).table_valued(*names).render_derived()
    return table.insert().from_select(names, sa.select(*(rows.c[name] for name in names)))
