"""The files that people get: the wrong rows of a campaign plan, and plans to begin with."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from reelflow.campaigns.columns import (
    ACCOUNTS,
    CAMPAIGN,
    CAPTION,
    COMMENTS,
    FIT,
    OURS,
    PREVIEW,
    REPEAT,
    TIME_ZONE,
    VIDEO,
    WARM_UP,
    WHEN,
    caption_column,
    column_of,
    in_order,
)
from reelflow.campaigns.rows import NOW, Plan, PlanRow, RowProblem
from reelflow.campaigns.tables import NAMELESS
from reelflow.posts.requests import is_whole_path
from reelflow.time_zones import shown_zone
from reelflow.written_files import neutral_cell, replace_file

Kind = Literal["csv", "json", "yaml", "folder"]
"""In which a plan may be written."""
_OURS = re.compile(r"\.problems(-\d+)?$")
"""How the name of a file with wrong rows ends, without its ending."""


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    """A CSV for people, who open it with a spreadsheet: no cell is taken for a formula.

    In a file, it is to be written as ``utf-8-sig``: Excel takes a CSV without the mark for its system's encoding.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow([neutral_cell(name) for name in columns])
    writer.writerows([neutral_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def write_csv(path: Path, text: str) -> None:
    """Write a CSV as Excel reads it.

    Raises:
        InputError: it cannot be written there.
    """
    replace_file(path, text, "utf-8-sig")


def place_beside(plan: Plan) -> Path | None:
    """What the names of the files about a plan begin with; None if it is no file of this machine."""
    if plan.path is None:
        return None
    return plan.path / "plan" if plan.path.is_dir() else plan.path.with_suffix("")


def save_wrong_rows(plan: Plan, problems: Sequence[RowProblem]) -> str:
    """Write the wrong rows beside their plan; returns the sentence that says where.

    Empty if no row is wrong, or the plan is no file of this machine. Rows that are still wrong in such a file get the
    next number.

    Raises:
        InputError: they cannot be written there.
    """
    place = place_beside(plan)
    if place is None or not any(problem.number for problem in problems):
        return ""
    name = _OURS.sub("", place.name)
    path = write_problems(plan, problems, place.with_name(f"{name}.problems.csv"))
    return f"The wrong rows are in {path}. Fix them there, and use that file as the plan."


def write_problems(plan: Plan, problems: Sequence[RowProblem], path: Path) -> Path:
    """Write the wrong rows of a plan as a CSV: as they were, with their number and what is wrong. Returns where.

    Fixed, it is a plan of its own: `read_plan` takes it as it is. A problem of the whole plan has a line with nothing
    else, which is read as a blank one. A file that already exists may be half fixed: it is written over only if its
    rows are still those of the plan; else the new one gets a number.

    Raises:
        InputError: it cannot be written there.
    """
    of_row: dict[int, list[RowProblem]] = {}
    for problem in problems:
        of_row.setdefault(problem.number, []).append(problem)
    wrong = [row for row in plan.rows if row.number in of_row]
    columns = list(plan.columns)
    if any(NAMELESS in row.cells for row in wrong):
        columns.append(NAMELESS)
    video = next((name for name in columns if column_of(name) == VIDEO), None)
    rows = {row.number: _cells(row, columns, video, path) for row in plan.rows} | {0: ["" for _ in columns]}
    numbers = [*([0] if 0 in of_row else []), *(row.number for row in wrong)]
    lines = [rows[number] + _said(number, of_row[number]) for number in numbers]
    free = _free_path(path, plan, [*columns, *OURS], rows)
    write_csv(free, csv_text([*columns, *OURS], lines, plan.delimiter))
    return free


def _free_path(path: Path, plan: Plan, header: Sequence[str], rows: Mapping[int, Sequence[str]]) -> Path:
    """The path itself; or, if a row there is no longer as in the plan, with the first number: "plan.problems-2.csv"."""
    for number in itertools.count(1):
        each = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        try:
            if each != plan.path and _is_unfixed(each.read_bytes().decode("utf-8-sig"), plan.delimiter, header, rows):
                return each
        except UnicodeDecodeError:
            continue
        except OSError:  # it is not there, or cannot be written either, which is said then
            return each
    raise AssertionError("numbers do not end")


def _is_unfixed(text: str, delimiter: str, header: Sequence[str], rows: Mapping[int, Sequence[str]]) -> bool:
    """Whether a file with problems has only rows that are still as they are in their plan."""
    try:
        first, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except (csv.Error, ValueError):  # the latter: it is empty
        return False
    own = len(header) - len(OURS)
    unfixed = {(*map(neutral_cell, cells), str(number)) for number, cells in rows.items()}
    return first == [*map(neutral_cell, header)] and all(tuple(line[: own + 1]) in unfixed for line in lines)


def _cells(row: PlanRow, columns: Sequence[str], video: str | None, path: Path) -> list[str]:
    cells = {**row.cells, **({video: _video(row, row.cells.get(video, ""), path)} if video else {})}
    return [cells.get(name, "") for name in columns]


def _said(number: int, problems: Sequence[RowProblem]) -> list[str]:
    codes, sentences = dict.fromkeys(p.code for p in problems), dict.fromkeys(p.sentence for p in problems)
    return [str(number), ", ".join(codes), " ".join(sentences)]


def _video(row: PlanRow, cell: str, path: Path) -> str:
    """How a row names its video in a file at `path`: as it did, if that still leads to it."""
    if not row.video or is_whole_path(cell) or not is_whole_path(row.video):
        return cell
    return cell if path.absolute().parent / cell == Path(row.video) else row.video


def template(kind: Kind, *, now: datetime) -> dict[str, str]:
    """A plan to begin with, by the names of its files: one post at a fixed time, one in the next free slot, one now.

    Only the videos have to be put beside it. A folder has no times, so its posts all take the next free slots.

    Args:
        kind: In which it is written.
        now: The fixed time is two days later.
    """
    rows = _sample(now)
    if kind == "folder":
        platform = caption_column("tiktok")
        return {row[VIDEO].replace(".mp4", ".txt"): row[CAPTION] + "\n" for row in rows} | {
            row[VIDEO].replace(".mp4", ".tiktok.txt"): row[platform] + "\n" for row in rows if platform in row
        }
    if kind == "csv":
        columns = in_order(name for row in rows for name in row)
        return {"plan.csv": csv_text(columns, [[row.get(name, "") for name in columns] for row in rows])}
    if kind == "json":
        return {
            "plan.json": json.dumps({"posts": [_without_empty(row) for row in rows]}, indent=2, ensure_ascii=False)
            + "\n"
        }
    return {"plan.yaml": _yaml(rows)}


def _sample(now: datetime) -> list[dict[str, str]]:
    zone = shown_zone()
    first = {
        VIDEO: "croissant.mp4",
        CAPTION: "Croissants, from dough to oven 🥐",
        caption_column("tiktok"): "72 hours for one croissant 🥐 #baking",
        ACCOUNTS: "TikTok, Instagram",
        WHEN: f"{now.astimezone(zone) + timedelta(days=2):%Y-%m-%d} 18:00",
        TIME_ZONE: zone.key,
        PREVIEW: "1.5",
        FIT: "",
        CAMPAIGN: "",
        REPEAT: "",
        COMMENTS: "",
        WARM_UP: "",
    }
    second = {VIDEO: "cake.mp4", CAPTION: "The cake that everybody asks for", ACCOUNTS: "TikTok", WHEN: ""}
    third = {VIDEO: "bread.mp4", CAPTION: "Bread, out of the oven just now", ACCOUNTS: "TikTok", WHEN: NOW}
    return [first, second, third]


def _without_empty(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if value}


def _yaml(rows: Sequence[dict[str, str]]) -> str:
    """YAML as people write it. A JSON text is one in YAML too, so captions with marks and colons need no thought."""
    lines = [
        "# One entry for each post. Without 'when', it takes the next free slot; 'now' publishes it at once.",
        "# Paths are looked for beside this file. A caption may differ by platform: caption tiktok, caption x.",
        "posts:",
    ]
    for row in rows:
        for place, (name, value) in enumerate(_without_empty(row).items()):
            lines.append(f"  {'-' if place == 0 else ' '} {name}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
