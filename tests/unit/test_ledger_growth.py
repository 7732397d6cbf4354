"""A ledger that grows: no call of it reads a whole table, or all that an account or a phone PC ever did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
import sqlalchemy as sa
from support.old_schema import driver_url, open_as_of

from benchmarks.ledger_plans import CALLS, Plan, Statement, plan_of, statements_of, without_a_call
from benchmarks.ledger_rows import BIG, SERVICE
from benchmarks.ledger_world import World
from reelflow.ledger import Ledger
from reelflow.ledger.schema import metadata, sends
from reelflow.records.posts import PostRequest

SIZE = 2000
INDEXES = [index for name in BIG for index in sorted(metadata.tables[name].indexes, key=lambda each: str(each.name))]
FOR_PEOPLE = {"events_by_send"}
"""Of what reelflow itself never reads."""


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """A ledger with a history, on each database."""
    found = World(url, SIZE)
    yield found
    found.ledger.close()


def _scans(ledger: Ledger, statements: Iterable[Statement]) -> list[Plan]:
    """Statements that read more than they search for, even if the database avoids that wherever it can."""
    plans = [plan_of(ledger, each, without_scans=True) for each in statements]
    return [plan for plan in plans if plan.scans]


def test_no_call_reads_a_whole_table_and_each_index_is_there_for_one(world: World) -> None:
    """Every statement of every call searches an index; and without any one of the indexes, one would not."""
    statements = list({each.text: each for call in CALLS.values() for each in statements_of(world, call)}.values())
    assert len(statements) > len(CALLS)
    assert _scans(world.ledger, statements) == []

    if world.ledger.url.get_backend_name() == "postgresql":
        return  # its indexes are the same; it knows that the tables are small, and uses others as well
    unneeded = set()
    for index in INDEXES:
        with world.ledger.engine().begin() as connection:
            index.drop(connection)
        of_table = [each for each in statements if index.table is not None and index.table.name in each.text]
        if not _scans(world.ledger, of_table):
            unneeded.add(index.name)
        with world.ledger.engine().begin() as connection:
            index.create(connection)
    assert unneeded == FOR_PEOPLE


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_postgresql_plans_each_statement_for_its_values(world: World) -> None:
    """One plan for any values searches whatever is best on average: for a destination, all posts of its account."""
    post = world.old_post()
    for _ in range(20):
        assert world.ledger.claim(post, service=SERVICE, owner="me").send_id is None
    with world.ledger.engine().connect() as connection:
        kept = connection.execute(sa.text("SELECT statement FROM pg_prepared_statements")).scalars().all()

    assert kept == []


def test_each_public_method_of_the_ledger_is_tried() -> None:
    """A new one needs a call in benchmarks/ledger_calls.py or ledger_phone_calls.py, or a reason in NOT_MEASURED."""
    assert without_a_call() == []


def test_the_number_of_sends_follows_the_rows(ledger_on_each: Ledger, checked: Callable[..., PostRequest]) -> None:
    """Those of before the count was kept, those that are added, and those that somebody deletes by hand."""
    open_as_of("0005", ledger_on_each.url)
    engine = sa.create_engine(driver_url(ledger_on_each.url))
    with engine.begin() as connection:
        connection.execute(sends.insert().values(_ROW))

    ledger_on_each.claim(checked("one"), service=SERVICE, owner="me")
    both = ledger_on_each.identity().sends
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM sends WHERE id = 'old'"))
    engine.dispose()

    assert (both, ledger_on_each.identity().sends, ledger_on_each.expect_sends(2)) == (2, 1, 1)


_ROW = {"id": "old", "service": SERVICE, "sha256": "0", "file": "a.mp4", "caption": "", "accounts": "[]",
        "scheduled_ms": 0, "owner": "", "lease_until": 0, "claimed_at": 1, "duration": 1, "pictures": "[]"}  # fmt: skip
