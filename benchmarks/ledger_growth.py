"""What a million posts and phone tasks cost the ledger: each of its calls on a large ledger and on a small one.

``python -m benchmarks.ledger_growth``; with ``--size 50000`` in some minutes. It prints each call's cost in both, and
how the database carries out each of its statements. A cost is the CPU time of the call, in this process and in the
database's own: other programs on the machine change it little, and the wait for a disk is the same for any size.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import sqlalchemy as sa

from benchmarks.ledger_plans import CALLS, NOT_MEASURED, Plan, finish, plan_of, statements_of, without_a_call
from benchmarks.ledger_rows import NEWEST
from benchmarks.ledger_world import Call, World
from tests.support.postgres import NoPostgresError, running_postgres

SIZE = 1_000_000
BOUND = 1.5
ROUNDS, TIMES = 2, 5
"""Rounds, and calls in each; the best of the rounds' medians counts, since other programs only ever add to a time."""
SLACK_MS = 0.2
"""A difference that is no more than this is none: equal calls differ by as much."""
MOST_ROUNDS = 9
"""A call that seems to cost more is measured again, up to so many rounds."""


class Cost(NamedTuple):
    """Milliseconds of one call, on the small ledger and on the large one."""

    name: str
    small: float
    large: float

    @property
    def ratio(self) -> float:
        """How many times as much it costs on the large one."""
        return self.large / self.small

    @property
    def holds(self) -> bool:
        """Whether that is within the bound."""
        return self.large <= BOUND * self.small + SLACK_MS


def cost_of(name: str, call: Call, small: World, large: World) -> Cost:
    """Measure a call on both ledgers in turns."""
    medians: tuple[list[float], list[float]] = ([], [])
    while True:
        for world, found in zip((small, large), medians, strict=True):
            found.append(statistics.median(_seconds(call, world) * 1000 for _ in range(TIMES)))
        cost = Cost(name, min(medians[0]), min(medians[1]))
        if len(medians[0]) >= (ROUNDS if cost.holds and cost.ratio <= BOUND else MOST_ROUNDS):
            return cost


def _seconds(call: Call, world: World) -> float:
    steps = call(world)
    next(steps)
    begun = world.seconds()
    next(steps, None)
    took = world.seconds() - begun
    finish(steps)
    return took


def measure(size: int, only: str = "", names: Sequence[str] = ()) -> bool:
    """Measure on both databases; whether each call is within the bound."""
    missing = without_a_call()
    for name in missing:
        print(f"FAIL {name}: a method of the ledger without a call. Add one, or a reason to NOT_MEASURED.")
    return all(
        [
            _measure_on(database, size, names or list(CALLS))
            for database in ("SQLite", "PostgreSQL")
            if only in ("", database.lower())
        ]
        + [not missing]
    )


def _measure_on(database: str, size: int, names: Sequence[str]) -> bool:
    try:
        with _two_databases(database) as (small_url, large_url):
            small, large = World(small_url, NEWEST), _filled(large_url, size)
            print(f"\n{database}: {NEWEST:,} and {size:,} destinations and phone tasks\n")
            costs = [_printed(cost_of(name, CALLS[name], small, large)) for name in names]
            _print_worst(costs)
            _print_plans(large, names)
            small.ledger.close()
            large.ledger.close()
            return all(cost.holds for cost in costs)
    except NoPostgresError as reason:
        print(f"\n{database}: skipped. {reason}")
        return True


def _filled(url: str, size: int) -> World:
    begun = time.perf_counter()
    world = World(url, size)
    print(f"Filled with {size:,} in {time.perf_counter() - begun:.0f} s.", flush=True)
    return world


@contextmanager
def _two_databases(database: str) -> Iterator[tuple[str, str]]:
    if database == "SQLite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/small.db", f"sqlite:///{folder}/large.db"
        return
    with running_postgres() as server:
        url = sa.make_url(server)
        engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE large")
        engine.dispose()
        yield server, url.set(database="large").render_as_string(hide_password=False)


def _printed(cost: Cost) -> Cost:
    mark, width = "ok  " if cost.holds else "FAIL", max(map(len, CALLS))
    print(f"{mark} {cost.name:{width}}  {cost.small:6.2f} ms  {cost.large:6.2f} ms  {cost.ratio:.2f}", flush=True)
    return cost


def _print_worst(costs: list[Cost]) -> None:
    worst = max(costs, key=lambda cost: cost.ratio)
    print(f"\n{len(costs)} calls, {sum(not cost.holds for cost in costs)} above {BOUND:g} times.", end=" ")
    print(f"Highest ratio: {worst.ratio:.2f} ({worst.name}). Not measured: {', '.join(NOT_MEASURED)}.", flush=True)


def _print_plans(world: World, names: Sequence[str]) -> None:
    """Each statement once, with the calls that make it, its steps, and what is read as a whole."""
    plans: dict[str, Plan] = {}
    callers: dict[str, list[str]] = {}
    for name in names:
        for statement in statements_of(world, CALLS[name]):
            plan = plan_of(world.ledger, statement)
            plans.setdefault(plan.statement, plan)
            callers.setdefault(plan.statement, []).append(name)
    print(f"\nPlans of {len(plans)} statements, and the calls that make them:")
    for text, plan in plans.items():
        steps = " | ".join(" ".join(step.split()) for step in plan.steps)
        print(f"{'SCAN' if plan.scans else '    '} {', '.join(callers[text])}: {text[:80]}…\n         {steps[:600]}")
        for scan in plan.scans:
            print(f"         reads all: {scan}")


def main() -> int:
    """Measure, and say by the exit code whether all bounds hold."""
    parser = argparse.ArgumentParser(description="The ledger's calls with a million posts and phone tasks.")
    parser.add_argument("--size", type=int, default=SIZE, help="destinations, and phone tasks, of the large ledger")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="", help="only this one")
    parser.add_argument("--call", action="append", choices=CALLS, help="only this call; may be given more than once")
    given = parser.parse_args()
    return 0 if measure(given.size, given.database, given.call or ()) else 1


if __name__ == "__main__":
    sys.exit(main())
