"""One row of a table as a row of the plan, with everything that is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

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
    platform_of,
)
from reelflow.campaigns.moments import DateFormat, When, read_when
from reelflow.campaigns.rows import PlanRow, RowProblem
from reelflow.campaigns.tables import TableRow
from reelflow.errors import InputError
from reelflow.phones.engagement import LEAST_WARM_UP
from reelflow.posts.fit_fields import OFF, FitChoice
from reelflow.posts.requests import is_whole_path
from reelflow.records.posts import without_quotes
from reelflow.time_zones import read_zone, shown_zone
from reelflow.wording import one_line

MOST_SECONDS = 1e9
"""Of a preview; which second the video still has is the check's to say."""
MOST_ZONES = 100
"""Different ones in a plan. For an unknown name, those that are like it are looked for, which takes 10 ms."""
_FITS: dict[str, FitChoice] = {
    "pad": "pad", "blur": "blur", "crop": "crop", "off": "off",
    "padding": "pad", "bars": "pad", "blurred background": "blur", "blurred": "blur", "no": "off", "none": "off",
}  # fmt: skip
"""What a cell may say, first as the templates write it."""
_NUMBER = re.compile(r"\d{1,9}(?:[.,]\d{1,9})?|[.,]\d{1,9}")
_WHOLE = re.compile(r"\d{1,3}")
_BETWEEN_ACCOUNTS = re.compile(r"[,;\n\r]+")
_BETWEEN_COMMENTS = re.compile(r"[\n\r]+|\s\|\s")
"""A comment may have commas; a bar between blanks is for spreadsheets, where a new line in a cell is hard to type."""
MOST_COMMENTS = 500
"""Of a row, as in the form."""
LONGEST_WARM_UP = 240
"""Minutes, as in the form."""


@dataclass(frozen=True)
class ReadingOptions:
    """What a plan leaves open.

    Attributes:
        time_zone: Of the times of rows that name none; "" for the one in which times are shown.
        date_format: The order of day and month in dates such as 03/04/2026.
        campaign: Of the rows that name none.
    """

    time_zone: str = ""
    date_format: DateFormat = "refused"
    campaign: str = ""


class RowReader:
    """Reads the rows of one plan.

    Args:
        columns: What the plan's names of its columns mean.
        folder: Where its videos are that are named without their whole path.
        options: What the plan leaves open.
        now: For dates without a year.

    Raises:
        InputError: the options name an unknown time zone.
    """

    def __init__(self, columns: Mapping[str, str], folder: Path | None, options: ReadingOptions, now: datetime) -> None:
        self._columns = columns
        self._folder = folder
        self._options = options
        self._now = now
        self._zone = read_zone(options.time_zone) if options.time_zone else shown_zone()
        self._zones: dict[str, ZoneInfo | str] = {}

    def read(self, row: TableRow) -> tuple[PlanRow, list[RowProblem]]:
        """The row of the plan, and what is wrong with it; what cannot be read is as if it were not there."""
        cells = _Cells(row, self._columns)
        video = self._video(cells)
        platforms = {platform: cells.text(column) for column in cells.columns if (platform := platform_of(column))}
        read = PlanRow(
            number=row.number,
            video=video,
            caption=cells.text(CAPTION),
            captions={platform: text for platform, text in platforms.items() if text.strip()},
            accounts=self._accounts(cells),
            when=self._when(cells),
            preview_second=self._preview(cells),
            campaign=cells.text(CAMPAIGN).strip() or self._options.campaign,
            repeat=self._repeat(cells),
            comments=self._comments(cells),
            warm_up_minutes=self._warm_up(cells),
            fit=self._fit(cells),
            cells={name: text_of(value) for name, value in row.values.items() if self._columns.get(name) not in OURS},
        )
        return read, cells.problems

    def _video(self, cells: _Cells) -> str:
        name = without_quotes(cells.text(VIDEO))
        if not name:
            # Where the plan has no such column, or the cell is no text, that has been said.
            if cells.has(VIDEO) and all(problem.code != "wrong_type" for problem in cells.problems):
                cells.wrong(VIDEO, "video_missing", "The row names no video. Write the path of its file.")
            return ""
        return name if self._folder is None or is_whole_path(name) else str(self._folder / name)

    def _accounts(self, cells: _Cells) -> tuple[str, ...]:
        value = cells.value(ACCOUNTS)
        if isinstance(value, list | tuple):
            names = [name for name in value if isinstance(name, str)]
            if len(names) < len(value):
                cells.wrong(ACCOUNTS, "wrong_type", "Accounts are texts. Put each in quotation marks.")
                return ()
        else:
            names = _BETWEEN_ACCOUNTS.split(cells.text(ACCOUNTS))
        return tuple(name.strip() for name in names if name.strip())

    def _when(self, cells: _Cells) -> When:
        zone = self._zone_of(cells)
        when, problems = read_when(cells.value(WHEN), zone or self._zone, self._options.date_format, self._now)
        for each in problems:
            if zone or each.code != "no_such_time":  # in an unknown zone, nobody knows which times there are
                cells.wrong(WHEN, each.code, each.sentence)
        return when if zone else None

    def _zone_of(self, cells: _Cells) -> ZoneInfo | None:
        """The zone of a row; None if it names an unknown one."""
        name = cells.text(TIME_ZONE).strip()
        if not name:
            return self._zone
        if name not in self._zones and len(self._zones) < MOST_ZONES:
            try:
                self._zones[name] = read_zone(one_line(name))
            except InputError as error:
                self._zones[name] = error.message
        found = self._zones.get(name, f"The plan names more than {MOST_ZONES} time zones. Use fewer.")
        if isinstance(found, ZoneInfo):
            return found
        cells.wrong(TIME_ZONE, "time_zone", found)
        return None

    def _preview(self, cells: _Cells) -> float:
        value = cells.value(PREVIEW)
        if value is None or (isinstance(value, str) and not value.strip()):
            return 0.0
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            return float(value.strip().replace(",", "."))
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_SECONDS:
            return float(value)
        cells.wrong(
            PREVIEW, "preview_second",
            f"{one_line(text_of(value), 60)!r} is not a second of the video. Write a number such as 1.5, or nothing.",
        )  # fmt: skip
        return 0.0

    def _fit(self, cells: _Cells) -> FitChoice | None:
        value = cells.value(FIT)
        text = OFF if value is False else text_of(value).strip().casefold()  # what YAML makes of 'off'
        if not text:
            return None
        if text in _FITS:
            return _FITS[text]
        choices = ", ".join(repr(each) for each in dict.fromkeys(_FITS.values()))
        cells.wrong(FIT, "fit", f"{one_line(text, 60)!r} is not a way to fit a video. Write {choices}, or nothing.")
        return None

    def _repeat(self, cells: _Cells) -> int:
        value = cells.value(REPEAT)
        text = text_of(value).strip()
        if not text or (_WHOLE.fullmatch(text) and not isinstance(value, bool)):
            return int(text or 0)
        cells.wrong(
            REPEAT, "repeat",
            f"{one_line(text, 60)!r} is not a number of times. Write 1 to send the post again on purpose, or nothing.",
        )  # fmt: skip
        return 0

    def _comments(self, cells: _Cells) -> tuple[str, ...]:
        value = cells.value(COMMENTS)
        if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
            texts = [str(each) for each in value]
        else:
            texts = _BETWEEN_COMMENTS.split(cells.text(COMMENTS))
        found = tuple(text.strip() for text in texts if text.strip())
        if len(found) > MOST_COMMENTS:
            cells.wrong(COMMENTS, "comments", f"A row has at most {MOST_COMMENTS} comments to choose from.")
        return found[:MOST_COMMENTS]

    def _warm_up(self, cells: _Cells) -> float | None:
        value = cells.value(WARM_UP)
        text = text_of(value).strip().replace(",", ".")
        if not text:
            return None
        is_number = _NUMBER.fullmatch(text) and not isinstance(value, bool)
        if is_number and (float(text) == 0 or LEAST_WARM_UP <= float(text) * 60 <= LONGEST_WARM_UP * 60):
            return float(text)
        cells.wrong(
            WARM_UP, "warm_up",
            f"{one_line(text, 60)!r} is not a number of minutes that a warm-up can last. Write 0 for none, or "
            f"{LEAST_WARM_UP / 60:.1g} to {LONGEST_WARM_UP}; or leave the cell empty.",
        )  # fmt: skip
        return None


class _Cells:
    """The cells of one row by what their columns mean, and what is wrong with them."""

    def __init__(self, row: TableRow, columns: Mapping[str, str]) -> None:
        self.columns = {columns[name]: name for name in row.values if name in columns}
        self.problems = list(row.problems)
        self._row = row
        self._all = columns.values()

    def has(self, column: str) -> bool:
        return column in self._all

    def value(self, column: str) -> Any:
        return self._row.values[self.columns[column]] if column in self.columns else None

    def text(self, column: str) -> str:
        """A cell that is a text; "" if it is something else, which is a problem then."""
        value = self.value(column)
        if value is None or isinstance(value, str):
            return value or ""
        self.wrong(
            column, "wrong_type",
            f"{one_line(text_of(value), 60)!r} is not a text, as '{column}' has to be. Put it in quotation marks.",
        )  # fmt: skip
        return ""

    def wrong(self, column: str, code: str, sentence: str) -> None:
        self.problems.append(RowProblem(self._row.number, column, code, sentence))


def text_of(value: Any) -> str:
    """Any value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return "; ".join(value)
    return json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
