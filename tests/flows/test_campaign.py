"""The flow publish_campaign against a real Prefect server and the sandbox over HTTP."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from support.campaigns import Campaign, row
from support.commands import reelflow
from support.seen import artifacts_of, logs_of, steps_of

from blocks import PostingSlots, TaislyAccount
from flows.campaign import publish_campaign
from reelflow.campaigns.form import CampaignForm, RowForm
from reelflow.campaigns.report import CampaignReport
from reelflow.errors import CampaignFailed
from tasks.ledger import open_ledger

pytestmark = pytest.mark.usefixtures("server")
NEXT_WEEK = (datetime.now(UTC) + timedelta(days=7)).replace(hour=18, minute=0, second=0, microsecond=0)


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


@pytest.fixture
def slots() -> PostingSlots:
    return PostingSlots(slots=["Instagram: daily 12:00 and 18:00", "YouTube: daily 9:00"], time_zone="Europe/Berlin")


@pytest.fixture
def week(tmp_path: Path, videos: Callable[[int], Path]) -> Path:
    """A folder with three videos and their captions."""
    folder = tmp_path / "week-48"
    folder.mkdir()
    for number, name in enumerate(("bread", "cake", "tart"), 1):
        shutil.copy(videos(number), folder / f"{name}.mp4")
        (folder / f"{name}.txt").write_text(f"Fresh {name}", "utf-8")
    return folder


def _campaign(taisly: TaislyAccount, slots: PostingSlots | None = None, **form: Any) -> Any:
    values = {"accounts": ["Instagram"], "watch_minutes": 1} | form
    return publish_campaign(taisly, CampaignForm(**values), slots, return_state=True)


def _plan(folder: Path, *rows: str, header: str = "video,caption,accounts,when") -> Path:
    path = folder / "plan.csv"
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8-sig")
    return path


def _at(hours: float) -> str:
    return (NEXT_WEEK + timedelta(hours=hours)).isoformat()


def _outcomes(state: Any) -> list[tuple[int, str, str]]:
    result = state.result(raise_on_failure=False)
    report = result.report if isinstance(result, CampaignFailed) else result
    assert isinstance(report, CampaignReport)
    return [(line.number, line.account.split()[0] if line.account else "", line.outcome) for line in report.lines]


def test_a_folder_becomes_a_scheduled_week(
    taisly: TaislyAccount, slots: PostingSlots, week: Path, sandbox: Any
) -> None:
    """Each video takes the next slot of each account, with the caption from the file beside it; nothing is burst."""
    state = _campaign(taisly, slots, plan=str(week), accounts=["Instagram", "YouTube"])

    posts = sorted(sandbox.posts, key=lambda post: post["scheduled"])
    by_hour = {datetime.fromtimestamp(p["scheduled"] / 1000).astimezone(slots.book.zone).hour for p in posts}

    assert state.name == "Scheduled"
    assert len({post["scheduled"] for post in posts}) == len(posts) == 6
    assert by_hour == {9, 12, 18}
    assert sorted({p["caption"] for p in posts}) == ["Fresh bread", "Fresh cake", "Fresh tart"]
    assert "3 rows. Posts: 6 scheduled" in state.message


def test_running_it_again_sends_nothing_and_takes_no_slot(
    taisly: TaislyAccount, slots: PostingSlots, week: Path, sandbox: Any
) -> None:
    """A button that is pressed twice, or a retry: every row is found as it is. A new file takes the next slot."""
    _campaign(taisly, slots, plan=str(week))
    before = sorted(post["scheduled"] for post in sandbox.posts)

    again = _campaign(taisly, slots, plan=str(week))

    assert (again.is_completed(), _outcomes(again)) == (True, [(n, "Instagram", "scheduled") for n in (1, 2, 3)])
    assert "All of these had been sent before; nothing was sent again." in again.message
    assert sorted(post["scheduled"] for post in sandbox.posts) == before
    assert sandbox.requests("POST /api/private/post") == 3


def test_a_post_whose_answer_an_earlier_run_lost_is_found(
    taisly: TaislyAccount, slots: PostingSlots, week: Path, sandbox: Any
) -> None:
    """That run died before it could look for it."""
    sandbox.order_fault("drop_after", "POST", "/api/private/post")
    with taisly.get_rate_limited(open_ledger()) as client:
        Campaign(client, row(1, week / "bread.mp4")).send()
    before = [post["caption"] for post in sandbox.posts]

    state = _campaign(taisly, slots, plan=str(_plan(week, "bread.mp4,caption 1,Instagram,")))

    assert (before, len(sandbox.posts)) == (["caption 1"], 1)
    assert (state.name, _outcomes(state)) == ("Scheduled", [(1, "Instagram", "scheduled")])


def test_every_wrong_row_is_named_and_nothing_is_sent(
    taisly: TaislyAccount, week: Path, sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """One table, one file that loads again once it is fixed."""
    shutil.copy(clip("list.mp4"), week / "notes.mp4")
    plan = _plan(
        week,
        f"bread.mp4,one,Instagram,{_at(0)}",
        "gone.mp4,two,Instagram,2026-12-01",
        f"notes.mp4,three,Nobody,{_at(4)}",
        f"cake.mp4,{'x' * 101},X,{_at(5)}",
        f"bread.mp4,five,Instagram,{_at(8)}",
        f"tart.mp4,six,Instagram,{_at(0.05)}",
        "tart.mp4,seven,YouTube,2020-01-01 10:00",
        "gone.mp4,eight,Nobody,2020-01-01 10:00",
    )

    state = _campaign(taisly, plan=str(plan))

    with (week / "plan.problems.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["row"]: row["code"] for row in csv.DictReader(file)}
    markdown = artifacts_of(state)["markdown"].data

    assert (state.is_failed(), state.name, sandbox.requests("POST /api/private/post")) == (True, "Failed", 0)
    assert rows == {
        "2": "date_without_time, video",
        "3": "video, accounts",
        "4": "caption",
        "5": "twice",
        "6": "too_close",
        "7": "passed",
        "8": "video, accounts, passed",
    }
    assert "Nothing was sent" in state.message
    assert all(f"| {number} |" in markdown for number in range(2, 9))
    assert "Row 1," not in logs_of(state)


@pytest.mark.parametrize("form", [{}, {"dry_run": True}, {"if_rows_are_wrong": "send the right ones"}], ids=str)
def test_what_is_wrong_with_the_whole_plan_is_said(
    taisly: TaislyAccount, slots: PostingSlots, week: Path, sandbox: Any, form: dict[str, Any]
) -> None:
    """No row says it, so the run does; and there is no file with rows to fix."""
    state = _campaign(taisly, slots, plan=str(week), accounts=["TikTokk"], **form)

    assert "accounts: No connected account matches 'TikTokk'" in state.message
    assert "Fix these rows" not in state.message
    assert (state.is_completed(), sandbox.requests("POST /api/private/post")) == ("dry_run" in form, 0)
    assert not list(week.glob("*.problems.csv"))


def test_a_check_in_a_terminal_fails_while_something_is_wrong(
    taisly: TaislyAccount, slots: PostingSlots, week: Path
) -> None:
    """As `reelflow plan check` does, so that a script stops. In the UI the run is green: it did what it was for."""
    taisly.save("campaign", overwrite=True)
    slots.save("campaign", overwrite=True)
    words = ["campaign", str(week), "--block", "campaign", "--slots", "campaign", "--dry-run"]

    right = reelflow(*words, "--to", "Instagram", "--json")
    wrong = reelflow(*words, "--to", "TikTokk")
    document = reelflow(*words, "--to", "TikTokk", "--json")

    assert (right.returncode, json.loads(right.stdout)["ok"]) == (0, True)
    assert (document.returncode, json.loads(document.stdout)["ok"]) == (1, False)
    assert (wrong.returncode, "No connected account matches 'TikTokk'" in wrong.stderr) == (1, True)


def test_fixed_rows_are_sent_from_the_file_with_the_problems(taisly: TaislyAccount, week: Path, sandbox: Any) -> None:
    """Send the right ones now, fix the rest in the file, and use that as the plan."""
    plan = _plan(week, "cake.mp4,two,Instagram,03/04/2099 10:00", f"bread.mp4,one,Instagram,{_at(0)}")
    first = _campaign(taisly, plan=str(plan), if_rows_are_wrong="send the right ones")
    results = (week / "plan.results.csv").read_text("utf-8-sig")
    problems = week / "plan.problems.csv"
    problems.write_text(problems.read_text("utf-8-sig").replace("03/04/2099 10:00", _at(3)), "utf-8")

    second = _campaign(taisly, plan=str(problems))

    assert first.name == "Partly failed"
    assert _outcomes(first) == [(1, "", "wrong"), (2, "Instagram", "scheduled")]
    assert [row["row"] for row in csv.DictReader(results.splitlines())] == ["1", "2"]
    assert (second.name, [outcome for *_, outcome in _outcomes(second)]) == ("Scheduled", ["scheduled"])
    assert sorted(post["caption"] for post in sandbox.posts) == ["one", "two"]


def test_a_check_shows_every_time_and_reserves_nothing(
    taisly: TaislyAccount, slots: PostingSlots, week: Path, sandbox: Any
) -> None:
    """What the run would do, without doing any of it."""
    state = _campaign(taisly, slots, plan=str(week), dry_run=True)
    shas = [kept.sha256 for kept in open_ledger().reservations(taisly.service, [])]

    report = state.result()

    assert (state.name, sandbox.requests("POST /api/private/post"), shas) == ("Dry run", 0, [])
    assert [line.outcome for line in report.lines] == ["ready"] * 3
    assert all(line.at for line in report.lines)
    assert not list(week.glob("*.results.csv"))


def test_posts_are_published_at_once_and_watched(taisly: TaislyAccount, week: Path, sandbox: Any) -> None:
    """'now' in the plan; the run waits for the outcomes, and the results are a CSV without formulas."""
    plan = _plan(
        week,
        "bread.mp4,=cmd|' /C calc'!A0,Instagram,now",
        "cake.mp4,two,YouTube,now",
    )

    state = _campaign(taisly, plan=str(plan))

    with (week / "plan.results.csv").open(encoding="utf-8-sig", newline="") as file:
        results = list(csv.DictReader(file))
    assert (state.name, _outcomes(state)) == (
        "Completed",
        [(1, "Instagram", "published"), (2, "YouTube", "published")],
    )
    assert [row["outcome"] for row in results] == ["published", "published"]
    assert results[0]["caption"] == "'=cmd|' /C calc'!A0"
    assert all(row["link"].startswith("https://") for row in results)


def test_each_caption_is_a_post_of_its_own(taisly: TaislyAccount, week: Path, sandbox: Any) -> None:
    """Taisly takes one caption a post: X gets its own post, the others share one."""
    header = "video,caption,accounts,when,caption x"
    plan = _plan(week, f"bread.mp4,A long text,Instagram; YouTube; X,{_at(0)},Short", header=header)

    state = _campaign(taisly, plan=str(plan))

    posts = {post["caption"]: post["platforms"] for post in sandbox.posts}
    assert state.is_completed()
    assert {caption: len(accounts) for caption, accounts in posts.items()} == {"A long text": 2, "Short": 1}


def test_only_what_failed_is_sent_again(taisly: TaislyAccount, week: Path, sandbox: Any) -> None:
    """A failed post is final, so it is sent once more under a number of its own; what is out stays out."""
    plan = _plan(week, "bread.mp4,one,Instagram,now", "cake.mp4,two,YouTube,now", "tart.mp4,three,Facebook,now")
    for platform in ("Instagram", "Facebook"):
        sandbox.fail_next(platform=platform, reason=f"{platform} session expired")
    first = _campaign(taisly, plan=str(plan))

    other = _campaign(taisly, plan=str(plan), only="what failed", cause="copyright")
    again = _campaign(taisly, plan=str(plan), only="what failed", cause="instagram SESSION")
    rest = _campaign(taisly, plan=str(plan), only="what failed")
    plain = _campaign(taisly, plan=str(plan))

    assert (first.name, other.name) == ("Partly failed", "Partly failed")
    assert "1 post: Instagram session expired" in first.message
    assert [outcome for *_, outcome in _outcomes(again)] == ["published", "published", "failed"]
    assert (rest.name, plain.name) == ("Completed", "Completed")
    assert sorted(post["caption"] for post in sandbox.posts) == ["one", "one", "three", "three", "two"]


def test_a_run_has_one_table_that_becomes_its_report(
    taisly: TaislyAccount, slots: PostingSlots, week: Path, sandbox: Any
) -> None:
    """Every time is shown before anything is sent, and the same artifact ends as the report."""
    state = _campaign(taisly, slots, plan=str(week))

    by_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        found = [a for a in client.read_artifacts(artifact_filter=by_run) if a.type == "markdown"]
    (report,) = found

    assert report.created < report.updated
    assert "scheduled" in str(report.data)
    assert "to be sent" not in str(report.data)


def test_a_campaign_takes_few_task_runs_and_requests(
    taisly: TaislyAccount, slots: PostingSlots, tmp_path: Path, videos: Callable[[int], Path], sandbox: Any
) -> None:
    """Ten videos: at most three task runs and little more than one request for each."""
    folder = tmp_path / "ten"
    folder.mkdir()
    for number in range(10):
        os.link(videos(number), folder / f"{number}.mp4")

    state = _campaign(taisly, slots, plan=str(folder))
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)

    assert state.name == "Scheduled"
    assert len(steps_of(state)) <= 6
    assert sandbox.requests() <= 10 + 5  # accounts, rules, and the history for a new ledger and for what takes slots
    assert run.name == "ten"


def test_posts_can_be_typed_into_the_form(taisly: TaislyAccount, week: Path, sandbox: Any) -> None:
    """Rows in place of a plan; both at once are refused."""
    rows = [RowForm(video=str(week / "bread.mp4"), caption="one", when=_at(0), accounts="Instagram")]

    state = _campaign(taisly, rows=rows)
    both = _campaign(taisly, rows=rows, plan=str(week))

    assert (state.name, [post["caption"] for post in sandbox.posts]) == ("Scheduled", ["one"])
    assert "Choose one" in both.message


def test_a_row_without_a_time_needs_slots(taisly: TaislyAccount, week: Path, sandbox: Any) -> None:
    """Nothing is guessed: without slots, every such row is named."""
    state = _campaign(taisly, plan=str(week))

    assert (state.name, [outcome for *_, outcome in _outcomes(state)]) == ("Failed", ["wrong"] * 3)
    assert sandbox.requests("POST /api/private/post") == 0


def test_videos_that_do_not_fit_are_made_right_once_all_rows_are_checked(
    taisly: TaislyAccount, sandbox: Any, clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report shows them before and after; while a row is wrong, nothing is fitted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wide, row = clip("turned-away.mp4"), "{},Fresh,Instagram,now,{}"
    header = "video,caption,accounts,when,fit"

    wrong = _campaign(taisly, plan=str(_plan(tmp_path, row.format(wide, "pad"), row.format("none.mp4", ""),
                                             header=header)))  # fmt: skip
    state = _campaign(taisly, plan=str(_plan(tmp_path, row.format(wide, "pad"), header=header)))

    assert wrong.is_failed()
    assert not any(name.startswith("fit ") for name in steps_of(wrong))
    assert _outcomes(state) == [(1, "Instagram", "published")]
    assert "fit videos of plan.csv" in steps_of(state)
    report = artifacts_of(state)["markdown"].data
    assert "## Fitted videos" in report
    assert "black bars added around the picture" in report
    assert len(sandbox.posts) == 1
