"""What a row of a plan says of the phones, and what it means for each of its posts: pure decisions."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reelflow.campaigns.engaging import form_for
from reelflow.campaigns.reading import ReadingOptions, read_plan
from reelflow.campaigns.rows import PlanRow
from reelflow.phones.form import EngageForm

FORM = EngageForm(devices=["A1"], comments=["nice"], comment_on=["TikTok", "Instagram"])


def _read(folder: Path, cells: str, *, name: str = "plan.csv", header: str = "video,comments,warm up") -> Any:
    path = folder / name
    path.write_text(f"{header}\n{cells}\n" if name.endswith(".csv") else cells, "utf-8")
    return read_plan(str(path), folder=None, options=ReadingOptions(), now=datetime(2026, 11, 26, tzinfo=UTC))


@pytest.mark.parametrize(
    ("cells", "comments", "minutes"),
    [
        ('a.mp4,"Wow, so good\nLovely",', ("Wow, so good", "Lovely"), None),
        ("a.mp4,Wow | So good |  ,5", ("Wow", "So good"), 5.0),
        ('a.mp4,either|or,"1,5"', ("either|or",), 1.5),
        ("a.mp4,,0", (), 0.0),
    ],
)
def test_comments_are_separated_by_lines_or_bars(
    tmp_path: Path, cells: str, comments: tuple[str, ...], minutes: float | None
) -> None:
    """Commas belong to a comment; a duration may be written with either mark."""
    plan = _read(tmp_path, cells)

    assert plan.problems == ()
    assert (plan.rows[0].comments, plan.rows[0].warm_up_minutes) == (comments, minutes)


def test_other_names_and_lists_are_taken(tmp_path: Path) -> None:
    by_name = _read(tmp_path, "a.mp4,Wow,5", header="Video,Comment,Warm-up (minutes)")
    as_list = _read(tmp_path, '[{"video": "a.mp4", "comments": ["Wow | x", "Lovely"], "warm up": 5}]', name="p.json")

    assert (by_name.rows[0].comments, by_name.rows[0].warm_up_minutes) == (("Wow",), 5.0)
    assert (as_list.rows[0].comments, as_list.rows[0].warm_up_minutes) == (("Wow | x", "Lovely"), 5.0)


@pytest.mark.parametrize("minutes", ["241", "0.1", "-1", "soon", "true"])
def test_a_duration_that_no_warm_up_has_is_said(tmp_path: Path, minutes: str) -> None:
    (problem,) = _read(tmp_path, f"a.mp4,,{minutes}").problems

    assert (problem.column, problem.code) == ("warm up", "warm_up")
    assert problem.sentence.startswith(f"'{minutes}' is not a number of minutes")


@pytest.mark.parametrize(
    ("row", "platforms", "expected"),
    [
        ({}, {"TikTok"}, (["nice"], 0, ["TikTok"])),
        ({}, {"TikTok", "Instagram"}, (["nice"], 0, ["TikTok", "Instagram"])),
        ({"comments": ("own",), "warm_up_minutes": 2.0}, {"TikTok"}, (["own"], 120, ["TikTok"])),
        ({}, {"X"}, None),
    ],
)
def test_a_row_counts_in_place_of_the_form(row: dict[str, Any], platforms: set[str], expected: Any) -> None:
    """Only on platforms where its post goes."""
    found = form_for(PlanRow(1, "a.mp4", **row), FORM, platforms)

    assert (found and (found.comments, found.warm_up_seconds, found.comment_on)) == expected


def test_no_warm_up_of_a_row_overrides_that_of_the_form() -> None:
    form = FORM.model_copy(update={"comments": [], "warm_up_seconds": 60})

    assert form_for(PlanRow(1, "a.mp4", warm_up_minutes=0.0), form, {"TikTok"}) is None
    assert form_for(PlanRow(1, "a.mp4"), form, {"TikTok"}) is not None
