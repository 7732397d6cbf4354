"""Read a campaign plan: a file, a folder with videos, a web address, or the rows of a form.

    file, address ── encodings ── tables, documents ──┐
    folder ────────────────────── folders ────────────┼── Table ── columns ── row_reading ── Plan
    form ──────────────────────── documents ──────────┘

What keeps the whole plan from being read is an InputError. What is wrong with its columns or with a row is a problem in
the plan, beside all others: people correct a plan once, not once for each mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from reelflow.addresses import is_address, name_of
from reelflow.campaigns.columns import OURS, by_column
from reelflow.campaigns.documents import read_json_plan, read_yaml_plan, table_of_rows
from reelflow.campaigns.encodings import decode
from reelflow.campaigns.folders import read_folder
from reelflow.campaigns.row_reading import ReadingOptions, RowReader
from reelflow.campaigns.rows import Plan, PlanRow, RowProblem
from reelflow.campaigns.sources import kind_of, load, read_bytes
from reelflow.campaigns.tables import Table, read_csv
from reelflow.errors import InputError
from reelflow.posts.requests import find_file
from reelflow.records.posts import without_quotes
from reelflow.wording import one_line

__all__ = ["ReadingOptions", "plan_of_rows", "read_plan"]

_READERS = {"csv": read_csv, "json": read_json_plan, "yaml": read_yaml_plan}


def read_plan(source: str, *, folder: str | None, options: ReadingOptions, now: datetime) -> Plan:
    """The plan at `source`, its wrong rows included.

    Args:
        source: The path of a file (.csv, .tsv, .txt, .json, .yaml, .yml) or of a folder with videos, or the web address
            of such a file. Quotes around it do not count.
        folder: Where a plan is looked for first that is named without its whole path.
        options: What the plan leaves open.
        now: For dates without a year.

    Raises:
        InputError: it cannot be read as a whole, or has no row.
    """
    source = without_quotes(source)
    if not source:
        raise InputError("No plan is named. Give the path of its file, or of a folder with videos.")
    if is_address(source):
        name = name_of(source)
        data, kind = load(source, name)
        return _plan(_READERS[kind](decode(data, name), name), options, now)
    path = _path(source, folder)
    name = one_line(path.name or str(path))
    if path.is_dir():
        table, problems = read_folder(path, name)
        return replace(_plan(table, options, now, problems), path=path)
    read = _READERS[kind_of(path, name)]
    return replace(_plan(read(decode(read_bytes(path, name), name), name, path.parent), options, now), path=path)


def plan_of_rows(rows: Sequence[Mapping[str, Any]], name: str, *, options: ReadingOptions, now: datetime) -> Plan:
    """The plan of rows that a form or a program has, by the names of the columns; a row of blanks is none.

    Args:
        rows: As in a plan in JSON; values may also be what programs make of them, such as a datetime.
        name: What the plan is called.
        options: What the rows leave open.
        now: For dates without a year.

    Raises:
        InputError: there is no row, or too many.
    """
    return _plan(table_of_rows(rows, one_line(name)), options, now)


def _path(source: str, folder: str | None) -> Path:
    try:
        path = find_file(source, folder).absolute()
        if path.exists():
            return path
    except (RuntimeError, ValueError, OSError):
        pass  # no home folder, or a name that no file can have
    raise InputError(f"There is no plan {one_line(source)}. Check its name, or give its whole path.")


def _plan(table: Table, options: ReadingOptions, now: datetime, problems: Sequence[RowProblem] = ()) -> Plan:
    columns, wrong_columns = by_column(table.columns, table.name)
    reader = RowReader(columns, table.folder, options, now)
    if not table.rows:
        raise InputError(f"{table.name} has no row. Write one for each post, below the names of the columns.")
    rows: list[PlanRow] = []
    found = [*problems, *wrong_columns]
    for each in table.rows:
        row, its_problems = reader.read(each)
        rows.append(row)
        found += its_problems
    written = tuple(name for name in table.columns if columns.get(name) not in OURS)
    return Plan(table.name, written, tuple(rows), tuple(found), delimiter=table.delimiter)
