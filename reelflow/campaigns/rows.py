"""The rows of a campaign plan as they were read, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from reelflow.posts.fit_fields import FitChoice

NOW: Literal["now"] = "now"
"""What a row says in place of a time to be published at once; without any, it takes the next free slot."""


@dataclass(frozen=True)
class PlanRow:
    """One row of a plan: one video with its captions, for some accounts.

    Attributes:
        number: As people count: 1 for the first row below the header.
        video: The path of its file, as whole as the plan tells.
        caption: For every platform that has none of its own.
        captions: By platform, in lower case.
        accounts: As people write them; empty for those of the form.
        when: The moment, in UTC; `NOW`; None for the next free slot.
        preview_second: The frame that platforms show as the cover.
        campaign: Under which the same post counts as another one; empty for all plans alike.
        repeat: 0 for the first time; another number sends the same again on purpose.
        fit: How its video is made right if it does not fit; None for what the form says.
        comments: What the phones comment on the post, one text each; empty for those of the form.
        warm_up_minutes: How long they warm up before; None for what the form says.
        cells: The row as it was written, by the names of the plan's columns.
    """

    number: int
    video: str
    caption: str = ""
    captions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    accounts: tuple[str, ...] = ()
    when: datetime | Literal["now"] | None = None
    preview_second: float = 0.0
    campaign: str = ""
    repeat: int = 0
    fit: FitChoice | None = None
    comments: tuple[str, ...] = ()
    warm_up_minutes: float | None = None
    cells: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def caption_for(self, platform: str) -> str:
        """Its caption for a platform."""
        return self.captions.get(platform.casefold(), self.caption)


@dataclass(frozen=True)
class RowProblem:
    """What keeps a row from being sent.

    Attributes:
        number: Of the row; 0 for the whole plan.
        column: Of the plan, by the name that the template gives it; empty where it is none in particular.
        code: What is wrong, as a word for programs.
        sentence: The same for people, with what to do.
    """

    number: int
    column: str
    code: str
    sentence: str


@dataclass(frozen=True)
class Plan:
    """A plan as it was read: every row, and what is wrong with any.

    Attributes:
        name: What it was read from, for people.
        columns: The header as it was written, for the file with the problems; without what that file adds.
        rows: All of them, the wrong ones included.
        problems: In the order of the rows.
        path: Of the file or folder, if it is one of this machine.
        delimiter: What separates its cells; Excel opens the file with the problems only with the same one.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[PlanRow, ...]
    problems: tuple[RowProblem, ...] = ()
    path: Path | None = None
    delimiter: str = ","
