"""The files that people get of a campaign plan: its wrong rows, which load again, and plans to begin with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.commands import reelflow

from reelflow.campaigns.reading import ReadingOptions, plan_of_rows, read_plan
from reelflow.campaigns.rows import NOW, Plan, RowProblem
from reelflow.campaigns.writing import Kind, csv_text, save_wrong_rows, template, write_problems
from reelflow.errors import InputError
from reelflow.written_files import neutral_cell, plain_cell

TODAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
OPTIONS = ReadingOptions(time_zone="Europe/Berlin")


def _read(path: Path) -> Plan:
    return read_plan(str(path), folder=None, options=OPTIONS, now=TODAY)


def _file(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8", newline="")
    return path


def _written(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_only_the_wrong_rows_come_back_with_what_is_wrong(tmp_path: Path) -> None:
    """In the columns of the plan, with its separator, so that Excel opens it as it opened the plan."""
    plan = _read(
        _file(
            tmp_path / "plan.csv",
            'Date;VIDEO;TikTok caption\nnow;a.mp4;fine\n2026-11-27;;"two\nlines; 🥐"\nnow;c.mp4;\n03/04/2026;d.mp4;x\n',
        )
    )
    checked = RowProblem(3, "video", "video", "There is no such video.")

    write_problems(plan, [*plan.problems, checked], tmp_path / "plan.problems.csv")

    assert (tmp_path / "plan.problems.csv").read_bytes().startswith(b"\xef\xbb\xbfDate;VIDEO;TikTok caption;row;code;")
    rows = _written(tmp_path / "plan.problems.csv", ";")
    assert [(row["row"], row["code"]) for row in rows] == [
        ("2", "video_missing, date_without_time"), ("3", "video"), ("4", "undeclared_date"),
    ]  # fmt: skip
    assert (rows[0]["Date"], rows[0]["TikTok caption"]) == ("2026-11-27", "two\nlines; 🥐")
    assert rows[0]["problem"] == " ".join(problem.sentence for problem in plan.problems[:2])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_wrong_rows_load_again_once_they_are_fixed(tmp_path: Path) -> None:
    """What the file has beside the plan's columns says nothing, and it may be written over and over."""
    problems = tmp_path / "plan.problems.csv"
    plan = _read(_file(tmp_path / "plan.csv", "video,when,caption\na.mp4,2026-11-27,-20 % today\nb.mp4,now,x\n"))
    write_problems(plan, plan.problems, problems)

    still = _read(problems)
    assert [problem.code for problem in still.problems] == ["date_without_time"]
    assert still.columns == plan.columns
    write_problems(still, still.problems, problems)
    _file(problems, problems.read_text("utf-8-sig").replace("2026-11-27", "2026-11-27 18:00", 1))

    fixed = _read(problems)
    assert fixed.problems == ()
    assert (fixed.rows[0].caption, fixed.rows[0].when) == ("-20 % today", datetime(2026, 11, 27, 17, tzinfo=UTC))
    assert fixed.rows[0].video == plan.rows[0].video


def test_a_problem_of_the_plan_has_a_line_of_its_own(tmp_path: Path) -> None:
    """It is read as a blank one. Cells that no column names are kept, without a name."""
    path = tmp_path / "plan.problems.csv"
    plan = _read(_file(tmp_path / "plan.csv", "video,capton\na.mp4,one, two\nb.mp4,x\n"))
    write_problems(plan, plan.problems, path)

    rows = _written(path)
    assert [(row["row"], row["code"], row["video"], row[""]) for row in rows] == [
        ("0", "unknown_column", "", ""), ("1", "cells", "a.mp4", "two"),
    ]  # fmt: skip
    assert [(problem.number, problem.code) for problem in _read(path).problems] == [(0, "unknown_column"), (2, "cells")]


@pytest.mark.parametrize(
    "source",
    [
        (
            "plan.json",
            '[{"video": "a.mp4", "captions": {"tiktok": "=1"}, "accounts": ["TikTok", "X"], "when": "soon"}]',
        ),
        ("plan.yaml", "- {video: a.mp4, accounts: 'TikTok, X', caption tiktok: '=1', when: soon}"),
    ],
    ids=["json", "yaml"],
)
def test_other_kinds_of_plans_come_back_with_the_columns_of_the_template(
    tmp_path: Path, source: tuple[str, str]
) -> None:
    """A video that was beside the plan is found from wherever the file is."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "plan.problems.csv"
    plan = _read(_file(tmp_path / source[0], source[1]))

    write_problems(plan, plan.problems, path)

    assert list(_written(path)[0]) == ["video", "caption tiktok", "accounts", "when", "row", "code", "problem"]
    _file(path, path.read_text("utf-8-sig").replace("soon", "now", 1))
    (row,) = _read(path).rows
    assert (row.video, row.accounts, row.when) == (str(tmp_path / "a.mp4"), ("TikTok", "X"), NOW)
    assert row.caption_for("TikTok") == "=1"


def test_a_folders_rows_come_back_as_a_table(tmp_path: Path) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4", "a.txt", "a.x.txt"):
        _file(folder / name, "A caption\n")
    plan = _read(folder)
    wrong = [RowProblem(1, "caption", "caption", "It is too long.")]

    for path in (folder / "inbox.problems.csv", tmp_path / "inbox.problems.csv"):
        write_problems(plan, wrong, path)
        (row,) = _read(path).rows
        assert (row.video, row.caption, row.caption_for("x")) == (str(folder / "a.mp4"), "A caption", "A caption")
    assert _written(folder / "inbox.problems.csv")[0]["video"] == "a.mp4"


def test_rows_of_a_form_come_back_as_text(tmp_path: Path) -> None:
    """Also a name that can be stored nowhere as it is."""
    when = datetime(1999, 1, 1, 12, tzinfo=UTC)
    rows = [{"video": "a\udcff.mp4", "when": when, "accounts": ["X"], "caption": 5, "campaign": None}]
    plan = plan_of_rows(rows, "The form", options=OPTIONS, now=TODAY)

    write_problems(plan, plan.problems, tmp_path / "p.csv")

    (row,) = _written(tmp_path / "p.csv")
    assert (row["video"], row["when"], row["caption"]) == ("a?.mp4", "1999-01-01 12:00:00+00:00", "5")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    plan = plan_of_rows([{"video": ""}, {"when": "x"}], "The form", options=OPTIONS, now=TODAY)

    with pytest.raises(InputError, match=r"p\.csv' cannot be written"):
        write_problems(plan, plan.problems, tmp_path / "missing" / "p.csv")


CELLS = ["=1+1", "+49", "-20 % today", "@mara.bakes", "\t=1", "\r=1", "'=1", "''-1", "'quoted'", "x=1", "", "’", "＝1"]


@pytest.mark.parametrize("cell", CELLS)
def test_no_cell_is_taken_for_a_formula(cell: str) -> None:
    """And each is itself again when we read it."""
    assert neutral_cell(cell)[:1] not in ("=", "+", "-", "@", "\t", "\r", "＝")
    assert plain_cell(neutral_cell(cell)) == cell


def test_cells_are_neutral_in_every_csv_and_plain_only_in_ours(tmp_path: Path) -> None:
    """In a plan that a person wrote, an apostrophe is one."""
    text = csv_text(["video", "=caption"], [["a.mp4", "@x"], ["b,c", 'd"e']])
    assert list(csv.reader(io.StringIO(text))) == [["video", "'=caption"], ["a.mp4", "'@x"], ["b,c", 'd"e']]

    for more, caption in (("", "'=1"), (",row,code,problem", "=1")):
        plan = _read(_file(tmp_path / "plan.csv", f"video,caption{more}\na.mp4,'=1\n"))
        assert (plan.rows[0].caption, plan.problems) == (caption, ())


@pytest.mark.parametrize("kind", ["csv", "json", "yaml", "folder"])
def test_a_template_is_a_plan(tmp_path: Path, kind: Kind) -> None:
    """Nothing is wrong with it; only its videos are not there."""
    for name, text in template(kind, now=TODAY).items():
        _file(tmp_path / name, text)
    if kind == "folder":
        for name in ("bread.mp4", "cake.mp4", "croissant.mp4"):
            _file(tmp_path / name, "")

    plan = _read(tmp_path if kind == "folder" else tmp_path / f"plan.{kind}")

    assert plan.problems == ()
    (fixed,) = (row for row in plan.rows if row.video == str(tmp_path / "croissant.mp4"))
    assert fixed.caption_for("TikTok") != fixed.caption_for("Instagram")
    if kind != "folder":
        assert [row.when is None or row.when == NOW or row.when > TODAY for row in plan.rows] == [True] * 3
        assert [row.when for row in plan.rows[1:]] == [None, NOW]
        assert isinstance(fixed.when, datetime)
        assert fixed.accounts == ("TikTok", "Instagram")
    else:
        assert len(plan.rows) == 3


def test_a_file_in_which_something_was_fixed_is_not_written_over(tmp_path: Path) -> None:
    """One that is as it was written is: it has what is wrong now, and no second one lies beside it."""
    rows = [{"video": "a.mp4", "caption": "two\r\nlines", "when": "soon"}, {"video": "=b.mp4", "when": "later"}]
    plan = plan_of_rows(rows, "plan", options=OPTIONS, now=TODAY)
    first = write_problems(plan, plan.problems, tmp_path / "plan.problems.csv")
    more = [RowProblem(0, "accounts", "accounts", "No such account."), *plan.problems[:1]]
    same = write_problems(plan, more, tmp_path / "plan.problems.csv")
    codes = [row["code"] for row in _written(first)]
    fixed = first.read_text("utf-8-sig").replace("soon", "2026-11-27 18:00")
    first.write_text(fixed, "utf-8-sig")

    other = write_problems(plan, plan.problems, tmp_path / "plan.problems.csv")

    assert (first, same, codes) == (tmp_path / "plan.problems.csv", first, ["accounts", "time"])
    assert other == tmp_path / "plan.problems-2.csv"
    assert first.read_text("utf-8-sig") == fixed


@pytest.mark.parametrize("content", [b"", b"video\n", b"\xff\xfe", b"video,when\na.mp4,soon\n"], ids=str)
def test_a_file_of_another_kind_is_not_written_over(tmp_path: Path, content: bytes) -> None:
    """It may be anything that has the same name."""
    path = tmp_path / "plan.problems.csv"
    path.write_bytes(content)
    plan = plan_of_rows([{"video": "a.mp4", "when": "soon"}], "plan", options=OPTIONS, now=TODAY)

    assert write_problems(plan, plan.problems, path) == tmp_path / "plan.problems-2.csv"
    assert path.read_bytes() == content


def test_rows_that_are_still_wrong_get_the_next_number(tmp_path: Path) -> None:
    """Not a name that grows each time; the plan's own mistakes have no row, and need no file."""
    (tmp_path / "week.csv").write_text("video,when\na.mp4,soon\n", "utf-8")
    plan = _read(tmp_path / "week.csv")
    whole = [RowProblem(0, "accounts", "accounts", "No connected account matches 'TikTokk'.")]

    said = save_wrong_rows(plan, [*whole, *plan.problems])
    first = tmp_path / "week.problems.csv"
    first.write_text(first.read_text("utf-8-sig").replace("soon", "later"), "utf-8")
    still = _read(first)
    save_wrong_rows(still, still.problems)
    second = tmp_path / "week.problems-2.csv"
    second.write_text(second.read_text("utf-8-sig").replace("later", "then"), "utf-8")
    again = _read(second)
    save_wrong_rows(again, again.problems)

    assert f"The wrong rows are in {first}." in said
    assert save_wrong_rows(plan, whole) == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "week.csv", "week.problems-2.csv", "week.problems-3.csv", "week.problems.csv",
    ]  # fmt: skip


def test_a_check_says_everything_on_standard_output(tmp_path: Path, clip: Callable[[str], Path]) -> None:
    """How many rows are wrong, too, so that it is in a file that it was sent to; for programs, nothing else."""
    (tmp_path / "week.csv").write_text(f"video,when\n{clip('small.mp4')},soon\n", "utf-8")
    (tmp_path / "odd.csv").write_text(f"video,captoin\n{clip('small.mp4')},Bread\n", "utf-8")

    said = reelflow("plan", "check", str(tmp_path / "week.csv"))
    odd = reelflow("plan", "check", str(tmp_path / "odd.csv"))
    document = reelflow("plan", "check", str(tmp_path / "week.csv"), "--json")

    assert (said.returncode, "1 of 1 row is wrong. The wrong rows are in " in said.stdout) == (1, True)
    assert (odd.returncode, odd.stdout.splitlines()[-1]) == (1, "The plan is wrong; see above.")
    assert "wrong" not in said.stderr
    assert (json.loads(document.stdout)["ok"], document.stderr) == (False, "")


def test_a_check_names_its_own_options_and_where_to_look(tmp_path: Path, clip: Callable[[str], Path]) -> None:
    """For a date whose order is unknown, and for the rows, which a spreadsheet counts from the header on."""
    (tmp_path / "week.csv").write_text(f"video,when\n{clip('small.mp4')},12/4/2026 18:00\n", "utf-8")

    said = reelflow("plan", "check", str(tmp_path / "week.csv")).stdout

    assert "or set 'Dates like 03/04/2026' (--date-format) for the whole plan." in said
    assert "Rows are counted below the header: row 1 is row 2 of a spreadsheet." in said


def test_a_check_shows_each_time_that_it_read(tmp_path: Path, clip: Callable[[str], Path]) -> None:
    """And the caption that is too long for the platform that the row names, before an account is asked for."""
    rows = ["2031-05-06 18:00,TikTok,a", "now,X @mara,b", f",X,{'x' * 101}", ",Instagram," + "x" * 101]
    lines = [f"{clip('small.mp4')},{row}" for row in rows]
    (tmp_path / "week.csv").write_text("\n".join(["video,when,accounts,caption", *lines]), "utf-8")

    said = reelflow("plan", "check", str(tmp_path / "week.csv"), "--time-zone", "Europe/Berlin", TZ="UTC")

    shown = [" ".join(line.split()) for line in said.stdout.splitlines()]
    assert shown[:4] == [
        "row 1 small.mp4 TikTok Tue 6 May 2031, 16:00 (UTC)",
        "row 2 small.mp4 X @mara now",
        "row 4 small.mp4 Instagram next free slot",
        "row 3, caption: The caption has 101 characters; X allows 100. Shorten it.",
    ]


def test_a_template_is_saved_as_the_file_that_is_named(tmp_path: Path) -> None:
    """Or into a folder; and never over a file, or as another kind than its name says."""
    file, folder = tmp_path / "new" / "my-plan.csv", tmp_path / "week.48"

    saved = reelflow("plan", "template", "--save", str(file))
    reelflow("plan", "template", "folder", "--save", str(folder))
    again = reelflow("plan", "template", "--save", str(file))
    other = reelflow("plan", "template", "json", "--save", str(tmp_path / "plan.yaml"))

    assert saved.stdout.strip() == str(file)
    assert _read(file).problems == ()
    assert (folder / "croissant.txt").is_file()
    assert f"{file} already exists. Nothing was written." in again.stderr
    assert "plan.yaml is not a file that ends in .json, or a folder. Name one; or run `reelflow plan" in other.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "week.48"]


def test_a_video_in_a_storage_is_said_to_be_not_checked(tmp_path: Path) -> None:
    """Its row may be right, so there is nothing to fix."""
    (tmp_path / "week.csv").write_text("video,accounts,caption\nblock://smb/nas/in/b.mp4,X,Fresh bread\n", "utf-8")

    said = reelflow("plan", "check", str(tmp_path / "week.csv"))
    document = reelflow("plan", "check", str(tmp_path / "week.csv"), "--json")

    assert (said.returncode, document.returncode) == (0, 0)
    assert "Not checked: the video of row 1, which is in a storage." in said.stdout
    assert json.loads(document.stdout)["videos_not_checked"] == [1]
