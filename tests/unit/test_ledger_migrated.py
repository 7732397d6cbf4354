"""A PostgreSQL whose tables a newer version changes, while runs of the version of before are at work in them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from support.old_schema import driver_url, open_as_of
from support.race import at_once
from support.waiting import until

from reelflow.ledger import Ledger
from reelflow.ledger.locks import CLAIM_LOCK
from reelflow.ledger.schema import metadata

TABLES = [table.name for table in metadata.sorted_tables]
ROUNDS = 60


@pytest.fixture
def old(postgres: str) -> Iterator[sa.Engine]:
    """The ledger as version 0005 left it, as a run of then uses it."""
    url = driver_url(sa.make_url(postgres))
    open_as_of("0005", url)
    engine = sa.create_engine(url, pool_size=20)
    yield engine
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()


def _waits(engine: sa.Engine) -> bool:
    """Whether anybody waits for a lock."""
    with engine.connect() as connection:
        return bool(connection.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def _count(table: str) -> sa.Select[tuple[int]]:
    return sa.select(sa.func.count()).select_from(sa.table(table))


def _migrate(url: str) -> int:
    ledger = Ledger(url)
    try:
        return ledger.identity().sends
    finally:
        ledger.close()


@pytest.mark.parametrize("first", ["ledger", "sends", "phone_tasks"])
def test_a_run_that_has_read_a_table_can_read_all_others(first: str, old: sa.Engine, postgres: str) -> None:
    """The migration waits for it, and keeps nothing from it meanwhile."""
    with ThreadPoolExecutor(1) as thread, old.connect() as run:
        run.execute(_count(first))
        migrated = thread.submit(_migrate, postgres)
        until("a migration that waits", lambda: _waits(old))

        for table in TABLES:
            run.execute(_count(table))
        assert not migrated.done()
        run.commit()

        assert migrated.result(60) == 0


def test_claims_and_readers_go_on_while_the_tables_are_changed(old: sa.Engine, postgres: str) -> None:
    """None of them fails, and the count has every send, whichever version recorded it."""

    def work(number: int) -> int:
        if number == 0:
            return _migrate(postgres)
        for n in range(ROUNDS):
            with old.begin() as connection:
                if number % 2:
                    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({CLAIM_LOCK})"))
                    connection.execute(sa.text(_SEND), {"id": f"{number}-{n}"})
                for table in TABLES[:: 1 if number % 3 else -1]:
                    connection.execute(_count(table))
        return 0

    at_once(7, work)

    assert _migrate(postgres) == 3 * ROUNDS


def test_sends_that_pg_restore_adds_are_counted(old: sa.Engine, postgres: str) -> None:
    """It finds no table whose schema is not named."""
    assert _migrate(postgres) == 0

    with old.begin() as connection:
        connection.execute(sa.text("SET LOCAL search_path = ''"))
        connection.execute(sa.text(_SEND), {"id": "restored"})

    assert _migrate(postgres) == 1


_SEND = """
    INSERT INTO public.sends
        (id, service, sha256, file, caption, accounts, scheduled_ms, owner, lease_until, claimed_at, duration, pictures)
    VALUES (:id, 'taisly', '0', 'a.mp4', '', '[]', 0, '', 0, 1, 1, '[]')
"""
