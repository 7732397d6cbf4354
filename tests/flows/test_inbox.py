"""The flow publish_inbox against a real Prefect server and the sandbox over HTTP."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from support.commands import reelflow
from support.seen import artifacts_of, logs_of, steps_of

from blocks import PostingSlots, TaislyAccount
from flows.campaign import publish_campaign
from flows.inbox import publish_inbox
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.inbox_form import InboxForm
from tasks.ledger import open_ledger
from tasks.upkeep.week import KEY

pytestmark = pytest.mark.usefixtures("server")
POSTS = "POST /api/private/post"


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


@pytest.fixture
def slots() -> PostingSlots:
    return PostingSlots(slots=["Instagram: daily 12:00 and 18:00", "YouTube: daily 9:00"], time_zone="Europe/Berlin")


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder; posters are kept in the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def put(inbox: Path, videos: Callable[[int], Path]) -> Callable[..., Path]:
    """Put a video into the inbox, with its caption."""

    def copy(name: str, number: int, caption: str | None = None) -> Path:
        path = inbox / name
        path.parent.mkdir(exist_ok=True)
        shutil.copy(videos(number), path)
        path.with_suffix(".txt").write_text(f"Fresh {path.stem}" if caption is None else caption, "utf-8")
        return path

    return copy


@pytest.fixture
def run(taisly: TaislyAccount, slots: PostingSlots, inbox: Path) -> Callable[..., Any]:
    """Run the flow on the inbox, without waiting between the two looks."""

    def start(slots: PostingSlots = slots, **form: Any) -> Any:
        values = {"folder": str(inbox), "accounts": ["Instagram"], "settle_seconds": 0, "wait_minutes": 0} | form
        return publish_inbox(taisly, InboxForm(**values), slots, return_state=True)

    return start


def _files(folder: Path) -> list[str]:
    """What is below a folder, without the texts about its videos."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.endswith(".reelflow.txt"))


def _alarms_of(state: Any) -> list[Any]:
    return open_ledger().alarms_of_runs([str(state.state_details.flow_run_id)])


def test_new_videos_are_scheduled_and_moved_to_done(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """Each in the next slot of its accounts, which a subfolder may name; a text beside it says when, and the IDs."""
    put("bread.mp4", 1)
    put("YouTube + Instagram/cake.mp4", 2)

    state = run()

    captions = sorted(post["caption"] for post in sandbox.posts)
    text = (inbox / "done" / "YouTube + Instagram" / "cake.mp4.reelflow.txt").read_text("utf-8")
    assert (state.name, captions) == ("Scheduled", ["Fresh bread", "Fresh cake", "Fresh cake"])
    assert all(post["scheduled"] for post in sandbox.posts)
    assert _files(inbox) == [
        "done/YouTube + Instagram/cake.mp4", "done/YouTube + Instagram/cake.txt", "done/bread.mp4", "done/bread.txt",
    ]  # fmt: skip
    assert text.count(": scheduled ") == text.count("history ID") == 2
    assert len(steps_of(state)) == 4


def test_the_week_shows_the_poster_of_a_video_that_was_moved(run: Callable[..., Any], put: Callable[..., Path]) -> None:
    """Its post names the place where it was sent from."""
    put("bread.mp4", 1)

    run()

    with get_client(sync_client=True) as client:
        pages = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[KEY])))
    (page,) = (str(page.data) for page in pages)
    assert "**bread.mp4**" in page
    assert page.count("data:image/jpeg;base64,") == 1


def test_nothing_new_asks_nobody(run: Callable[..., Any], put: Callable[..., Path], sandbox: Any) -> None:
    """A schedule runs all day: no request, no artifact, one step."""
    put("bread.mp4", 1)
    run()
    before = sandbox.requests()

    state = run()

    assert (state.name, state.message, sandbox.requests()) == ("Nothing new", "Nothing new.", before)
    assert (artifacts_of(state), len(steps_of(state))) == ({}, 1)


def test_a_video_that_cannot_be_published_is_rejected_with_the_reason(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """The others are sent. It rings once: from then on it is not in the inbox."""
    put("bread.mp4", 1)
    shutil.copy(clip("landscape.mp4"), inbox / "wide.mp4")
    put("X/cake.mp4", 2, "x" * 101)

    state = run(accounts=["Instagram"], slots=PostingSlots(slots=["all: daily 12:00"]))
    again = run()

    texts = {p.name: p.read_text("utf-8") for p in (inbox / "rejected").rglob("*.reelflow.txt")}
    assert (state.name, again.name, sandbox.requests(POSTS)) == ("Partly failed", "Nothing new", 1)
    assert _files(inbox / "rejected") == ["X/cake.mp4", "X/cake.txt", "wide.mp4"]
    assert "9:16" in texts["wide.mp4.reelflow.txt"]
    assert "X allows 100" in texts["cake.mp4.reelflow.txt"]
    assert "wide.mp4: video:" in state.message
    assert ["wide.mp4" in alarm.reason for alarm in _alarms_of(state)] == [True]


def test_a_name_that_cannot_be_shown_is_rejected_like_any_other_mistake(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, videos: Callable[[int], Path]
) -> None:
    """From an old disk, and by accident; the others are sent, whatever is in their names."""
    shutil.copy(videos(1), os.fsencode(inbox) + b"/caf\xe9.mp4")
    put("line\nbreak.mp4", 2)
    put("`{x}` #1 | a's \u00fc.mp4", 3)

    state, again = run(), run()

    lines = state.result(raise_on_failure=False).report.lines
    assert [line.outcome for line in lines] == ["scheduled", "wrong", "wrong"]
    assert (state.name, again.name) == ("Partly failed", "Nothing new")
    assert "Rename the file" in artifacts_of(state)["markdown"].data
    assert _files(inbox / "done") == ["`{x}` #1 | a's \u00fc.mp4", "`{x}` #1 | a's \u00fc.txt"]


def test_a_video_that_could_not_be_moved_is_not_sent_again(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """As after a crash between the two: the ledger knows it, and the next run moves it."""
    put("bread.mp4", 1)
    (inbox / "done").write_text("in the way")

    first, second = run(), run()
    (inbox / "done").unlink()
    third = run()

    assert [first.name, second.name, third.name] == ["Scheduled", "Partly failed", "Scheduled"]
    assert "could not be moved to done" in logs_of(first)
    assert _files(inbox) == ["done/bread.mp4", "done/bread.txt"]
    assert sandbox.requests(POSTS) == 1


def test_the_same_video_again_is_moved_without_a_post(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """Twice in one run, and once more later under another name."""
    put("bread.mp4", 1)
    put("copy.mp4", 1)

    first, second = run(), run()
    put("bread.mp4", 1)
    third = run()

    assert [first.name, second.name, third.name] == ["Scheduled"] * 3
    assert _files(inbox / "done") == [
        "bread (2).mp4", "bread (2).txt", "bread.mp4", "bread.txt", "copy.mp4", "copy.txt",
    ]  # fmt: skip
    assert sandbox.requests(POSTS) == 1


def test_a_video_with_something_changed_is_rejected_with_what_to_do(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """Another export of it: a person decides."""
    path = put("bread.mp4", 1)
    other = path.read_bytes() + (16).to_bytes(4, "big") + b"free" + b"12345678"
    run()
    put("bread.mp4", 1).write_bytes(other)

    state = run()

    text = (inbox / "rejected" / "bread.mp4.reelflow.txt").read_text("utf-8")
    assert (state.name, sandbox.requests(POSTS)) == ("Rejected", 1)
    assert "publish it with a plan that has 1 in its column 'repeat'" in text


def test_a_failed_post_is_sent_again_as_its_text_says(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, taisly: TaislyAccount, slots: PostingSlots,
    sandbox: Any,
) -> None:  # fmt: skip
    """Failed is final, so putting it back does nothing; a campaign with 'what failed' sends it once more."""
    put("bread.mp4", 1)
    plan = inbox.parent / "plan.csv"
    plan.write_text("video,caption,when\ninbox/bread.mp4,Fresh bread,now\n", "utf-8")
    sandbox.fail_next(platform="Instagram", reason="Session expired")
    form = CampaignForm(plan=str(plan), accounts=["Instagram"], watch_minutes=1)
    publish_campaign(taisly, form, return_state=True)

    first = run()
    rejected = inbox / "rejected"
    text = (rejected / "bread.mp4.reelflow.txt").read_text("utf-8")
    form = CampaignForm(plan=str(rejected), accounts=["Instagram"], only="what failed", watch_minutes=0)
    again = publish_campaign(taisly, form, slots, return_state=True)
    shutil.copy(rejected / "bread.mp4", inbox)
    back = run()

    assert (first.name, again.name, back.name) == ("Rejected", "Scheduled", "Scheduled")
    assert "what failed" in text
    assert "put the video back" not in text
    assert [post["caption"] for post in sandbox.posts] == ["Fresh bread", "Fresh bread"]
    assert _files(inbox / "done") == ["bread.mp4"]


def test_a_check_moves_and_sends_nothing(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """It shows every post with its time."""
    put("bread.mp4", 1)

    state = run(dry_run=True)

    assert (state.name, [line.outcome for line in state.result().lines]) == ("Dry run", ["ready"])
    assert (_files(inbox), sandbox.requests(POSTS)) == (["bread.mp4", "bread.txt"], 0)


def test_what_cannot_be_sent_for_now_stays_in_the_inbox(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """Taisly cannot be reached: the next run sends it."""
    put("bread.mp4", 1)
    sandbox.order_fault("status_before", status=503, times=None)
    away = run()
    sandbox.clear_faults()
    stayed = _files(inbox)

    back = run()

    assert (away.is_failed(), stayed) == (True, ["bread.mp4", "bread.txt"])
    assert (back.name, _files(inbox), len(sandbox.posts)) == ("Scheduled", ["done/bread.mp4", "done/bread.txt"], 1)


def test_a_lost_answer_is_on_record(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """The post may be out: its video is moved, and finish-open-posts finds out."""
    put("bread.mp4", 1)
    sandbox.order_fault("drop_after", "POST", "/api/private/post")

    state, again = run(), run()

    assert (state.is_completed(), again.name, len(sandbox.posts)) == (True, "Nothing new", 1)
    assert _files(inbox) == ["done/bread.mp4", "done/bread.txt"]


def test_what_is_wrong_with_folders_and_slots_keeps_the_videos_and_rings_as_one_cause(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """A mistyped name, an account without slots; whatever else is published meanwhile, the cause is the same."""
    put("Instagramm/bread.mp4", 1)
    put("X/cake.mp4", 2)

    first = run()
    put("tart.mp4", 3)
    second = run()

    (one,), (two,) = _alarms_of(first), _alarms_of(second)
    assert [first.name, second.name] == ["Failed", "Partly failed"]
    assert "Instagramm: accounts: No connected account matches 'Instagramm'" in first.message
    assert "Rename the folder, or list its accounts in accounts.txt in it." in first.message
    assert one.cause == two.cause
    assert _files(inbox) == [
        "Instagramm/bread.mp4", "Instagramm/bread.txt", "X/cake.mp4", "X/cake.txt", "done/tart.mp4", "done/tart.txt",
    ]  # fmt: skip
    assert [post["caption"] for post in sandbox.posts] == ["Fresh tart"]


def test_paused_slots_keep_the_videos_in_silence(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """A person wants it so."""
    put("bread.mp4", 1)

    state = run(slots=PostingSlots(slots=["all: daily 12:00"], paused=True))

    assert (state.is_completed(), state.result().lines[0].outcome) == (True, "skipped")
    assert "pause" in state.result().lines[0].detail
    assert (_files(inbox), sandbox.requests(POSTS)) == (["bread.mp4", "bread.txt"], 0)


def test_two_runs_at_once_send_each_video_once(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """A schedule and a person: whoever finds a video moved by the other goes on."""
    for number in (1, 2, 3):
        put(f"{number}.mp4", number)

    with ThreadPoolExecutor(2) as pool:
        states = [each.result() for each in [pool.submit(copy_context().run, run) for _ in range(2)]]
    last = run()

    assert all(state.is_completed() for state in states), [state.message for state in states]
    assert last.name == "Nothing new"
    assert sorted(post["caption"] for post in sandbox.posts) == ["Fresh 1", "Fresh 2", "Fresh 3"]
    assert _files(inbox) == [f"done/{n}.{ending}" for n in (1, 2, 3) for ending in ("mp4", "txt")]


def test_videos_for_nobody_are_named_without_asking_taisly(
    run: Callable[..., Any], put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """They are directly in the inbox, and the form names no accounts."""
    put("bread.mp4", 1)

    first, second = run(accounts=[]), run(accounts=[])

    (one,), (two,) = _alarms_of(first), _alarms_of(second)
    assert (first.name, one.cause == two.cause, sandbox.requests()) == ("Failed", True, 0)
    assert "bread.mp4" in first.message
    assert _files(inbox) == ["bread.mp4", "bread.txt"]


def test_a_folder_that_is_not_there_is_said(run: Callable[..., Any], inbox: Path) -> None:
    """With its name."""
    state = run(folder=str(inbox / "none"))

    assert state.is_failed()
    assert "Create the folder on the machine that runs this" in state.message


def test_a_terminal_does_the_same(
    taisly: TaislyAccount, slots: PostingSlots, put: Callable[..., Path], inbox: Path, sandbox: Any
) -> None:
    """With one document for scripts; the exit code is 1 if a person has to look."""
    taisly.save("inbox", overwrite=True)
    slots.save("inbox", overwrite=True)
    put("bread.mp4", 1)
    words = [str(inbox), "--block", "inbox", "--slots", "inbox", "--settle-seconds", "0", "--wait-minutes", "0"]

    sent = reelflow("inbox", *words, "--to", "Instagram", "--json")
    empty = reelflow("inbox", *words)
    put("cake.mp4", 2)
    failed = reelflow("inbox", *words)
    gone, unnamed = (reelflow("inbox", name, *words[1:]) for name in ("nowhere", ""))

    said = json.loads(sent.stdout)
    assert (sent.returncode, said["flow"], said["state"]) == (0, "publish-inbox", "Scheduled")
    assert [post["outcome"] for post in said["posts"]] == ["scheduled"]
    assert (empty.returncode, empty.stdout) == (0, "Nothing new.\n")
    assert (failed.returncode, "no accounts are named" in failed.stderr) == (1, True)
    assert f"The inbox {Path('nowhere').absolute()} cannot be read" in gone.stderr
    assert "No folder is named" in unnamed.stderr  # a variable that is not set must not mean the current folder
