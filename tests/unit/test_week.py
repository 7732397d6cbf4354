"""The week: which posts are on which day, what waits for a person, what is cut, and its files."""

import csv
import io
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from reelflow.errors import InputError
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, Send, SendRecord
from reelflow.time_zones import DAY, use_zone
from reelflow.upkeep.form import WEEK, WeekForm
from reelflow.upkeep.week import MOST_OF_A_DAY, Week, describe_counts, make_week, records_since
from reelflow.upkeep.week_files import COLUMNS, calendar_of, csv_of, write_files
from reelflow.video.kept_poster import KEPT_SECONDS, forget_old_posters, kept_poster
from reelflow.written_files import neutral_cell
from tasks.artifacts import MOST_BYTES
from tasks.upkeep.week_page import summarize_week, week_page

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0
RUN = "2084a7db-03d1-40bb-a117-a7cc0a138d9c"
TIKTOK = Account(id="1", platform="TikTok", name="@mara.bakes")
X = Account(id="2", platform="X", name="@marabakes")


@pytest.fixture(autouse=True)
def _in_berlin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reader's time zone, and a cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    use_zone("Europe/Berlin")
    yield
    use_zone(None)


def _post(at: float, *outcomes: Outcome, **changes: Any) -> SendRecord:
    """A post that was sent at this time, or an hour ago for then."""
    values: dict[str, Any] = {
        "id": f"{at:.0f}", "service": "taisly", "sha256": "0", "file": "/videos/cake.mp4", "caption": "Cake",
        "account_ids": (), "scheduled_ms": 0 if at <= NOW else round(at * 1000), "flow_run": RUN, "owner": "o",
        "lease_until": 0.0, "begun_at": None, "sealed_at": min(at, NOW - HOUR), "history_id": "h1",
        "watched_since": None, "missing_since": None, "claimed_at": min(at, NOW - HOUR), "duration": 6.0,
        "pictures": (), "repeat": 0,
    }  # fmt: skip
    return Send(**values | changes), list(outcomes or [_out(TIKTOK)])


def _out(account: Account, state: PostState = PostState.SUCCESS, **more: Any) -> Outcome:
    return Outcome(account=account, state=state, **more)


def _week(*records: SendRecord, form: WeekForm = WEEK) -> Week:
    return make_week(records, form, NOW)


def _page(*records: SendRecord, form: WeekForm = WEEK) -> str:
    return "\n".join(week_page(_week(*records, form=form)))


def test_a_post_is_on_the_day_that_its_reader_has() -> None:
    """23:30 UTC is the next day in Berlin; a day with an hour that comes twice is one like others."""
    evening = datetime(2026, 11, 25, 23, 30, tzinfo=UTC).timestamp()
    now = datetime(2026, 10, 25, 12, 0, tzinfo=UTC).timestamp()
    twice = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC).timestamp() for hour in (0, 1)]
    before, after = (datetime(2026, 10, d, h, 30, tzinfo=UTC).timestamp() for d, h in ((24, 21), (25, 23)))

    week = _week(_post(evening))
    autumn = make_week([_post(at) for at in (before, *twice, after)], WEEK, now)

    assert [day.date for day in week.days] == [date(2026, 11, 26)]
    assert [(day.date.day, len(day.entries)) for day in autumn.days] == [(24, 1), (25, 2), (26, 1)]


@pytest.mark.parametrize(("days", "is_shown"), [(-8, False), (-7, True), (0, True), (14, True), (15, False)], ids=str)
def test_seven_days_back_and_fourteen_ahead_are_shown(days: int, is_shown: bool) -> None:
    """Whole days; what comes later is counted."""
    week = _week(_post(NOW + days * DAY, _out(TIKTOK, PostState.ACCEPTED if days > 0 else PostState.SUCCESS)))

    assert len(list(week.entries)) == is_shown
    assert week.later == (days > 14)
    assert (week.first, week.last) == (date(2026, 11, 19), date(2026, 12, 10))


def test_the_records_that_are_read_begin_before_the_first_day() -> None:
    """A run may have waited for hours between its claim and the upload, by whose time the post is shown."""
    first = datetime(2026, 11, 18, 23, 0, tzinfo=UTC).timestamp()  # midnight in Berlin

    assert records_since(WEEK, NOW) == first - DAY


def test_each_outcome_has_its_word_and_is_counted() -> None:
    """As `reelflow posts` says them; a post that a run is sending is open."""
    states = (PostState.SUCCESS, PostState.FAILED, PostState.UNCONFIRMED, PostState.REFUSED, PostState.CANCELLED)
    records = [
        _post(NOW - HOUR, *(_out(TIKTOK, state) for state in states)),
        _post(NOW + HOUR, _out(X, PostState.ACCEPTED)),
        _post(NOW - 2 * HOUR, _out(X, PostState.ACCEPTED)),
        _post(NOW - 3 * HOUR, _out(X, PostState.CLAIMED), sealed_at=None, history_id=None),
        _post(NOW - 4 * HOUR, _out(X, PostState.CLAIMED), sealed_at=None, history_id=None, lease_until=NOW + 9),
    ]

    week = _week(*records)

    told = "1 published, 1 scheduled, 2 open, 1 unconfirmed, 1 failed, 1 refused, 1 not sent, 1 cancelled"
    assert describe_counts(week.counts) == told
    assert {label: n.total() for label, n in week.accounts.items()} == {"TikTok @mara.bakes": 5, "X @marabakes": 4}


def test_numbers_say_what_they_count() -> None:
    """A post to several accounts has several outcomes."""
    one = _week(_post(NOW - HOUR, _out(X)))
    two = _week(_post(NOW - HOUR, _out(X), _out(TIKTOK, PostState.FAILED)))

    assert ": 1 post (1 published)." in summarize_week(one)
    assert ": 1 post (by account: 1 published, 1 failed)." in summarize_week(two)


def test_what_waits_for_a_person_comes_first_with_what_to_do() -> None:
    """An unconfirmed post however old it is, with its send ID; a failed one with its reason."""
    old = _post(NOW - 90 * DAY, _out(X, PostState.UNCONFIRMED, detail="no answer"), id="send-of-old")
    failed = _post(NOW - HOUR, _out(TIKTOK, PostState.FAILED, detail="Session expired"), _out(X))

    page = _page(old, failed)

    waiting, _, days = page.partition("## Today and ahead")
    assert "run resolve-post with the send ID" in waiting
    assert "`send-of-old`" in waiting
    assert "TikTok\N{NO-BREAK SPACE}@mara.bakes: Session expired" in waiting
    assert "send-of-old" not in days
    assert summarize_week(_week(old, failed)).endswith("Waiting for you: 1 unconfirmed, 1 failed.")


def test_a_post_has_its_time_caption_outcome_links_and_run() -> None:
    """The time is the reader's; a scheduled one has the ID with which it is cancelled."""
    page = _page(
        _post(NOW - HOUR, _out(TIKTOK, link="https://tiktok.example/1"), _out(X, link="javascript:alert(1)")),
        _post(NOW + DAY, _out(X, PostState.ACCEPTED), history_id="h-later"),
    )

    assert (
        "| 12:00 | **cake.mp4**<br>Cake | published: [TikTok\N{NO-BREAK SPACE}@mara.bakes](https://tiktok.example/1)"
        in page
    )
    assert "](javascript" not in page
    assert f"[run](../../runs/flow-run/{RUN})" in page
    assert "scheduled: X\N{NO-BREAK SPACE}@marabakes" in page
    assert "History ID `h-later`" in page


def test_nothing_is_said_of_nothing() -> None:
    """A new ledger has a page, too."""
    assert summarize_week(_week()) == "Thu 19 Nov to Thu 10 Dec: 0 posts. Nothing waits for you."
    assert "No posts in these days." in _page()


HOSTILE = "<img src=x onerror=alert(1)> | a | b |\n# no heading `code` [x](javascript:y)</details>\u202egnp"


def test_hostile_captions_are_text() -> None:
    """No HTML, no link, no further cell or row; also in names of accounts, reasons and files."""
    account = Account(id="1", platform="TikTok", name=HOSTILE)
    page = _page(
        _post(NOW - HOUR, _out(account), caption=HOSTILE, file=HOSTILE),
        _post(NOW - 2 * HOUR, _out(account, PostState.FAILED, detail=HOSTILE), history_id=HOSTILE, flow_run=HOSTILE),
        _post(NOW - 3 * HOUR, _out(account, PostState.UNCONFIRMED, detail=HOSTILE), id=HOSTILE),
    )

    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert not re.search(r"(?<!\\)<(?!br>|/?details|details open|/?summary|/?b>)", page)
    assert not re.search(r"(?<!\\)\]\((?!\.\./\.\./runs)", page)
    assert "\u202e" not in page
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {4, 5, 6}
    assert not [line for line in page.splitlines() if line.startswith("# no")]


def _thousand(clip: Path | None = None, **changes: Any) -> list[SendRecord]:
    """1,000 posts over the three weeks, to six accounts each."""
    accounts = [Account(id=str(n), platform=p, name=f"@{p}.{n}") for n, p in enumerate(("TikTok", "X") * 3)]
    link = "https://www.example.com/@mara.bakes/video/7231338487075638570"
    found = []
    for n in range(1000):
        at = NOW + (n / 1000 * 21 - 7) * DAY
        state = PostState.SUCCESS if at <= NOW else PostState.ACCEPTED
        outcomes = [_out(a, state, link=link if at <= NOW else None) for a in accounts]
        file = str(clip or "/videos/gone.mp4")
        found.append(
            _post(at, *outcomes, **{"id": f"send-{n}", "file": file, "caption": "Bread 🥐 #bake " * 20} | changes)
        )
    return found


def test_a_thousand_posts_are_cut_with_a_count_and_counted_in_full(clip: Callable[[str], Path]) -> None:
    """Below a megabyte, posters included; the nearest to now are those that are listed."""
    video = clip("small.mp4")
    os.utime(video, (NOW - 60 * DAY,) * 2)

    week = _week(*_thousand(video))
    lines = week_page(week)

    page = "\n".join(lines)
    listed = week.listed()
    today = listed[week.today]
    assert 100_000 < len(page.encode()) < MOST_BYTES
    assert page.count("data:image/jpeg;base64,") == 60
    assert sum(map(len, listed.values())) == 22 * MOST_OF_A_DAY
    assert len(today) == MOST_OF_A_DAY
    assert min(e.at for e in today) < NOW < max(e.at for e in today)
    assert "… and 28 more posts" in page
    assert "Long days are cut here, and counted in full." in page
    assert week.counts.total() == 6000
    assert "| **All** | 6000 |" in page
    assert page.count("<details open>") == 2 + 3  # today and tomorrow, and three tables


def test_the_longest_texts_stay_below_the_limit(clip: Callable[[str], Path]) -> None:
    """Each caption, name, reason and link as long as it may be, of many accounts: then fewer posts are listed."""
    accounts = [Account(id=str(n), platform="TikTok", name=f"{n}" + "🥐" * 200) for n in range(40)]
    outcomes = [
        _out(a, state, detail=f"{a.id} " + "<" * 3000, link="https://x.example/" + "a" * 280)
        for a in accounts for state in (PostState.FAILED, PostState.UNCONFIRMED, PostState.SUCCESS, PostState.REFUSED)
    ]  # fmt: skip
    records = [(send, outcomes) for send, _ in _thousand(caption="🥐" * 2200)]

    page = _page(*records)

    assert len(page.encode()) < MOST_BYTES
    assert "**All**" in page


def test_a_year_of_posts_has_few_tables() -> None:
    """A day each, with what is nearest to now unfolded."""
    form = WeekForm(days_back=366, days_ahead=366)

    page = _page(*(_post(NOW + n * DAY) for n in range(-366, 366)), form=form)

    assert page.count("<details") == 450 + 4
    assert "… and 141 more posts on other days" in page
    assert len(page.encode()) < MOST_BYTES


def test_a_video_that_is_gone_or_another_one_has_no_poster(clip: Callable[[str], Path], tmp_path: Path) -> None:
    """The name of a file is used again; a path may be another machine's."""
    video = clip("small.mp4")
    modified = video.stat().st_mtime

    shows = {
        "here": kept_poster(video, sha256="1", changed_before=modified + 1),
        "replaced": kept_poster(video, sha256="2", changed_before=modified - 1),
        "gone": kept_poster(tmp_path / "gone.mp4", sha256="3", changed_before=NOW),
        "of windows": kept_poster(Path("C:\\videos\\cake.mp4"), sha256="4", changed_before=NOW),
        "nul": kept_poster(Path("a\0b"), sha256="5", changed_before=NOW),
        "long": kept_poster(Path("a" * 5000), sha256="6", changed_before=NOW),
        "folder": kept_poster(tmp_path, sha256="7", changed_before=time.time() + DAY),
    }

    assert [name for name, jpeg in shows.items() if jpeg] == ["here"]
    assert shows["here"] is not None
    assert shows["here"].startswith(b"\xff\xd8")
    assert len(shows["here"]) < 8000


def test_a_poster_is_kept_and_forgotten_when_it_is_not_used(clip: Callable[[str], Path], tmp_path: Path) -> None:
    """The second time it comes from the folder, wherever the video is; where none can be kept, it is made each time."""
    video, folder = clip("small.mp4"), tmp_path / "posters"

    first = kept_poster(video, sha256="1", folder=folder)
    (kept,) = folder.iterdir()
    kept.write_bytes(b"kept")
    second = kept_poster(tmp_path / "moved.mp4", sha256="1", changed_before=0, folder=folder)
    forget_old_posters(folder)
    assert kept.exists()
    os.utime(kept, (time.time() - KEPT_SECONDS - 1,) * 2)
    forget_old_posters(folder)
    (tmp_path / "file").touch()
    unkept = kept_poster(video, sha256="1", folder=tmp_path / "file")

    assert (second, unkept) == (b"kept", first)
    assert list(folder.iterdir()) == []
    forget_old_posters(tmp_path / "none")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"], ids=ascii)
def test_a_cell_is_no_formula(text: str) -> None:
    """Excel would calculate it."""
    assert neutral_cell(text) == f"'{text}"
    assert neutral_cell(f"a{text}") == f"a{text}"


def test_the_csv_file_has_a_row_for_each_post_and_account() -> None:
    """With the reader's time and its zone; captions whole, also with lines, quotes and separators."""
    caption = '=HYPERLINK("http://evil","x"), "two"\nlines; 🥐'
    text = csv_of(
        _week(
            _post(
                NOW - HOUR,
                _out(TIKTOK, link="https://t.example/1"),
                _out(X, PostState.FAILED, detail="-no"),
                caption=caption,
            )
        )
    )

    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [row["account"] for row in rows] == ["TikTok @mara.bakes", "X @marabakes"]
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["time"] == "2026-11-26T12:00:00+01:00"
    assert rows[0]["caption"] == f"'{caption}"
    assert (rows[1]["outcome"], rows[1]["reason"], rows[1]["run"]) == ("failed", "'-no", RUN)


def _events(text: str) -> list[dict[str, str]]:
    """The events of a calendar, read by the rules of RFC 5545: unfolded, then name and value, then unescaped."""
    assert text.endswith("\r\n")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "\n" not in text.replace("\r\n", "")
    found: list[dict[str, str]] = []
    lines = text.replace("\r\n ", "").split("\r\n")
    assert (lines[0], lines[-2]) == ("BEGIN:VCALENDAR", "END:VCALENDAR")
    for line in lines[1:-2]:
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found and line != "END:VEVENT":
            assert name not in found[-1]
            found[-1][name] = re.sub(r"\\(.)", lambda m: "\n" if m[1] in "nN" else m[1], value)
    return found


def test_the_calendar_has_an_event_for_each_post() -> None:
    """In UTC, under an ID that stays the same, so that a calendar program replaces what it has."""
    caption = "Bread, butter; 50 % \\ 🥐\r\nsecond line \x07" + "ü🥐" * 60
    first = _post(NOW + DAY, _out(TIKTOK, PostState.ACCEPTED), _out(X, PostState.ACCEPTED), caption=caption)

    (event,) = _events(calendar_of(_week(first)))
    (again,) = _events(calendar_of(make_week([first], WEEK, NOW + HOUR)))

    assert (event["DTSTART"], event["DURATION"], event["DTSTAMP"]) == ("20261127T120000Z", "PT15M", "20261126T120000Z")
    assert event["UID"] == again["UID"] == f"{first[0].id}@reelflow"
    assert event["SUMMARY"] == "TikTok, X: cake.mp4"
    assert event["STATUS"] == "CONFIRMED"
    assert event["DESCRIPTION"].splitlines() == [
        "Bread, butter; 50 % \\ 🥐",
        "second line " + "ü🥐" * 60,
        "",
        "TikTok @mara.bakes: scheduled",
        "X @marabakes: scheduled",
    ]


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([PostState.SUCCESS, PostState.CANCELLED], "CONFIRMED"),
        ([PostState.CANCELLED, PostState.REFUSED], "CANCELLED"),
        ([PostState.UNCONFIRMED, PostState.SUCCESS], "TENTATIVE"),
    ],
    ids=str,
)
def test_an_event_is_cancelled_or_tentative(states: list[PostState], status: str) -> None:
    """As calendar programs show it."""
    (event,) = _events(calendar_of(_week(_post(NOW - HOUR, *(_out(X, state) for state in states)))))

    assert event["STATUS"] == status


def test_files_are_replaced_whole_and_a_mistake_is_said(tmp_path: Path) -> None:
    """Nothing half-written is left; a name with another ending might be somebody's video."""
    week = _week(_post(NOW - HOUR))
    target, calendar = tmp_path / "week.csv", tmp_path / "Week.ICS"
    target.write_text("old")

    written = write_files(WeekForm(csv=f'"{target}"', ics=str(calendar)), week)

    assert written == [target, calendar]
    assert target.read_bytes() == csv_of(week).encode()
    assert calendar.read_bytes() == calendar_of(week).encode()
    for form, words in (
        (WeekForm(csv="cake.mp4"), "Save as CSV: 'cake.mp4' must end in .csv"),
        (WeekForm(ics="week.csv"), "Save as calendar: 'week.csv' must end in .ics"),
        (WeekForm(csv=str(tmp_path / "none" / "a.csv")), "cannot be written (No such file or directory)"),
        (WeekForm(csv=str(tmp_path / "\0.csv")), "cannot be written"),
    ):
        with pytest.raises(InputError, match=re.escape(words)):
            write_files(form, week)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_files(WeekForm(csv=str(tmp_path / "folder.csv")), week)
    assert not list(tmp_path.glob(".*"))
    assert write_files(WEEK, week) == []
