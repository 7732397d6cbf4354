"""The rows of a campaign plan: what is read, and what is named as wrong."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from reelflow.campaigns.reading import ReadingOptions, plan_of_rows, read_plan
from reelflow.campaigns.rows import NOW, Plan
from reelflow.campaigns.tables import MOST_ROWS
from reelflow.errors import InputError

TODAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
BERLIN = ReadingOptions(time_zone="Europe/Berlin")
SIX = datetime(2026, 11, 27, 17, tzinfo=UTC)
"""Six in the evening in Berlin, in winter."""


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Reads a plan from a file with this text, in Berlin."""

    def read(text: str | bytes, name: str = "plan.csv", options: ReadingOptions = BERLIN) -> Plan:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_plan(str(path), folder=None, options=options, now=TODAY)

    return read


def _of(when: Any, options: ReadingOptions = BERLIN, **cells: Any) -> Plan:
    """A plan of one row."""
    return plan_of_rows([{"video": "a.mp4", "when": when} | cells], "The form", options=options, now=TODAY)


def _codes(plan: Plan) -> list[tuple[int, str, str]]:
    return [(problem.number, problem.column, problem.code) for problem in plan.problems]


def test_a_row_has_all_that_a_post_needs(read: Any, tmp_path: Path) -> None:
    """Captions of platforms, accounts, a moment in UTC, and the cells as they were written."""
    plan = read(
        "video,caption,caption tiktok,accounts,when,time zone,preview second,campaign id\n"
        'cake.mp4,Cake,"Cake, now",TikTok; X,2026-11-27 12:00,America/New_York,"1,5",spring\n'
    )

    (row,) = plan.rows
    assert plan.problems == ()
    assert plan.name == "plan.csv"
    assert (row.number, row.video, row.campaign) == (1, str(tmp_path / "cake.mp4"), "spring")
    assert (row.caption_for("TikTok"), row.caption_for("Instagram")) == ("Cake, now", "Cake")
    assert (row.accounts, row.when, row.preview_second) == (("TikTok", "X"), SIX, 1.5)
    assert (row.cells["video"], row.cells["preview second"], row.cells["when"]) == (
        "cake.mp4", "1,5", "2026-11-27 12:00",
    )  # fmt: skip


def test_a_row_with_a_video_alone_leaves_the_rest_open(read: Any) -> None:
    """The next free slot, the accounts of the form, the campaign of the options."""
    (row,) = read("video\ncake.mp4\n", options=ReadingOptions(campaign="spring")).rows

    assert (row.caption, dict(row.captions), row.accounts, row.when) == ("", {}, (), None)
    assert (row.preview_second, row.campaign) == (0.0, "spring")


@pytest.mark.parametrize(
    "name",
    ["caption tiktok", "caption (TikTok)", "Caption_TikTok", "caption.tiktok", "TikTok caption", "caption-TIKTOK",
     "captions for TikTok"],
)  # fmt: skip
def test_a_caption_of_a_platform_is_found_by_any_spelling(read: Any, name: str) -> None:
    assert dict(read(f"{name},Video\nHello,a.mp4\n").rows[0].captions) == {"tiktok": "Hello"}


@pytest.mark.parametrize(
    ("header", "field", "cell", "value"),
    [
        ("File", "video", "/v/a.mp4", "/v/a.mp4"),
        ("PREVIEW_SECOND", "preview_second", "2", 2.0),
        ("previewSecond", "preview_second", ".5", 0.5),
        ("Publish at", "when", "now", NOW),
        ("scheduled-for", "when", "2026-11-27 18:00", SIX),
        ("Account", "accounts", "TikTok", ("TikTok",)),
        ("Campaign", "campaign", "spring", "spring"),
    ],
)
def test_columns_stand_in_any_order_and_spelling(read: Any, header: str, field: str, cell: str, value: object) -> None:
    """Upper and lower case, blanks, underscores and hyphens make no difference, and the usual words are known."""
    others = "caption" if field == "video" else "caption,video"
    plan = read(f"{others},{header}\n{'x' if field == 'video' else 'x,a.mp4'},{cell}\n")

    assert plan.problems == ()
    assert getattr(plan.rows[0], field) == value


@pytest.mark.parametrize(
    ("header", "code", "words"),
    [
        ("video,capton", "unknown_column", "Did you mean 'caption'?"),
        ("video,caption tiktoc", "unknown_column", "Did you mean 'caption tiktok'?"),
        ("video,qqqq", "unknown_column", "There are: video, caption, caption tiktok (or another platform), accounts"),
        ("video,caption x,caption x", "column_twice", "'caption x' and 'caption x 2' both mean 'caption x'"),
        ("video,file", "column_twice", "'video' and 'file' both mean 'video'"),
        ("video,date,time", "column_twice", "The date and the time belong in one cell."),
        ("video,caption,caption", "column_twice", "both mean 'caption'"),
        ("caption,when", "no_video_column", "has no column 'video'"),
        ("video,code", "unknown_column", "The column 'code' is not known."),
        ("video,Row", "unknown_column", "The column 'Row' is not known."),
        ("video,problem", "unknown_column", "The column 'problem' is not known."),
    ],
)
def test_a_wrong_column_is_named_once_for_the_plan(read: Any, header: str, code: str, words: str) -> None:
    """With the name that it may mean; no row is reported for it."""
    plan = read(f"{header}\n\na.mp4\nb.mp4\n")

    (problem,) = plan.problems
    assert (problem.number, problem.code) == (0, code)
    assert words in problem.sentence
    assert [row.number for row in plan.rows] == [2, 3]


def test_the_columns_of_a_problems_file_say_nothing_and_mark_its_cells(read: Any) -> None:
    """Only all three of them: with a column 'code' of one's own, a caption keeps its apostrophe."""
    header, cells = "video,caption,row,code,problem", "a.mp4,'=now,7,when,Words"

    (ours,), (theirs,) = read(f"{header}\n{cells}\n").rows, read("video,caption,code\na.mp4,'=now,X1\n").rows

    assert (ours.caption, theirs.caption) == ("=now", "'=now")
    assert (set(ours.cells), theirs.cells["code"]) == ({"video", "caption"}, "X1")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_told_by_the_names_of_the_columns(read: Any, delimiter: str) -> None:
    """Whatever there is more of in the captions."""
    text = delimiter.join(["video", "caption", "when"]) + "\n"
    text += delimiter.join(["a.mp4", '"a,b,c;d;e\tf\tg"', "now"]) + "\n"

    for each in (text, f"sep={delimiter}\r\n{text}"):
        (row,) = read(each).rows
        assert (row.caption, row.when) == ("a,b,c;d;e\tf\tg", NOW)


def test_a_caption_may_have_lines_marks_and_emoji(read: Any) -> None:
    plan = read('video,caption\r\na.mp4,"One ""two""\nthree, 🥐\r\nfour"\r\nb.mp4,Plain "marks" inside\r\n')

    assert [row.caption for row in plan.rows] == ['One "two"\nthree, 🥐\r\nfour', 'Plain "marks" inside']


def test_blank_rows_are_skipped_and_counted(read: Any) -> None:
    """The number is the one that a person sees below the header."""
    assert [row.number for row in read("video,caption\n\na.mp4,\n , \nb.mp4,x\n,,\n").rows] == [2, 4]


def test_names_without_cells_and_cells_without_names(read: Any) -> None:
    """Excel ends its lines with separators. A text beyond them is one whose marks are missing."""
    plan = read("video;caption;;\na.mp4;x;;\nb.mp4;x\nc.mp4;x; and more;\nd.mp4\n")

    assert _codes(plan) == [(3, "", "cells")]
    assert "' and more'" not in plan.problems[0].sentence
    assert "'and more'" in plan.problems[0].sentence
    assert [row.caption for row in plan.rows] == ["x", "x", "x", ""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('video,caption\na.mp4,x\nb.mp4,"never closed\nc.mp4,x\n', "from line 3 on"),
        ('video,caption\na.mp4,"x" y\n', "from line 2 on"),
        ("video\n", "plan.csv has no row"),
        ("", "plan.csv has no row"),
        ("video,caption\n\n , \n", "has no row"),
        ("video," + ",".join(f"c{n}" for n in range(100)) + "\na.mp4\n", "has 101 columns; a plan has at most 100"),
        ("video,caption\na.mp4," + "x" * 200_000 + "\n", "field larger than field limit"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(read: Any, text: str, words: str) -> None:
    """With the line: a mark that is not closed would take the rest of the plan into one caption."""
    with pytest.raises(InputError, match=words):
        read(text)


def test_a_plan_of_most_rows_is_read_quickly_and_a_larger_one_is_refused(read: Any) -> None:
    row = 'cake.mp4,"Cake, with ""marks"" 🥐",TikTok; X,2026-12-01 18:00,Europe/Berlin,"1,5"\n'
    header = "video,caption,accounts,when,time zone,preview second\n"

    began = time.process_time()
    plan = read(header + row * MOST_ROWS)

    assert time.process_time() - began < 4  # 0.5 s; on a machine that does other things, too
    assert len(plan.rows) == MOST_ROWS
    with pytest.raises(InputError, match="has 10000 rows; a plan has at most 5000"):
        read(header + row * 10_000)


@pytest.mark.parametrize(
    ("when", "date_format", "expected"),
    [
        ("", "refused", None),
        (None, "refused", None),
        ("  ", "refused", None),
        ("NOW", "refused", NOW),
        ("2026-11-27 18:00", "refused", SIX),
        ("2026-11-27T18:00:00", "refused", SIX),
        ("2026-11-27T17:00Z", "refused", SIX),
        ("2026-11-27 12:00-05:00", "refused", SIX),
        ("2026/11/27 18:00", "refused", SIX),
        ("2026-11-27 6:00 PM", "refused", SIX),
        ("27.11.2026 18:00:00", "refused", SIX),
        ("27.11.2026, 18:00", "refused", SIX),
        ("Fri, 27 Nov 2026 at 6:00 p.m.", "refused", SIX),
        ("27 Nov 18:00", "refused", SIX),
        ("Nov 27, 2026 6:00 PM", "refused", SIX),
        ("27/11/2026 18:00", "day/month/year", SIX),
        ("27-11-2026 18.00.00", "day/month/year", SIX),
        ("2026-11-27 18.00", "refused", SIX),
        ("11/27/2026 6:00:00 PM", "month/day/year", SIX),
        ("11/27/26 18:00", "month/day/year", SIX),
        ("27-11-2026 18:00", "day/month/year", SIX),
        ("03/04/2026 18:00", "day/month/year", datetime(2026, 4, 3, 16, tzinfo=UTC)),
        ("03/04/2026 18:00", "month/day/year", datetime(2026, 3, 4, 17, tzinfo=UTC)),
        ("27.11.2026 18:00", "month/day/year", SIX),
        ("2026-11-27 12:05 am", "refused", datetime(2026, 11, 26, 23, 5, tzinfo=UTC)),
        ("2026-10-25 02:30", "refused", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2020-01-01 12:00", "refused", datetime(2020, 1, 1, 11, tzinfo=UTC)),
        (datetime(2026, 11, 27, 18), "refused", SIX),  # noqa: DTZ001
        (SIX, "refused", SIX),
    ],
)
def test_a_time_is_read_as_people_and_spreadsheets_write_it(when: Any, date_format: Any, expected: Any) -> None:
    """In the zone of the plan; the first of an hour that comes twice. One in the past is left to the check."""
    plan = _of(when, ReadingOptions("Europe/Berlin", date_format))

    assert plan.problems == ()
    assert plan.rows[0].when == expected


@pytest.mark.parametrize(
    ("when", "date_format", "codes", "words"),
    [
        ("2026-11-27", "refused", ["date_without_time"], "'2026-11-27' is a date without a time. Add the time, such"),
        ("27.11.2026", "refused", ["date_without_time"], "Add the time"),
        ("27 Nov", "refused", ["date_without_time"], "Add the time"),
        ("20261127", "refused", ["date_without_time"], "Add the time"),
        (date(2026, 11, 27), "refused", ["date_without_time"], "Add the time"),
        ("27/11/2026", "day/month/year", ["date_without_time"], "Add the time"),
        ("03/04/2026 18:00", "refused", ["undeclared_date"], "the day first in some countries and the month in"),
        ("27/11/2026 18:00", "refused", ["undeclared_date"], "the day first in some"),
        ("03-04-2026 18:00", "refused", ["undeclared_date"], "the day first in some"),
        ("03/04/2026 18.30", "refused", ["undeclared_date"], "the day first in some"),
        ("2026-11-27 18,30", "refused", ["time"], "cannot be read"),
        ("2026-11-27 09-17", "refused", ["time"], "cannot be read"),
        ("03/04/2026", "refused", ["undeclared_date"], "in others, and has no time. Write it such as 2026-"),
        ("27/11/2026 18:00", "month/day/year", ["time"], "cannot be read as month/day/year"),
        ("2027-03-28 02:30", "refused", ["no_such_time"], "does not exist in Europe/Berlin"),
        ("tomorrow", "refused", ["time"], "'tomorrow' cannot be read"),
        ("18:00", "refused", ["time"], "cannot be read"),
        ("2026-02-30 18:00", "refused", ["time"], "cannot be read"),
        ("2026-11-27 13:00 pm", "refused", ["time"], "cannot be read"),
        ("Mon 27 Nov 2026 18:00", "refused", ["time"], "is a Friday"),
        ("0001-01-01 00:00", "refused", ["time"], "cannot be meant"),
        ("9999-12-31 23:59-12:00", "refused", ["time"], "cannot be meant"),
        (1795800000, "refused", ["wrong_type"], "is not a time"),
        (["2026-11-27 18:00"], "refused", ["wrong_type"], "is not a time"),
    ],
)  # fmt: skip
def test_a_time_that_may_be_another_is_never_guessed(when: Any, date_format: Any, codes: list[str], words: str) -> None:
    """The row has none then, and the sentence says how to write it."""
    plan = _of(when, ReadingOptions("Europe/Berlin", date_format))

    assert _codes(plan) == [(1, "when", code) for code in codes]
    assert words in plan.problems[0].sentence
    assert plan.rows[0].when is None


def test_each_wrong_row_is_named_with_all_that_is_wrong(read: Any) -> None:
    plan = read(
        "video,when,time zone,preview second\n"
        "a.mp4,2026-11-27 18:00,Berlin,-1\n"
        "b.mp4,now,,\n"
        '"",03/04/2026,Europe/Berlin,nan\n'
        "d.mp4,2027-03-28 02:30,Mars/Olympus,1:30\n"
    )

    assert _codes(plan) == [
        (1, "time zone", "time_zone"), (1, "preview second", "preview_second"),
        (3, "video", "video_missing"), (3, "when", "undeclared_date"), (3, "preview second", "preview_second"),
        (4, "time zone", "time_zone"), (4, "preview second", "preview_second"),
    ]  # fmt: skip
    assert "Did you mean Europe/Berlin?" in plan.problems[0].sentence
    assert [row.when for row in plan.rows] == [None, NOW, None, None]
    assert all(problem.sentence.isprintable() for problem in plan.problems)


@pytest.mark.parametrize(
    ("cell", "fit"),
    [("pad", "pad"), ("Blurred background", "blur"), (" CROP ", "crop"), ("off", "off"), (False, "off"), ("", None),
     (None, None), ("stretch", "wrong"), (5, "wrong"), (True, "wrong")],
)  # fmt: skip
def test_a_row_says_how_its_video_is_fitted(cell: Any, fit: str | None) -> None:
    """In small or capital letters; YAML reads 'off' as no."""
    plan = _of("now", fit=cell)

    assert _codes(plan) == ([(1, "fit", "fit")] if fit == "wrong" else [])
    assert plan.rows[0].fit == (None if fit == "wrong" else fit)


def test_the_zone_of_the_options_has_to_be_one(read: Any) -> None:
    with pytest.raises(InputError, match="Unknown time zone 'Mars'"):
        read("video\na.mp4\n", options=ReadingOptions(time_zone="Mars"))


def test_a_plan_of_unknown_zones_is_read_in_time() -> None:
    """The names that are like a wrong one are not looked for without end."""
    rows = [{"video": "a.mp4", "time zone": f"Zone {number}"} for number in range(150)]

    problems = plan_of_rows(rows, "The form", options=BERLIN, now=TODAY).problems

    assert {problem.code for problem in problems} == {"time_zone"}
    assert len(problems) == 150
    assert "names more than 100 time zones" in problems[-1].sentence


@pytest.mark.parametrize(
    ("video", "expected"),
    [("a.mp4", "{}/a.mp4"), ("in/a.mp4", "{}/in/a.mp4"), (' "a b.mp4" ', "{}/a b.mp4"), ("/v/a.mp4", "/v/a.mp4"),
     ("~/a.mp4", "~/a.mp4"), ("C:\\v\\a.mp4", "C:\\v\\a.mp4")],
)  # fmt: skip
def test_a_video_is_looked_for_beside_the_plan(tmp_path: Path, video: str, expected: str) -> None:
    """Unless its path is whole. Quotation marks that were copied along do not count."""
    (tmp_path / "plan.json").write_text(json.dumps([{"video": video}]))

    for source, folder in ((str(tmp_path / "plan.json"), None), ("plan.json", str(tmp_path))):
        plan = read_plan(source, folder=folder, options=BERLIN, now=TODAY)
        assert plan.rows[0].video == expected.format(tmp_path)


def test_rows_of_a_form_leave_a_relative_path_to_its_reader() -> None:
    assert _of(None).rows[0].video == "a.mp4"


JSON = {"video": "a.mp4", "captions": {"TikTok": "Short", "x": "Tiny"}, "caption": "Long", "accounts": ["TikTok", "X"],
        "when": "2026-11-27 18:00", "previewSecond": 1.5, "campaign_id": "spring"}  # fmt: skip
YAML = """
defaults: &defaults {accounts: "TikTok, X", previewSecond: 1.5}
posts:
- <<: *defaults
  video: a.mp4
  caption: Long
  captions: {TikTok: Short, x: Tiny}
  when: 2026-11-27 18:00
  campaign id: spring
"""


@pytest.mark.parametrize(
    ("text", "name"),
    [(json.dumps([JSON]), "plan.json"), (json.dumps({"rows": [JSON]}), "plan.JSON"),
     (json.dumps({"posts": [JSON], "by": "me"}), "plan.json"), (json.dumps([JSON]), "plan.yaml"), (YAML, "plan.yml")],
)  # fmt: skip
def test_json_and_yaml_say_the_same(read: Any, text: str, name: str) -> None:
    """A list, or an object with one; captions by platform; accounts as a list or a text."""
    plan = read(text, name)

    (row,) = plan.rows
    assert plan.problems == ()
    assert (row.caption, dict(row.captions)) == ("Long", {"tiktok": "Short", "x": "Tiny"})
    assert (row.accounts, row.when, row.preview_second, row.campaign) == (("TikTok", "X"), SIX, 1.5, "spring")
    assert set(plan.columns) == set(row.cells)
    assert plan.columns[0] == "video"
    assert row.cells["caption x"] == "Tiny"


def test_yaml_is_taken_as_it_is_written(read: Any) -> None:
    """Its own rules would make a number of 010, a boolean of `no`, and a day at midnight of a date."""
    plan = read(
        "- {video: a.mp4, caption: no, campaign: 010, when: 2026-11-27}\n- {video: b.mp4, caption: null}", "p.yaml"
    )

    assert [(row.caption, row.campaign) for row in plan.rows] == [("no", "010"), ("", "")]
    assert _codes(plan) == [(1, "when", "date_without_time")]


def test_values_of_a_wrong_type_are_problems(read: Any) -> None:
    """Of each row and column, beside all others."""
    rows = [
        {"video": 5, "caption": True, "accounts": {"a": 1}, "when": 5, "time zone": [], "preview second": "x"},
        "a.mp4",
        {"video": "a.mp4", "captions": {"x": 5}, "accounts": ["X", None], "preview second": True, "campaign": 2026},
        {"video": "a.mp4", "file": "b.mp4", "preview second": 1e300, "odd": 1},
        None,
        {"video": None, "preview second": None, "accounts": None, "odd": 2},
        {"captions": [], "when": {}},
    ]

    plan = read(json.dumps(rows), "plan.json")

    assert _codes(plan) == [
        (0, "", "unknown_column"),
        (1, "video", "wrong_type"), (1, "caption", "wrong_type"), (1, "accounts", "wrong_type"),
        (1, "time zone", "wrong_type"), (1, "when", "wrong_type"), (1, "preview second", "preview_second"),
        (2, "", "wrong_type"),
        (3, "caption x", "wrong_type"), (3, "accounts", "wrong_type"), (3, "preview second", "preview_second"),
        (3, "campaign id", "wrong_type"),
        (4, "video", "column_twice"), (4, "preview second", "preview_second"),
        (6, "video", "video_missing"),
    ]  # fmt: skip
    assert [row.number for row in plan.rows] == [1, 2, 3, 4, 6]


def test_yaml_starts_no_program(read: Any) -> None:
    """Its tags are not looked at."""
    plan = read('- !!python/object/apply:os.system ["exit 1"]\n- {video: !!python/name:os.system a.mp4}', "plan.yaml")

    assert _codes(plan) == [(1, "", "wrong_type")]
    assert plan.rows[1].video.endswith("/a.mp4")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("[", "p.json", "is not JSON that can be read .*line 1"),
        ('{"posts": {}}', "p.json", "has no list of posts"),
        ("5", "p.json", "has no list"),
        ("[]", "p.json", "has no row"),
        ('[{"video": "a", "video": "b"}]', "p.json", "'video' is there twice in one object"),
        ("[" * 100_000, "p.json", "nested too deep"),
        ('[{"video": NaN}]', "p.json", "not JSON"),
        ("", "p.yaml", "has no list"),
        ("posts: [", "p.yaml", "is not YAML that can be read .line 2"),
        ("- video: a\n  video: b\n", "p.yaml", "line 2: 'video' is there twice"),
        ("- {[a]: b}", "p.yaml", "a name must be text"),
        ("[" * 100_000, "p.yaml", "nested too deep"),
        ("- " * 100_000, "p.yaml", "nested too deep"),
        ("&a [*a]", "p.yaml", "nested too deep"),
        (BOMB, "p.yaml", "too many values"),
        ("- a\n" * 600_000, "p.yaml", "too many values"),
        ("- a\n---\n- b\n", "p.yaml", "line 2: but found another document"),
        ("- video: " + "a" * 100 + "\x01", "p.yaml", "control characters"),
    ],
)
def test_documents_that_no_plan_is_written_in_are_refused(read: Any, text: str, name: str, words: str) -> None:
    """Nested without end, billions from a few lines, a name that is there twice."""
    with pytest.raises(InputError, match=words):
        read(text, name)
