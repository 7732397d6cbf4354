"""The cells of a campaign plan, from a file with separated values."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelflow.campaigns.columns import MOST_COLUMNS, OURS, check_columns, column_of, is_problems_file
from reelflow.campaigns.rows import RowProblem
from reelflow.errors import InputError
from reelflow.wording import one_line
from reelflow.written_files import plain_cell

MOST_ROWS = 5000
"""Posts of one plan: 13 a day for a year. The check opens each video, so what is more should be meant."""
DELIMITERS = ",;\t"
"""Excel writes semicolons where the comma is the decimal point; what is copied from a table has tabs."""
NAMELESS = ""
"""The name of the cells that no column has."""

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\r\n]+', re.IGNORECASE)
"""Excel's own first line, which tells it the delimiter."""


@dataclass(frozen=True)
class TableRow:
    """One row as it was read.

    Attributes:
        number: 1 for the first below the header; blank rows count.
        values: By the names of the columns, as the plan writes them.
        problems: What is wrong with its structure.
    """

    number: int
    values: Mapping[str, Any]
    problems: tuple[RowProblem, ...] = ()


@dataclass(frozen=True)
class Table:
    """What any kind of plan is turned into before its rows are read.

    Attributes:
        name: What it was read from, for people.
        columns: Their names as the plan writes them, each once.
        rows: Those that are not blank.
        delimiter: What separates its cells.
        folder: Where its videos are that are named without their whole path; None if that is nowhere known.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    delimiter: str = ","
    folder: Path | None = None


def read_csv(text: str, name: str, folder: Path | None = None) -> Table:
    """The table of a CSV text.

    Raises:
        InputError: its quotation marks do not match, or it has too many rows.
    """
    text = text.lstrip("\ufeff")
    delimiter, text = _delimiter(text)
    records = _records(text, delimiter, name)
    header = next((record for record in records if any(cell.strip() for cell in record)), [])
    check_columns(sum(bool(cell.strip()) for cell in header), name)
    names = _names(header)
    columns = tuple(each for each in names if each != NAMELESS)
    is_ours = is_problems_file(columns)
    ours = {place for place, each in enumerate(names) if is_ours and column_of(each) in OURS}
    rows: list[TableRow] = []
    found = 0
    for number, record in enumerate(records, 1):
        if not any(cell and not cell.isspace() and place not in ours for place, cell in enumerate(record)):
            continue
        found += 1
        if found <= MOST_ROWS:
            rows.append(_row(number, [plain_cell(cell) for cell in record] if is_ours else record, names))
    check_count(found, name)
    return Table(name, columns, tuple(rows), delimiter, folder)


def check_count(rows: int, name: str) -> None:
    """Refuse a plan with too many rows.

    Raises:
        InputError: there are more than `MOST_ROWS`.
    """
    if rows > MOST_ROWS:
        raise InputError(f"{name} has {rows} rows; a plan has at most {MOST_ROWS}. Divide it into several plans.")


def _delimiter(text: str) -> tuple[str, str]:
    """What separates the cells, and the text from its header on."""
    if (match := _SEPARATOR_LINE.match(text)) and match[1] in DELIMITERS:
        return match[1], text[match.end() :]
    text = text.lstrip("\r\n")

    def known_columns(delimiter: str) -> tuple[int, int]:
        try:
            header = next(_reader(text, delimiter), [])
        except csv.Error:
            return -1, 0
        return sum(column_of(cell) is not None for cell in header[:MOST_COLUMNS]), len(header)

    return max(DELIMITERS, key=known_columns), text


def _reader(text: str, delimiter: str) -> Iterator[list[str]]:
    # Strict: a mark that is not closed would else take the rest of the plan into one cell, without a word.
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)


def _records(text: str, delimiter: str, name: str) -> Iterator[list[str]]:
    reader = _reader(text, delimiter)
    line = 1
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{name} cannot be read from line {line} on ({error}). A cell with quotation marks, line breaks or "
                "separators stands in quotation marks, with those inside it doubled."
            ) from None
        line = reader.line_num + 1  # type: ignore[attr-defined]
        yield record


def _names(header: list[str]) -> list[str]:
    """The names of the columns; one that is there already gets a number, so that each names its own cells."""
    names: list[str] = []
    for cell in header:
        name, number = cell.strip(), 2
        while name != NAMELESS and name in names:
            name, number = f"{cell.strip()} {number}", number + 1
        names.append(name)
    return names


def _row(number: int, record: list[str], names: list[str]) -> TableRow:
    values = {name: cell for name, cell in zip(names, record, strict=False) if name != NAMELESS}
    nameless = [cell for cell, name in zip(record, [*names, *[NAMELESS] * len(record)], strict=False) if not name]
    surplus = [cell for cell in nameless if cell.strip()]
    if not surplus:
        return TableRow(number, values)
    problem = RowProblem(
        number, "", "cells",
        f"The row has more cells than the header has names. Put a text in quotation marks that has the separator in "
        f"it, or name the column of {one_line(surplus[0], 40)!r}.",
    )  # fmt: skip
    return TableRow(number, values | {NAMELESS: ", ".join(surplus)}, (problem,))
