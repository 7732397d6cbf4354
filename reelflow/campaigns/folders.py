"""A folder with videos as a campaign plan, with the captions in text files beside them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from reelflow.campaigns.columns import CAPTION, VIDEO, caption_column, in_order
from reelflow.campaigns.encodings import decode
from reelflow.campaigns.rows import RowProblem
from reelflow.campaigns.tables import Table, TableRow, check_count
from reelflow.errors import InputError
from reelflow.video.rules import Limits
from reelflow.wording import one_line

ENDING = ".txt"
"""Of a caption's file: cake.txt is for cake.mp4 on every platform, cake.tiktok.txt for TikTok."""
TEXT_ENDING = ".reelflow.txt"
"""Of the text that says what became of an inbox's video: cake.mp4.reelflow.txt. Never a caption's file."""
PLANS = frozenset({"plan.csv", "plan.tsv", "plan.json", "plan.yaml", "plan.yml"})
"""Plans by the names of the templates: who puts one beside its videos means it, and not the bare folder."""
MOST_CAPTION_BYTES = 100_000
"""Of a caption's file. The longest caption that a platform takes has 2200 characters."""
T = TypeVar("T")
_DIGITS = re.compile(r"(\d+)")


def read_folder(folder: Path, name: str) -> tuple[Table, list[RowProblem]]:
    """A row for each video directly in a folder, in the order in which people number files; and what is wrong.

    Files that are hidden are not looked at, nor are folders in it.

    Raises:
        InputError: it cannot be read, has a plan in it, or no video or too many.
    """
    try:
        files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise InputError(f"The folder {name} cannot be read ({one_line(error.strerror or str(error))}).") from None
    if plans := sorted(path.name for path in files if path.name.casefold() in PLANS):
        raise InputError(
            f"The folder {name} has a plan, {plans[0]}, which would not be read. Give that file as the plan; or, "
            "to post every video of the folder with the captions of its text files, take it out of the folder."
        )
    endings = Limits().endings
    videos = sorted((path for path in files if path.suffix.lower() in endings), key=lambda path: natural(path.name))
    if not videos:
        raise InputError(
            f"There is no video in the folder {name}. Put the videos directly into it ({', '.join(endings)}), with "
            "the caption of cake.mp4 in cake.txt."
        )
    check_count(len(videos), f"The folder {name}")
    rows = {path: TableRow(number, {VIDEO: path.name}) for number, path in enumerate(videos, 1)}
    by_stem: dict[str, list[Path]] = {}
    for video in videos:
        by_stem.setdefault(same_name(video.stem), []).append(video)
    problems: list[RowProblem] = []
    texts = (p for p in files if p.suffix.lower() == ENDING and not p.name.endswith(TEXT_ENDING))
    for path in sorted(texts, key=lambda path: natural(path.name)):
        column, its = whose_caption(path.name, by_stem)
        if not its:
            problems.append(RowProblem(0, "", "caption_without_video", _stray(path)))
            continue
        try:
            text = read_caption(path)
        except InputError as error:
            for video in its:
                wrong = RowProblem(rows[video].number, column, "caption_file", error.message)
                rows[video] = replace(rows[video], problems=(*rows[video].problems, wrong))
            continue
        for video in its:
            rows[video] = replace(rows[video], values={**rows[video].values, column: text})
    columns = in_order(column for row in rows.values() for column in row.values)
    return Table(name, columns, tuple(rows.values()), folder=folder), problems


def natural(name: str) -> list[tuple[int, str]]:
    """By which names are sorted as people number them: clip 2 comes before clip 10."""
    parts = _DIGITS.split(unicodedata.normalize("NFC", name).casefold())
    return [(int(part) if place % 2 else 0, "" if place % 2 else part) for place, part in enumerate(parts)]


def whose_caption(name: str, by_stem: Mapping[str, Sequence[T]]) -> tuple[str, Sequence[T]]:
    """The column that a caption's file fills, and for which videos: several may have the same name but its ending."""
    stem = same_name(Path(name).stem)
    if its := by_stem.get(stem):
        return CAPTION, its
    start, _, platform = stem.rpartition(".")
    return caption_column(platform), by_stem.get(start, []) if platform else []


def same_name(name: str) -> str:
    """A name as it is compared: macOS takes accents apart."""
    return unicodedata.normalize("NFC", name)


def read_caption(path: Path) -> str:
    """The text of a caption's file.

    Raises:
        InputError: it cannot be read, or is no caption.
    """
    name = one_line(path.name)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_CAPTION_BYTES + 1)
    except OSError as error:
        raise InputError(f"The caption {name} cannot be read ({one_line(error.strerror or str(error))}).") from None
    if len(data) > MOST_CAPTION_BYTES:
        raise InputError(f"The caption {name} is larger than {MOST_CAPTION_BYTES // 1000} kB. Shorten it.")
    return decode(data, f"The caption {name}").rstrip("\r\n")


def _stray(path: Path) -> str:
    return (
        f"{one_line(path.name)} belongs to no video. Name it like its video, such as cake.txt or "
        "cake.tiktok.txt for cake.mp4, or remove it."
    )
