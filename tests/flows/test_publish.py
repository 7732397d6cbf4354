"""The flow publish_video against a real Prefect server and the sandbox over HTTP."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.events.filters import EventFilter, EventResourceFilter
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL
from prefect.states import Scheduled
from support.scheduled import execute, scheduled_run
from support.seen import artifacts_of, logs_of, steps_of
from support.waiting import until

from blocks import TaislyAccount
from flows.cancel_post import cancel_scheduled_post
from flows.finish import finish_open_posts
from flows.publish import publish_video
from flows.resolve import resolve_post
from reelflow.errors import PublishFailed
from reelflow.ledger import key_fingerprint
from reelflow.posts.form import CancelPostForm, FinishForm, PostForm, ResolveForm
from reelflow.posts.report import PublishReport
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account
from reelflow.sandbox.catalog import ACCOUNTS
from reelflow.time_zones import shown
from tasks.ledger import open_ledger
from tasks.posts.wording import FINISH_OPEN_POSTS

pytestmark = pytest.mark.usefixtures("server")
Clip = Callable[[str], Path]


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


def _publish(taisly: TaislyAccount, video: Path | str, **form: Any) -> Any:
    return publish_video(
        taisly, PostForm(video=str(video), **({"accounts": ["all"], "watch_minutes": 1} | form)), return_state=True
    )


def test_a_video_is_published_to_every_account(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """One post, six outcomes, one line that says so, and a report with picture, table and links."""
    state = _publish(taisly, clip("good.mp4"), caption="Fresh | *bread* <b>")

    (post,) = sandbox.posts
    report, artifacts = state.result(), artifacts_of(state)

    assert (state.is_completed(), state.message) == (True, "Published to 6 of 6 accounts.")
    assert isinstance(report, PublishReport)
    assert post["caption"] == "Fresh | *bread* <b>"
    assert post["sha256"] == report.request.video.sha256
    assert sandbox.requests("POST /api/private/post") == 1
    assert artifacts["progress"].data == 100
    assert "data:image/jpeg;base64," in artifacts["markdown"].data
    assert r"Fresh \| \*bread\* \<b\>" in artifacts["markdown"].data
    assert artifacts["markdown"].data.count("](https://") == 6


def test_runs_say_in_their_names_what_they_are(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """In the list of runs one sees video and accounts, not an animal."""
    state = _publish(taisly, clip("small.mp4"), accounts=["x", "Instagram"])

    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)

    assert run.name == "small.mp4 to x, Instagram"


def test_a_platform_that_fails_fails_the_run_and_says_why(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """The others are out, and the report has them."""
    sandbox.fail_next(platform="Instagram", reason="Session expired")

    state = _publish(taisly, clip("small.mp4"), accounts=["x", "Instagram"])

    assert state.is_failed()
    assert (
        state.message == "Failed on Instagram mara.bakes: Session expired. Published to 1 of 2 accounts: X @marabakes."
    )
    with pytest.raises(PublishFailed) as caught:
        state.result()
    assert caught.value.report is not None
    assert [o.state for o in caught.value.report.outcomes] == [PostState.SUCCESS, PostState.FAILED]


def test_a_dry_run_sends_nothing_and_says_what_it_would(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """It checks everything, the accounts at Taisly too."""
    state = _publish(taisly, clip("good.mp4"), accounts=["x"], caption="Hi", dry_run=True)

    assert (state.name, state.is_completed()) == ("Dry run", True)
    assert "nothing was sent" in state.message
    assert "good.mp4" in state.message
    assert "X @marabakes" in state.message
    assert sandbox.posts == []
    assert sandbox.requests("POST /api/private/post") == 0
    assert "nothing was sent" in artifacts_of(state)["markdown"].data


def test_an_empty_caption_is_warned_of(taisly: TaislyAccount, clip: Clip) -> None:
    """Among the possible problems, before anything is sent."""
    state = _publish(taisly, clip("recommended.mp4"), accounts=["x"], dry_run=True)

    assert "- caption: empty" in artifacts_of(state)["markdown"].data


def test_odd_text_from_outside_leaves_the_report_whole(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """A title in another charset, a reason with lines and marks that turn text around, a caption of many lines."""
    sandbox.fail_next(platform="Facebook", reason="no |\n\n# way\u202e\x1b[0m" + " long" * 100_000)
    caption = "Fresh | bread\n\n# rye\n" + "crumbs " * 200

    state = _publish(taisly, clip("latin-title.mp4"), accounts=["facebook"], caption=caption)

    report = artifacts_of(state)["markdown"].data.splitlines()
    (row,) = [line for line in report if line.startswith("| Facebook")]
    assert state.message.isprintable()
    assert len(state.message) < 500
    assert "no \\| \\# way\\[0m long" in row
    assert any(line.startswith("![preview]") for line in report)
    assert [line for line in report if line.startswith("> ")] == [
        "> Fresh \\| bread",
        "> ",
        "> \\# rye",
        f"> {'crumbs ' * 199}crumbs",
    ]


def test_a_scheduled_post_is_left_to_taisly(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Sent with its time in milliseconds; its run ends at once, and says who reports the outcome and how to cancel."""
    later = datetime.now(UTC) + timedelta(hours=3)

    state = _publish(taisly, clip("small.mp4"), accounts=["x"], scheduled_for=later, watch_minutes=30)

    history_id = sandbox.posts[0]["historyId"]
    assert (state.name, state.is_completed()) == ("Scheduled", True)
    assert state.message == (
        f"Scheduled for {shown(later)} at 1 account. finish-open-posts reports its outcome after that, if its schedule "
        f"is on. To cancel it, run cancel-scheduled-post with the history ID {history_id}."
    )
    assert sandbox.posts[0]["scheduled"] == pytest.approx(later.timestamp() * 1000, abs=1)


def test_the_step_in_which_a_platform_failed_is_red(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """The graph shows where, with the sentence; the run goes on to its report, and its log ends with its sentence."""
    sandbox.fail_next(platform="Instagram", reason="Session expired")

    state = _publish(taisly, clip("small.mp4"), accounts=["x", "Instagram"])

    steps, log = steps_of(state), logs_of(state)
    said = "Failed on Instagram mara.bakes: Session expired."
    assert steps["watch small.mp4"] == ("FAILED", said)
    assert {name.partition(" ")[0]: kind for name, (kind, _) in steps.items()} == {
        "check": "COMPLETED", "send": "COMPLETED", "watch": "FAILED",
    }  # fmt: skip
    assert state.message.startswith(said)
    assert "markdown" in artifacts_of(state)
    assert state.message in log.splitlines()[-1]
    assert "Traceback" not in log


BAD = [
    ({"video": "nope.mp4"}, "no such file"),
    ({"video": "."}, "a folder"),
    ({"video": "clip:empty.mp4"}, "an empty file"),
    ({"video": "clip:list.mp4"}, "not a video file"),
    ({"video": "clip:landscape.mp4"}, "9:16"),
    ({"accounts": ["MySpace"]}, "Connected accounts: TikTok"),
    ({"accounts": ["TikTok"]}, "matches 2 accounts"),
    ({"caption": "x" * 101}, "101 characters"),
    ({"scheduled_for": datetime(2020, 1, 1, tzinfo=UTC)}, "in the past"),
    ({"scheduled_for": datetime(2001, 1, 1)}, "in the past"),  # noqa: DTZ001 - as a form without a zone has it
    ({"preview_second": 60}, "the video ends at"),
    ({"key": "taisly_wrong"}, "Check the API key"),
    ({"key": "taisly_free"}, "FREE"),
    ({"key": "  "}, "API key is empty"),
    ({"url": "http://127.0.0.1:1/api/private"}, "connection refused"),
    ({"url": "http://taisly.example/api"}, "unencrypted"),
    ({"url": "taisly"}, "not a web address"),
]


@pytest.mark.parametrize(("change", "words"), BAD, ids=[str(words) for _, words in BAD])
def test_bad_input_is_one_clear_line_and_sends_nothing(
    taisly: TaislyAccount, sandbox: Any, clip: Clip, change: dict[str, Any], words: str
) -> None:
    """As the run's state; no traceback in its logs; Taisly has no post."""
    video = change.pop("video", "clip:small.mp4") if "video" in change else "clip:small.mp4"
    video = clip(video.removeprefix("clip:")) if video.startswith("clip:") else video
    form = {k: v for k, v in change.items() if k not in ("key", "url", "video")}
    block = TaislyAccount(
        api_key=change.get("key", "taisly_sandbox"), base_url=change.get("url", sandbox.taisly_url), plan="PRO"
    )

    state = _publish(block, video, **({"accounts": ["x"]} | form))

    assert state.is_failed()
    assert words in state.message
    assert "\n" not in state.message
    assert "Traceback" not in logs_of(state)
    assert "NoneType" not in logs_of(state)
    assert sandbox.requests("POST /api/private/post") == 0


def test_a_form_that_is_not_valid_is_told_without_a_traceback(taisly: TaislyAccount, clip: Clip) -> None:
    """In the log of the run's own process too, where Prefect writes one before the flow begins; and without a key."""
    code = (
        "from prefect.flow_engine import run_flow; from prefect.client.orchestration import get_client;"
        "from prefect.logging.loggers import flow_run_logger; from flows.publish import publish_video;"
        "run = get_client(sync_client=True).create_flow_run(publish_video); print(run.id);"
        "post = {'video': 'https://a.example/a.mp4?key=SIGNATURE'};"
        "run_flow(publish_video, run, {'taisly': None, 'post': post}, error_logger=flow_run_logger(run))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 1
    log = done.stdout + done.stderr.partition("Traceback")[0]  # Python itself writes one at the end
    assert "Validation of flow parameters failed with error: ParameterTypeError: Flow run received invalid" in log
    assert "Engine execution exited with unexpected exception" not in done.stdout + done.stderr
    assert "SIGNATURE" not in done.stdout + done.stderr


def test_a_lost_answer_is_found_in_the_history_and_not_sent_again(
    taisly: TaislyAccount, sandbox: Any, clip: Clip
) -> None:
    """The run ends as if nothing had happened, with one post."""
    sandbox.order_fault("drop_after", "POST", "/api/private/post")

    state = _publish(taisly, clip("small.mp4"), accounts=["x"])

    assert (state.is_completed(), state.message) == (True, "Published to 1 of 1 account: X @marabakes.")
    assert sandbox.requests("POST /api/private/post") == 1
    assert "Looking for the post in Taisly's history" in logs_of(state)


def test_a_post_that_cannot_be_settled_is_left_to_its_owner(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Said in plain words; freed by resolve-post; then sent by the same run again, once."""
    sandbox.order_fault("status_before", "POST", "/api/private/post", status=500)
    taisly.unconfirmed_after_minutes = 0
    state = _publish(taisly, clip("small.mp4"), accounts=["x"])
    again = _publish(taisly, clip("small.mp4"), accounts=["x"])
    send_id = re.search(r"with the send ID (\w+)", state.message).group(1)

    freed = resolve_post(ResolveForm(send_id=send_id, answer="not published"), return_state=True)
    last = _publish(taisly, clip("small.mp4"), accounts=["x"])

    assert state.is_failed()
    assert state.message.startswith("Unconfirmed on X @marabakes: Taisly did not confirm the post")
    assert again.is_failed()
    assert "start publish-video with the same parameters" in freed.message
    assert last.is_completed()
    assert len(sandbox.posts) == 1


def test_an_owner_can_say_that_it_is_out(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """With Taisly's id its outcome is looked up; a wrong id is refused with what there is."""
    _publish(taisly, clip("small.mp4"), accounts=["x"], dry_run=True)  # a new ledger reads the history once
    sandbox.order_fault("status_after", "POST", "/api/private/post", status=500)
    sandbox.order_fault("status_before", "GET", "*/history", status=500, times=None)
    lost = _publish(taisly, clip("small.mp4"), accounts=["x"], watch_minutes=0.001)
    assert (lost.name, lost.is_failed()) == ("Still open", False)
    assert re.match(
        r"Taisly has not confirmed the post to X @marabakes; it is looked for in Taisly's history "
        r"until .+, \S+ \(\S+\) \(send ID \w+\)\. finish-open-posts reports the outcome: within 5 minutes if its "
        r"schedule is on, or when you run it\.",
        lost.message,
    )
    dry = _publish(taisly, clip("small.mp4"), accounts=["x"], dry_run=True)
    for run in (lost, dry):
        assert "| X @marabakes | not confirmed yet |" in artifacts_of(run)["markdown"].data
    send_id = re.search(r"send ID (\w+)", lost.message).group(1)
    early = resolve_post(ResolveForm(send_id=send_id, answer="published"), return_state=True)
    assert f"small.mp4 for X @marabakes (send ID {send_id}) is still open: Taisly has not confirmed it" in early.message
    assert early.message.endswith(f" {FINISH_OPEN_POSTS}")
    taisly.unconfirmed_after_minutes = 0
    sandbox.clear_faults()
    sandbox.world.data.posts[0].caption = "changed at Taisly by hand"
    finish_open_posts(taisly, FinishForm(minutes=0.01))
    assert finish_open_posts(taisly, FinishForm(minutes=0.01)).unconfirmed == [send_id]

    wrong = resolve_post(ResolveForm(send_id="nope", answer="published"), return_state=True)
    right = ResolveForm(send_id=send_id, answer="published", history_id=sandbox.posts[0]["historyId"])
    resolve_post(right)
    done = finish_open_posts(taisly, FinishForm(minutes=1))

    assert send_id in wrong.message
    assert [o.state for o in done.ended] == [PostState.SUCCESS]


def test_the_same_run_again_posts_nothing_and_reports(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Copy to new run, retry, a second worker: what was sent is sent. `repeat` sends again on purpose."""
    first = _publish(taisly, clip("small.mp4"), accounts=["x"])
    second = _publish(taisly, clip("small.mp4"), accounts=["x"])
    wider = _publish(taisly, clip("small.mp4"), accounts=["x", "instagram"])
    repeated = _publish(taisly, clip("small.mp4"), accounts=["x"], repeat=1)
    dry = _publish(taisly, clip("small.mp4"), accounts=["x", "youtube"], dry_run=True)

    assert first.message == "Published to 1 of 1 account: X @marabakes."
    assert (
        second.message == "Published to 1 of 1 account: X @marabakes. It had been sent before; nothing was sent again."
    )
    assert wider.is_completed()
    assert repeated.is_completed()
    assert dry.message.startswith("Dry run: nothing was sent. Would send small.mp4 ")
    assert "to YouTube Mara Bakes, now" in dry.message
    assert dry.message.endswith("Skipped, since it was sent there before: X @marabakes.")
    assert [p["platforms"][0][-2:] for p in sandbox.posts] == ["d1", "b1", "d1"]


def test_the_command_can_send_again_on_purpose(taisly: TaislyAccount, sandbox: Any, clip: Clip, server: str) -> None:
    """With --repeat, as the form with its field."""
    taisly.save("repeat", overwrite=True)
    _publish(taisly, clip("small.mp4"), accounts=["x"])
    words = ["publish", str(clip("small.mp4")), "--to", "x", "--block", "repeat", "--repeat", "1"]

    done = subprocess.run(
        [sys.executable, "-m", "deployments", *words], env={**os.environ, "PREFECT_API_URL": f"{server}/api"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "Published to 1 of 1 account" in done.stdout
    assert len(sandbox.posts) == 2


def test_a_refusal_is_shown_and_may_be_tried_again(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Nothing is out after a refusal; when its cause has gone, the same run works."""
    keys, sandbox.world.data.keys = sandbox.world.data.keys, []
    with_memory = open_ledger()
    account = Account(id=ACCOUNTS[4]["id"], platform="X", name="@marabakes")
    key = key_fingerprint("taisly_sandbox", sandbox.taisly_url)
    with_memory.remember_accounts(key, [account])
    with_memory.store_found(key, sandbox.taisly_url, [])

    refused = _publish(taisly, clip("small.mp4"), accounts=["x"])
    sandbox.world.data.keys = keys
    again = _publish(taisly, clip("small.mp4"), accounts=["x"])

    assert refused.is_failed()
    assert steps_of(refused)["send small.mp4 to X @marabakes"][0] == "FAILED"
    assert refused.message.startswith("Refused for X @marabakes: Taisly does not accept the API key")
    assert again.is_completed()


def _execute(run: Any, taisly: TaislyAccount, video: Path, **form: Any) -> Any:
    """As a worker does it."""
    post = PostForm(video=str(video), **({"accounts": ["x"], "watch_minutes": 1} | form))
    return execute(publish_video, run, {"taisly": taisly, "post": post})


def _has_event(resource: str) -> bool:
    """Whether the server has stored an event about a resource: it does so in batches."""
    with get_client(sync_client=True) as client:
        return bool(client.read_events(EventFilter(resource=EventResourceFilter(id=[resource])), limit=1).events)


def _store_heartbeats(times: list[datetime]) -> None:
    """Let other runs have sent heartbeats then, which show that something was there to start runs."""
    for time in times:
        emit_event(
            "prefect.flow-run.heartbeat",
            {"prefect.resource.id": f"prefect.flow-run.{time.timestamp()}"},
            related=[{"prefect.resource.id": "prefect.tag.reelflow", "prefect.resource.role": "tag"}],
            occurred=time,
        )
    EventsWorker.instance().drain()
    until("the heartbeats", lambda: all(_has_event(f"prefect.flow-run.{time.timestamp()}") for time in times))


def test_a_run_that_is_too_late_sends_nothing(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Late is not now: after a weekend of downtime Prefect starts every missed run at once. Such a run is not green."""
    due = datetime.now(UTC) - timedelta(days=3)  # before any heartbeat of the runs of other tests
    _store_heartbeats([due + timedelta(minutes=60)])

    skipped = _execute(scheduled_run(publish_video, due), taisly, clip("small.mp4"))
    patient = _execute(scheduled_run(publish_video, due), taisly, clip("small.mp4"), max_lateness_minutes=4 * 24 * 60)

    assert (skipped.name, skipped.is_failed()) == ("Skipped", True)
    assert skipped.message.startswith(f"Skipped: nothing was sent. This run was due {shown(due)}, and for ")
    assert "for 60 minutes nothing was there to start it; 30 minutes are allowed" in skipped.message
    assert "Traceback" not in logs_of(skipped)
    assert patient.name == "Completed"
    assert len(sandbox.posts) == 1


def test_a_run_that_waited_for_others_is_not_late(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """It waited for a slot, or its worker was busy, which heartbeats show. A machine that was off is no wait."""
    now = datetime.now(UTC)
    off_since = now - timedelta(days=5)  # before any heartbeat of the runs of other tests
    busy, waited = (scheduled_run(publish_video, now - timedelta(minutes=minutes)) for minutes in (6, 2))
    off = scheduled_run(publish_video, off_since)
    _store_heartbeats([now - timedelta(minutes=minutes) for minutes in (6.5, 5, 3.5, 2, 0.5)])
    _store_heartbeats([off_since + timedelta(minutes=minutes) for minutes in (0.5, 9.5)])  # nothing for 9 minutes
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(waited.id, Scheduled(name="AwaitingConcurrencySlot"), force=True)
    allowed = datetime.now(UTC) - waited.expected_start_time + timedelta(seconds=1)
    until("the time at which it would be late", lambda: datetime.now(UTC) - waited.expected_start_time > allowed)

    past_runs = _execute(busy, taisly, clip("small.mp4"), accounts=["instagram"], max_lateness_minutes=2)
    after_a_gap = _execute(off, taisly, clip("small.mp4"), max_lateness_minutes=5)
    past_slot = _execute(waited, taisly, clip("small.mp4"), max_lateness_minutes=allowed.total_seconds() / 60)

    assert (past_runs.name, after_a_gap.name, past_slot.name) == ("Completed", "Skipped", "Completed")
    assert "for 9 minutes nothing was there" in after_a_gap.message


def test_a_run_that_a_person_has_just_submitted_is_never_late(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """However long it waited until a worker took it up. One for which they chose a time is."""

    def submit(due: datetime) -> Any:
        with get_client(sync_client=True) as client:
            return client.create_flow_run(publish_video, state=Scheduled(scheduled_time=due))

    now = _execute(submit(datetime.now(UTC) - timedelta(hours=1)), taisly, clip("small.mp4"), max_lateness_minutes=0)

    assert now.name == "Completed"


def test_a_scheduled_post_can_be_cancelled(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Dry run first; then it is gone at Taisly, on record as cancelled, and may be sent again."""
    later = datetime.now(UTC) + timedelta(hours=3)
    form = {"accounts": ["x"], "scheduled_for": later, "watch_minutes": 0, "caption": "Fresh bread"}
    sent = _publish(taisly, clip("small.mp4"), **form)
    history_id = sandbox.posts[0]["historyId"]
    waits = finish_open_posts(taisly, FinishForm(minutes=0.01), return_state=True)

    dry = cancel_scheduled_post(taisly, CancelPostForm(history_id=history_id, dry_run=True), return_state=True)
    assert len(sandbox.posts) == 1
    done = cancel_scheduled_post(taisly, CancelPostForm(history_id=history_id), return_state=True)
    twice = cancel_scheduled_post(taisly, CancelPostForm(history_id=history_id), return_state=True)

    dry_twice = cancel_scheduled_post(taisly, CancelPostForm(history_id=history_id, dry_run=True), return_state=True)

    with get_client(sync_client=True) as client:
        run = client.read_flow_run(dry.state_details.flow_run_id)
    when = f"scheduled for {shown(later)}"
    assert f"Taisly accepted the post, {when} (history ID {history_id})." in logs_of(sent)
    assert waits.message == "0 new outcomes, 0 still open, 1 scheduled."
    assert f"small.mp4 for X @marabakes, with the caption 'Fresh bread', {when}." in dry.message
    assert run.name == f"dry run: cancel {history_id}"
    assert done.is_completed()
    assert sandbox.posts == []
    assert twice.is_failed()
    assert twice.message == dry_twice.message
    assert twice.message == "small.mp4 cannot be cancelled: it is already cancelled for X @marabakes."
    assert _publish(taisly, clip("small.mp4"), **form).is_completed()
    assert len(sandbox.posts) == 1


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_post_that_reelflow_did_not_send_is_not_cancelled(taisly: TaislyAccount, sandbox: Any, dry_run: bool) -> None:
    """The dry run and the real one check the same; Taisly would delete whatever it is given."""
    later = round((datetime.now(UTC) + timedelta(hours=3)).timestamp() * 1000)
    by_hand = sandbox.world.add_post(sha256="s", file="f", caption="", preview=0, accounts=[], scheduled=later)
    form = CancelPostForm(history_id=f" {by_hand.id} ", dry_run=dry_run)

    state = cancel_scheduled_post(taisly, form, return_state=True)

    assert state.is_failed()
    assert "No post that reelflow sent with this Taisly account has the ID" in str(state.message)
    assert len(sandbox.posts) == 1


def test_trouble_after_the_send_does_not_make_it_look_failed(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """The history cannot be read at all: the post is open, not failed; the finisher ends it later."""
    _publish(taisly, clip("small.mp4"), accounts=["x"], dry_run=True)  # a new ledger reads the history once
    sandbox.order_fault("status_before", "GET", "*/history", status=503, times=None)

    state = _publish(taisly, clip("small.mp4"), accounts=["x"], watch_minutes=0.01)
    sandbox.clear_faults()
    done = finish_open_posts(taisly, FinishForm(minutes=1), return_state=True)

    assert (state.name, state.message) == ("Still open", f"No outcome yet from X @marabakes. {FINISH_OPEN_POSTS}")
    assert done.message == "1 new outcome (1 published), 0 still open."


def test_finishing_says_what_became_of_the_posts(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """How many of what, and of each that failed the file, the account and the reason."""
    _publish(taisly, clip("small.mp4"), accounts=["x"], dry_run=True)  # a new ledger reads the history once
    sandbox.fail_next(platform="X", reason="Duplicate content.")
    sandbox.order_fault("status_before", "GET", "*/history", status=503, times=None)

    _publish(taisly, clip("small.mp4"), accounts=["x", "instagram"], watch_minutes=0.01)
    sandbox.clear_faults()
    done = finish_open_posts(taisly, FinishForm(minutes=1), return_state=True)

    assert done.message == (
        "2 new outcomes (1 failed, 1 published), 0 still open. Failed: small.mp4 on X @marabakes (Duplicate content)."
    )


def test_the_key_appears_nowhere_in_a_run(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Not in parameters, logs, artifacts or the state."""
    state = _publish(taisly, clip("small.mp4"), accounts=["x"])
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)

    everything = logs_of(state) + run.model_dump_json() + "".join(str(a.data) for a in artifacts_of(state).values())

    assert "taisly_sandbox" not in everything


def test_posts_of_every_saved_account_are_finished(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """A run names its account, and leaves the outcome to finish-open-posts, whose deployment names none."""
    sent = _publish(taisly, clip("small.mp4"), accounts=["x"], watch_minutes=0)
    taisly.save("client-b", overwrite=True)
    try:
        finish_open_posts(finish=FinishForm(minutes=0.2), return_state=True)
    finally:
        TaislyAccount.delete("client-b")

    assert sent.name == "Still open"
    ((_, (outcome,)),) = open_ledger().recent_sends(0)
    assert (outcome.account.label, outcome.state) == ("X @marabakes", PostState.SUCCESS)


def test_a_video_that_does_not_fit_is_made_right_and_published(
    taisly: TaislyAccount, sandbox: Any, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a step of its own; the report shows it before and after, as a dry run does. Another fit is no other post."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    video = clip("turned-away.mp4")

    refused = _publish(taisly, video, accounts=["x"])
    dry = _publish(taisly, video, accounts=["x"], fit="pad", dry_run=True)
    state = _publish(taisly, video, accounts=["x"], fit="pad")
    again = _publish(taisly, video, accounts=["x"], fit="crop")
    dry_again = _publish(taisly, video, accounts=["x"], fit="crop", dry_run=True)

    assert refused.is_failed()
    assert "aspect" in refused.message
    assert "turned-away.mp4 (fitted: 960x1706" in dry.message
    for each in (dry, state):
        assert "black bars added around the picture" in artifacts_of(each)["markdown"].data
    assert "fit turned-away.mp4" in steps_of(state)
    assert state.message == "Published to 1 of 1 account: X @marabakes."
    (post,) = sandbox.posts
    assert post["sha256"] != state.result().request.video.sha256
    assert "It had been sent before" in again.message
    assert "sent there before: X @marabakes" in dry_again.message
    for each in (again, dry_again):  # nothing of a fit that is not out
        assert "fit turned-away.mp4" not in steps_of(each)
        told = artifacts_of(each)["markdown"].data
        assert not [words for words in ("Fitted", "data:image", "cropped", "enlarged") if words in told]


def test_a_video_that_no_fit_mends_fails_with_one_sentence(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """And nothing is sent."""
    for name, words in [("sound.mp4", "no moving picture"), ("three-hours.mp4", "at most 90 s can be published")]:
        state = _publish(taisly, clip(name), accounts=["x"], fit="pad")

        assert state.is_failed()
        assert words in state.message
    assert sandbox.posts == []
