"""The rows of a campaign plan in JSON or YAML, or from a form: lists of objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from reelflow.answers import DEEPEST, MOST_PARTS, read_json
from reelflow.campaigns.columns import CAPTION, OURS, VIDEO, caption_column, column_of, in_order, twice
from reelflow.campaigns.rows import RowProblem
from reelflow.campaigns.tables import Table, TableRow, check_count
from reelflow.errors import InputError
from reelflow.wording import one_line

LISTS = ("rows", "posts")
"""Under which name an object has the rows, if the plan is not a list."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C takes a fifth of the time. It crashes on what is nested deep, so `_check_size` comes first."""
_TOO_MUCH = "nested too deep, or too many values"
_NULL = "tag:yaml.org,2002:null"


def read_json_plan(text: str, name: str, folder: Path | None = None) -> Table:
    """The table of a plan in JSON.

    Raises:
        InputError: it is not JSON, not a list of objects, or has too many rows.
    """
    try:
        value = read_json(text.encode("utf-8"))
        json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON that can be read ({one_line(str(error))}).") from None
    return _table(value, name, folder)


def read_yaml_plan(text: str, name: str, folder: Path | None = None) -> Table:
    """The table of a plan in YAML. Every value is taken as it is written: `on`, `010` and `2026-11-27` are texts.

    Raises:
        InputError: it is not YAML, not a list of objects, or has too many rows.
    """
    try:
        _check_size(text)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        value = _Values().of(node)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        said = one_line(error.problem or "it does not follow the rules")
        raise InputError(f"{name} is not YAML that can be read ({where}{said}).") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{name} is not YAML that can be read ({one_line(str(error))}).") from None
    return _table(value, name, folder)


def table_of_rows(rows: Sequence[Any], name: str, folder: Path | None = None) -> Table:
    """The table of objects; its columns have the names of the templates.

    Raises:
        InputError: there are too many rows.
    """
    read = [_row(number, row) for number, row in enumerate(rows, 1)]
    filled = tuple(row for row in read if row.problems or _is_filled_row(row))
    check_count(len(filled), name)
    return Table(name, in_order(column for row in filled for column in row.values), filled, folder=folder)


def _table(value: Any, name: str, folder: Path | None) -> Table:
    if isinstance(value, dict):
        value = next((value[each] for each in LISTS if isinstance(value.get(each), list)), value)
    if not isinstance(value, list):
        raise InputError(f"{name} has no list of posts. Write a list of objects, or an object with one under 'posts'.")
    return table_of_rows(value, name, folder)


def _row(number: int, row: Any) -> TableRow:
    if row is None:
        return TableRow(number, {})
    if not isinstance(row, Mapping):
        said = f"{one_line(str(row), 40)!r} is not a row. Write an object with a value for each column."
        return TableRow(number, {VIDEO: ""}, (RowProblem(number, "", "wrong_type", said),))
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    problems: list[RowProblem] = []
    for name, value in _flat(row):
        column = column_of(name) or name
        if column in values:
            problems.append(RowProblem(number, column, "column_twice", twice(names[column], name, column)))
        else:
            values[column], names[column] = value, name
    return TableRow(number, values, tuple(problems))


def _flat(row: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    """The values of a row by name, with those of a mapping of captions each on its own."""
    flat: list[tuple[str, Any]] = []
    for name, value in row.items():
        if column_of(str(name)) == CAPTION and isinstance(value, Mapping):
            flat += [(caption_column(str(platform)), text) for platform, text in value.items()]
        else:
            flat.append((str(name), value))
    return flat


def _is_filled_row(row: TableRow) -> bool:
    return any(column not in OURS and _is_filled(value) for column, value in row.values.items())


def _is_filled(value: Any) -> bool:
    return bool(value.strip()) if isinstance(value, str) else value not in (None, [], {})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are each there once: of two values, JSON takes the last one without a word."""
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"{name!r} is there twice in one object")
        values[name] = value
    return values


def _check_size(text: str) -> None:
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or number > MOST_PARTS:
            raise ValueError(_TOO_MUCH)


class _Values:
    """The values of YAML's nodes, within limits: a few lines can name each other to make billions."""

    def __init__(self) -> None:
        self._parts = 0

    def of(self, node: Any, depth: int = 0) -> Any:
        self._parts += 1
        if self._parts > MOST_PARTS or depth > DEEPEST:
            raise ValueError(_TOO_MUCH)
        if isinstance(node, yaml.SequenceNode):
            return [self.of(each, depth + 1) for each in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        return None if node is None or node.tag == _NULL else node.value

    def _mapping(self, node: Any, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = str(name_node.value) if isinstance(name_node, yaml.ScalarNode) else None
            value = self.of(value_node, depth + 1)
            if name is None or name in values:
                said = "a name must be text" if name is None else f"{one_line(name)!r} is there twice in one object"
                raise yaml.MarkedYAMLError(problem=said, problem_mark=name_node.start_mark)
            if name == "<<" and isinstance(value, dict):
                merged |= value
            else:
                values[name] = value
        return merged | values
