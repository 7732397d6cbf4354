"""The columns of a campaign plan, by whatever name people give them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from reelflow.campaigns.rows import RowProblem
from reelflow.errors import InputError
from reelflow.wording import one_line

VIDEO, CAPTION, ACCOUNTS, WHEN = "video", "caption", "accounts", "when"
TIME_ZONE, PREVIEW, FIT, CAMPAIGN, REPEAT = "time zone", "preview second", "fit", "campaign id", "repeat"
COMMENTS, WARM_UP = "comments", "warm up"
COLUMNS = (VIDEO, CAPTION, ACCOUNTS, WHEN, TIME_ZONE, PREVIEW, FIT, CAMPAIGN, REPEAT, COMMENTS, WARM_UP)
"""As the templates write them. There is also one with the captions of each platform: "caption tiktok"."""
ROW, CODE, PROBLEM = "row", "code", "problem"
OURS = (ROW, CODE, PROBLEM)
"""What the file with the problems has beside the plan's own columns; when it is read again, they say nothing.

Only together: a person's own column may have one of these names.
"""
MOST_COLUMNS = 100
"""Different ones in a plan. There are eleven, and one for each platform: a file with more is something else."""
LONGEST_NAME = 100
"""Letters of a column's name; what is longer is a caption in its place."""
MOST_LETTERS = 60
"""Of a column's name in a sentence. A first line without names has captions in their place."""

_OTHER_NAMES = {
    VIDEO: ("file", "path", "video file", "file name"),
    CAPTION: ("captions", "text"),
    ACCOUNTS: ("account",),
    WHEN: ("date", "time", "date time", "publish at", "scheduled for", "scheduled at"),
    TIME_ZONE: ("zone", "tz"),
    PREVIEW: ("preview", "preview at", "cover second"),
    FIT: ("fitting", "if it does not fit"),
    CAMPAIGN: ("campaign",),
    REPEAT: ("send again",),
    COMMENTS: ("comment", "comment texts"),
    WARM_UP: ("warm up minutes", "warm up (minutes)"),
}
_PLATFORMS = ("tiktok", "instagram", "youtube", "facebook", "x")
_BY_NAME = {
    name.replace(" ", ""): column
    for column in COLUMNS
    for name in (column, *_OTHER_NAMES[column])
}  # fmt: skip
_BETWEEN = re.compile(r"[\s_\-.:/()\[\]]+")
_NUMBER = re.compile(r" \d+$")
_WITH_PLATFORM = re.compile(r"captions? (?:for |on )?([^\W\d_].*)|([^\W\d_].*) captions?")


def column_of(name: str) -> str | None:
    """The column that a name means, as the templates write it; None if it means none.

    Upper and lower case make no difference, nor do blanks, underscores, hyphens, dots, brackets, and a number at the
    end, which a second column of the same name gets.
    """
    if len(name) > LONGEST_NAME:
        return None
    words = _words_of(name)
    if column := _BY_NAME.get(words.replace(" ", "")):
        return column
    if platform := _named_platform(words):
        return None if _meant_platform(platform) else caption_column(platform)
    return words if words in OURS else None


def _words_of(name: str) -> str:
    return _NUMBER.sub("", _BETWEEN.sub(" ", name).strip().casefold())


def _named_platform(words: str) -> str:
    """Of a column with the captions of one platform, that; "" of another column."""
    match = _WITH_PLATFORM.fullmatch(words)
    return match[1] or match[2] if match else ""


def is_problems_file(names: Iterable[str]) -> bool:
    """Whether columns are those of a file with the problems of a plan."""
    return set(OURS) <= set(map(column_of, names))


def caption_column(platform: str) -> str:
    """The column with the captions of one platform."""
    return f"{CAPTION} {platform.casefold()}"


def platform_of(column: str) -> str:
    """The platform whose captions a column has, in lower case; "" if it is another column."""
    return column.removeprefix(f"{CAPTION} ") if column.startswith(f"{CAPTION} ") else ""


def by_column(names: Iterable[str], plan: str) -> tuple[dict[str, str], list[RowProblem]]:
    """The column of each name that means one, in the order of the names, and what is wrong with the others.

    Args:
        names: As the plan writes them.
        plan: What the plan is called.

    Raises:
        InputError: no plan has so many columns.
    """
    names = list(names)
    check_columns(len(names), plan)
    has_ours = is_problems_file(names)
    found: dict[str, str] = {}
    problems: list[RowProblem] = []
    for name in names:
        column = column_of(name)
        if column is None or (column in OURS and not has_ours):
            problems.append(RowProblem(0, "", "unknown_column", _unknown(name)))
        elif column not in OURS and (first := next((n for n, c in found.items() if c == column), None)) is not None:
            problems.append(RowProblem(0, column, "column_twice", twice(first, name, column)))
        else:
            found[name] = column
    if names and VIDEO not in found.values():
        problems.append(
            RowProblem(
                0, VIDEO, "no_video_column",
                f"{plan} has no column 'video'. Name its columns, a table's in its first line: {_listed()}.",
            )
        )  # fmt: skip
    return found, problems


def check_columns(number: int, plan: str) -> None:
    """Refuse what has too many columns to be a plan.

    Raises:
        InputError: there are more than `MOST_COLUMNS`.
    """
    if number > MOST_COLUMNS:
        raise InputError(
            f"{plan} has {number} columns; a plan has at most {MOST_COLUMNS}. Check that it is a plan, with the names "
            f"of its columns in the first line: {_listed()}."
        )


def in_order(columns: Iterable[str]) -> tuple[str, ...]:
    """Columns as the templates order them; captions of platforms follow `caption`, other names come last."""
    places = {column: place for place, column in enumerate(COLUMNS)}

    def place(column: str) -> int:
        return places[CAPTION] if platform_of(column) else places.get(column, len(places))

    return tuple(sorted(dict.fromkeys(columns), key=place))


def twice(first: str, other: str, column: str) -> str:
    """What is said of two names that mean one column."""
    names = f"{one_line(first, MOST_LETTERS)!r} and {one_line(other, MOST_LETTERS)!r}"
    more = " The date and the time belong in one cell." if column == WHEN else ""
    return f"The columns {names} both mean '{column}'; only the first one counts.{more} Delete the other, or join them."


def _meant_platform(platform: str) -> str:
    """The known platform that this one is a misspelling of; "" if it is none. There may be others than the known."""
    near = get_close_matches(platform, _PLATFORMS, n=1, cutoff=0.75)
    return near[0] if near and platform not in _PLATFORMS else ""


def _unknown(name: str) -> str:
    near = get_close_matches(_BETWEEN.sub("", name).casefold()[:MOST_LETTERS], _BY_NAME, n=1, cutoff=0.7)
    platform = _meant_platform(_named_platform(_words_of(name)))
    meant = caption_column(platform) if platform else _BY_NAME[near[0]] if near else ""
    hint = f"Did you mean '{meant}'?" if meant else f"There are: {_listed()}."
    return f"The column {one_line(name, MOST_LETTERS)!r} is not known. {hint} Rename it, or delete it."


def _listed() -> str:
    return ", ".join((VIDEO, CAPTION, caption_column("tiktok") + " (or another platform)", *COLUMNS[2:]))
