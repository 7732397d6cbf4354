"""How a database carries out each statement of the ledger, and whether it reads a whole table for it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa

from benchmarks import ledger_calls, ledger_phone_calls
from benchmarks.ledger_rows import BIG
from benchmarks.ledger_world import Call, World
from reelflow.ledger import Ledger
from reelflow.ledger.schema import metadata

NOT_MEASURED = {
    "check_disk": "asks whether the database's disk has room",
    "clock_ahead": "asks for the database's time",
    "close": "no statement",
    "connect": "no statement",
    "engine": "opens the database: once for each process, and the same for each size",
    "insert": "no statement",
    "insert_new": "no statement",
    "is_same_but_for_password": "no statement",
    "is_same_file": "no statement",
    "lacks_password": "asks whether the database lets it in",
    "lets_in": "asks whether the database lets it in",
    "now": "no statement",
    "reading": "no statement",
    "size": "asks for the size of the database",
    "tidy": "walks through all by the tables' keys, a few hundred rows at a time",
    "transaction": "no statement",
    "wait_for_writers": "no statement",
    "with_password": "no statement",
}
"""Public methods of the ledger without a call, each with the reason."""

CALLS: dict[str, Call] = {
    name: call
    for module in (ledger_calls, ledger_phone_calls)
    for name, call in vars(module).items()
    if inspect.isgeneratorfunction(call) and not name.startswith("_")
}
"""The calls by name."""


def without_a_call() -> list[str]:
    """Public methods of the ledger that are neither called nor named in `NOT_MEASURED`."""
    public = {name for name, _ in inspect.getmembers(Ledger, inspect.isfunction) if not name.startswith("_")}
    return sorted(public - {name.partition("__")[0] for name in CALLS} - set(NOT_MEASURED))


def finish(steps: Iterator[Any]) -> None:
    """Let a call do what it does after it is measured."""
    for _ in steps:
        pass


class Statement(NamedTuple):
    """One statement as the database got it."""

    text: str
    values: Any


class Plan(NamedTuple):
    """What the database does for a statement, a step a line, and which of the lines read all rows of a large table."""

    statement: str
    steps: tuple[str, ...]
    scans: tuple[str, ...]


def statements_of(world: World, call: Call) -> list[Statement]:
    """What one call asks of the database; each text once."""
    found: dict[str, Statement] = {}
    steps = call(world)
    next(steps)
    with _recorded(world.ledger, found):
        next(steps, None)
    finish(steps)
    return [each for each in found.values() if not each.text.startswith(("INSERT", "BEGIN"))]


@contextmanager
def _recorded(ledger: Ledger, found: dict[str, Statement]) -> Iterator[None]:
    def record(_connection: Any, _cursor: Any, text: str, values: Any, _context: Any, many: bool) -> None:
        found.setdefault(text, Statement(text, values[0] if many else values))

    engine = ledger.engine()
    sa.event.listen(engine, "before_cursor_execute", record)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", record)


def plan_of(ledger: Ledger, statement: Statement, *, without_scans: bool = False) -> Plan:
    """How a statement would be carried out.

    Args:
        ledger: Where.
        statement: What.
        without_scans: Whether PostgreSQL avoids whole tables wherever it can, as it would with millions of rows.
    """
    with ledger.engine().connect() as connection:
        if connection.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement.text}", statement.values)
            steps = tuple(row[3] for row in rows)
            scans = tuple(step for step in steps if _is_scan(step, statement.text))
        else:
            for way in ("seqscan", "hashjoin", "mergejoin") if without_scans else ():
                connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
            rows = connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) {statement.text}", statement.values)
            steps = tuple(row[0] for row in rows)
            scans = tuple(_postgres_scans(steps, is_small=without_scans))
        connection.rollback()
    return Plan(" ".join(statement.text.split()), steps, scans)


_NAMES = "|".join(BIG)
_SQLITE_SCAN = re.compile(rf"SCAN (?:TABLE )?(?:{_NAMES})\b(?:.* INDEX (?P<index>\w+))?")
_POSTGRES_SCAN = re.compile(rf"Seq Scan on (?:{_NAMES})\b")
_POSTGRES_INDEX = re.compile(
    rf"Index(?: Only)? Scan (?:Backward )?using (\w+) on (?:{_NAMES})\b|Bitmap Index Scan on (\w+)"
)
_OF_A_FEW = {
    index.name
    for table in metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None
}
"""Indexes of the few rows that a condition holds for: they may be read to the end."""


_BROAD = {
    "sends": {"service"},
    "destinations": {"service", "account_id"},
    "reservations": {"service", "account_id"},
    "engagements": {"service"},
    "phone_requests": {"host", "script"},
    "phone_actions": {"account", "script"},
}
"""Columns by which nothing more is found than all that an account or a PC ever did: no search may have these only."""
_INDEX_OF = {index.name: table.name for table in metadata.tables.values() for index in table.indexes} | {
    f"sqlite_autoindex_{name}_{n}": name for name in BIG for n in (1, 2, 3)
}


def _is_broad(index: str, columns: set[str]) -> bool:
    broad = _BROAD.get(_INDEX_OF.get(index, ""), set())
    return index not in _OF_A_FEW and bool(columns) and columns <= broad


def _is_scan(step: str, text: str) -> bool:
    if search := re.match(r"SEARCH .* INDEX (\w+) \((.*)\)", step):
        # What is read in the order of an index, to the first few, may be an account's.
        return _is_broad(search[1], set(re.findall(r"(\w+)[=<>]", search[2]))) and "LIMIT" not in text
    if not (found := _SQLITE_SCAN.match(step)) or found["index"] in _OF_A_FEW:
        return False
    return not (found["index"] and "LIMIT" in text)


def _postgres_scans(steps: tuple[str, ...], *, is_small: bool) -> Iterator[str]:
    """Whole tables, and whole indexes: those that are read without a condition, and to the end."""
    is_limited = any(step.strip().removeprefix("->").strip() == "Limit" for step in steps)
    for step, after in zip(steps, (*steps[1:], ""), strict=True):
        names = {name for name in search.groups() if name} if (search := _POSTGRES_INDEX.search(step)) else set()
        is_whole_index = names and "Index Cond" not in after and not names & _OF_A_FEW
        columns = set(re.findall(r"\(?(\w+)\)?(?:::\w+)? (?:=|<|>|<=|>=) ", after))
        is_broad = "Index Cond" in after and any(_is_broad(name, columns) for name in names)
        # Of a small table, a whole index or all of an account may be the fastest way.
        if _POSTGRES_SCAN.search(step) or ((is_whole_index or is_broad) and not is_limited and not is_small):
            yield f"{step.strip().removeprefix('->').strip()}: {after.strip()}"
