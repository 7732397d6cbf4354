"""The page of the week as an artifact of a real Prefect server, its files, and the command."""

import json
import os
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from support.commands import reelflow
from support.engaging import publish_and_leave
from support.seen import artifacts_of, logs_of

from blocks import TaislyAccount, TikMatrixHost
from flows.publish import publish_video
from flows.warm_up import warm_up_accounts
from flows.week import show_week
from reelflow.phones.form import WarmUpForm
from reelflow.posts.form import PostForm
from reelflow.upkeep.form import WeekForm
from reelflow.video.kept_fit import KEPT_SECONDS
from tasks.ledger import close_ledgers
from tasks.upkeep.week import KEY, refresh_week, remove_older

pytestmark = pytest.mark.usefixtures("server")
Clip = Callable[[str], Path]
LATER = datetime.now(UTC) + timedelta(days=3)


@pytest.fixture(autouse=True)
def _no_page(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No version of the page is there when a test begins, and posters are kept in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with get_client(sync_client=True) as client:
        for version in _versions():
            client.delete_artifact(version.id)


@pytest.fixture
def taisly(sandbox: Any) -> TaislyAccount:
    return TaislyAccount(
        api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01,
        unconfirmed_after_minutes=0,
    )  # fmt: skip


def _publish(taisly: TaislyAccount, video: Path, **form: Any) -> Any:
    values = {"video": str(video), "accounts": ["x"], "watch_minutes": 1} | form
    return publish_video(taisly, PostForm(**values), return_state=True)


def _versions() -> list[Artifact]:
    """Of the page, as the server has them."""
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[KEY])))


def _page() -> str:
    (version,) = _versions()
    return str(version.data)


def test_the_page_shows_what_is_out_what_comes_and_what_waits(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """With posters, links, the runs, and the phone tasks of the past days."""
    published = _publish(taisly, clip("small.mp4"), caption="out")
    _publish(taisly, clip("good.mp4"), caption="later", scheduled_for=LATER, watch_minutes=0)
    sandbox.fail_next(platform="X", reason="Session expired")
    _publish(taisly, clip("small.mp4"), caption="failed", repeat=1)
    sandbox.order_fault("status_before", "POST", "/api/private/post", status=500)
    _publish(taisly, clip("recommended.mp4"), caption="unconfirmed", repeat=1)
    host = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=["R58N01SANDBOX"], poll_seconds=0.01)
    warm_up_accounts(host, WarmUpForm(devices=["all"], watch_minutes=1), return_state=True)

    state = show_week(return_state=True)

    page = _page()
    assert state.message is not None
    assert "4 posts (1 published, 1 scheduled, 1 unconfirmed, 1 failed)" in state.message
    assert state.message.endswith("Waiting for you: 1 unconfirmed, 1 failed.")
    assert page.count("data:image/jpeg;base64,") == 4
    assert "Session expired" in page.partition("## Today")[0]
    assert "](https://" in page
    assert f"(../../runs/flow-run/{published.state_details.flow_run_id})" in page
    assert "1 of 1 phone task completed" in page


def test_only_the_newest_version_is_kept(taisly: TaislyAccount, clip: Clip) -> None:
    """The server's database does not grow with each refresh."""
    for number in range(3):
        show_week(return_state=True)
        assert len(_versions()) == 1, number
    _publish(taisly, clip("small.mp4"), caption="new")
    show_week(return_state=True)

    assert "new" in _page()


def _refresh() -> None:
    show_week(return_state=True)


def test_the_page_keeps_its_days_and_belongs_to_no_run() -> None:
    """A campaign makes it new of as many days as show-week was told; a run has a link to it."""
    state = show_week(WeekForm(days_back=30, days_ahead=60), return_state=True)
    (first,) = _versions()
    refresh_week()
    (second,) = _versions()

    def days(page: Artifact) -> str:
        return str(page.description).partition(":")[0]

    assert first.id != second.id
    assert days(first) == days(second) != str(show_week(return_state=True).message).partition(":")[0]
    assert (first.flow_run_id, second.flow_run_id) == (None, None)
    assert "../../artifacts/key/reelflow-week" in artifacts_of(state)["markdown"].data


def test_runs_at_the_same_time_leave_a_version() -> None:
    """Whichever of them is the last."""
    runs = [threading.Thread(target=copy_context().run, args=(_refresh,)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert not any(run.is_alive() for run in runs)
    assert _versions()

    _refresh()
    assert len(_versions()) == 1


def test_a_run_does_not_delete_the_version_that_a_later_one_has_made() -> None:
    """Else two at once would delete each other's."""

    @flow(name="two-versions")
    def two_versions() -> list[Any]:
        """The first is about to delete what is older, when the second is there already."""
        return [create_markdown_artifact(key=KEY, markdown=f"version {n}") for n in (1, 2)]

    first, second = two_versions()

    remove_older(first)
    assert {version.id for version in _versions()} == {first, second}
    remove_older(second)
    assert {version.id for version in _versions()} == {second}
    remove_older(first)  # which is gone
    assert {version.id for version in _versions()} == {second}


def test_the_page_deletes_fits_that_nobody_used_for_long(tmp_path: Path) -> None:
    """Nothing else does, for those who make no more."""
    old, new = (tmp_path / "cache" / "reelflow" / "fitted" / name for name in ("old", "new"))
    for place in (old, new):
        place.mkdir(parents=True)
        (place / "clip.mp4").write_bytes(bytes(100))
    long_ago = time.time() - KEPT_SECONDS - 60
    os.utime(old, (long_ago, long_ago))

    show_week(WeekForm())

    assert [old.exists(), new.exists()] == [False, True]


def test_a_video_that_has_gone_has_no_poster(taisly: TaislyAccount, clip: Clip, tmp_path: Path) -> None:
    """Its post is shown all the same."""
    video = tmp_path / "gone.mp4"
    video.write_bytes(clip("small.mp4").read_bytes())
    _publish(taisly, video)
    video.unlink()

    state = show_week(return_state=True)

    assert state.is_completed()
    assert "**gone.mp4**" in _page()
    assert "<img" not in _page()


def test_files_are_written_on_request(taisly: TaislyAccount, clip: Clip, tmp_path: Path) -> None:
    """And named in the message; one that cannot be written fails the run, with its sentence."""
    _publish(taisly, clip("small.mp4"), caption="=1+1")

    state = show_week(WeekForm(csv=str(tmp_path / "week.csv"), ics=str(tmp_path / "week.ics")), return_state=True)
    failed = show_week(WeekForm(csv=str(tmp_path / "none" / "week.csv")), return_state=True)
    mistaken = show_week(WeekForm(csv=str(clip("small.mp4"))), return_state=True)

    assert state.message is not None
    assert state.message.endswith(f"Written: {tmp_path / 'week.csv'}, {tmp_path / 'week.ics'}.")
    assert ",'=1+1," in (tmp_path / "week.csv").read_text("utf-8-sig")
    assert "SUMMARY:X: small.mp4" in (tmp_path / "week.ics").read_text()
    assert failed.is_failed()
    assert "cannot be written (No such file or directory)" in str(failed.message)
    assert mistaken.is_failed()
    assert "must end in .csv" in str(mistaken.message)
    assert clip("small.mp4").stat().st_size > 1000


def test_a_campaign_refreshes_the_page_and_never_fails_by_it(
    taisly: TaislyAccount, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with the ledger."""

    @flow(name="campaign")
    def campaign() -> str:
        """As the end of a campaign."""
        refresh_week()
        return "done"

    _publish(taisly, clip("small.mp4"), caption="of the campaign")
    assert campaign() == "done"
    assert "of the campaign" in _page()

    close_ledgers()
    monkeypatch.setenv("REELFLOW_LEDGER_URL", f"sqlite:///{tmp_path / 'another.db'}")
    state = campaign(return_state=True)
    assert state.is_completed()
    assert "The page of the week could not be made" in logs_of(state)


def test_the_command_lists_every_post_by_day(taisly: TaislyAccount, sandbox: Any, clip: Clip, tmp_path: Path) -> None:
    """For people; for programs one object per line, as `reelflow posts` has it; and as files."""
    _publish(taisly, clip("small.mp4"), caption="out")
    _publish(taisly, clip("good.mp4"), caption="later", scheduled_for=LATER, watch_minutes=0)
    sandbox.order_fault("status_before", "POST", "/api/private/post", status=500)
    _publish(taisly, clip("recommended.mp4"), caption="unconfirmed", repeat=1)

    done = reelflow("week", "--csv", str(tmp_path / "week.csv"))
    rows = [json.loads(line) for line in reelflow("week", "--json").stdout.splitlines()]
    posts = [json.loads(line) for line in reelflow("posts", "--json").stdout.splitlines()]
    today = reelflow("week", "--days-back", "0", "--days-ahead", "0", "--json")
    mistake = reelflow("week", "--ics", "week.csv")

    assert done.returncode == 0
    assert ", today: 2 posts (1 published, 1 unconfirmed)" in done.stdout
    assert "reelflow resolve " in done.stdout
    assert "Written: " in done.stdout
    assert done.stdout.index("small.mp4") < done.stdout.index("good.mp4")
    assert sorted(row["caption"] for row in rows) == ["later", "out", "unconfirmed"]
    assert {row["send_id"]: row for row in rows} == {row["send_id"]: row for row in posts}
    assert len(today.stdout.splitlines()) == 2
    assert (mistake.returncode, mistake.stdout) == (1, "")
    assert "must end in .ics" in mistake.stderr
    assert not _versions()  # only a run makes the page


def test_what_waits_for_the_phones_is_listed_with_its_post(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """In both commands, for people and for programs, and on the page with how to cancel it."""
    nothing = reelflow("week")
    asked = publish_and_leave(taisly, clip, warm_up_seconds=60)
    line = "phones (engaging): warm-up of 60 s on TikTok, comments (1 text) on TikTok, at the next run of finish-open-p"

    posts, week = reelflow("posts"), reelflow("week")
    ((of_posts,), (of_week,)) = (
        [json.loads(row) for row in reelflow(command, "--json").stdout.splitlines()] for command in ("posts", "week")
    )
    show_week(return_state=True)
    (phones,) = of_posts["phones"]

    assert "hones" not in nothing.stdout
    assert f"\n  {line}" in posts.stdout
    assert "\nWaiting for the phones. Nothing to do for you. To cancel it, cancel the post" in week.stdout
    assert f"\n    {line}" in week.stdout
    assert "Nothing waits for you. 1 post waiting for the phones' part." in week.stdout
    assert of_week == of_posts
    assert (phones["engagement_id"], phones["state"], phones["pc"]) == (asked.id, "waiting", "engaging")
    assert phones["does"] == "warm-up of 60 s on TikTok, comments (1 text) on TikTok"
    assert "## Waiting for the phones" in _page()
    assert "warm-up of 60 s on TikTok" in _page()
