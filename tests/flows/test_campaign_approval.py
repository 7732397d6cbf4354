"""A campaign that a person approves: it suspends, is resumed with an answer, and sends what was approved."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.exceptions import Pause
from prefect.states import AwaitingRetry, Cancelled, Crashed, Failed
from support.scheduled import execute, scheduled_run
from support.seen import logs_of

from blocks import PostingSlots, TaislyAccount
from flows.campaign import publish_campaign
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.report import CampaignReport
from reelflow.errors import CampaignFailed
from reelflow.ledger import Ledger
from reelflow.records.alarms import Alarm
from reelflow.records.campaigns import SlotRequest
from reelflow.sandbox.catalog import ACCOUNTS
from tasks.ledger import open_ledger
from tasks.upkeep.questions import waiting_questions

pytestmark = pytest.mark.usefixtures("server")
INSTAGRAM = next(account["id"] for account in ACCOUNTS if account["platform"] == "Instagram")


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


@pytest.fixture
def slots() -> PostingSlots:
    return PostingSlots(slots=["all: daily 9:00, 12:00, 18:00"], time_zone="Europe/Berlin")


class Run:
    """One run of a campaign over a folder, executed as a worker does it, each time from its top."""

    def __init__(self, folder: Path, taisly: TaislyAccount, slots: PostingSlots) -> None:
        self.form = CampaignForm(plan=str(folder), accounts=["Instagram"], approval=True, watch_minutes=0)
        self.parameters = {"taisly": taisly, "campaign": self.form, "slots": slots}
        self.run = scheduled_run(publish_campaign, datetime.now(UTC) - timedelta(minutes=1))

    def execute(self) -> Any:
        try:
            return execute(publish_campaign, self.run, self.parameters)
        except Pause:
            return self.state

    def answer(self, **values: Any) -> Any:
        """Resume the run with an answer, and execute it again."""
        with get_client(sync_client=True) as client:
            client.resume_flow_run(self.run.id, run_input={"decision": "approve"} | values)
        return self.execute()

    def retry(self, *, forced: bool = False) -> Any:
        """Start the run again that has ended, as Retry in the UI does: the newer UI forces it."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(self.run.id, AwaitingRetry(), force=forced)
        return self.execute()

    @property
    def state(self) -> Any:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(self.run.id).state

    @property
    def question(self) -> str:
        """What the UI shows above the answer."""
        key = self.state.state_details.run_input_keyset["description"]
        with get_client(sync_client=True) as client:
            return str(json.loads(client.read_flow_run_input(self.run.id, key)))


@pytest.fixture
def week(tmp_path: Path, videos: Callable[[int], Path]) -> Path:
    folder = tmp_path / "week-48"
    folder.mkdir()
    for number, name in enumerate(("bread", "cake", "tart"), 1):
        shutil.copy(videos(number), folder / f"{name}.mp4")
        (folder / f"{name}.txt").write_text(f"Fresh {name}", "utf-8")
    return folder


def _videos(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.mp4")}


def _outcomes(state: Any) -> list[tuple[int, str]]:
    result = state.result(raise_on_failure=False)
    report = result.report if isinstance(result, CampaignFailed) else result
    assert isinstance(report, CampaignReport)
    return [(line.number, line.outcome) for line in report.lines]


def test_nothing_is_sent_until_a_person_has_approved_it(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any
) -> None:
    """The run waits, with every post, its picture and its reserved time; what is dropped loses its slot."""
    run = Run(week, taisly, slots)

    waiting = run.execute()
    sent, question = len(sandbox.posts), run.question
    done = run.answer(drop_rows="2", captions=[{"row": 3, "caption": "A tart"}])

    assert (waiting.name, sent, done.name) == ("Suspended", 0, "Scheduled")
    assert len(re.findall(r"data:image/jpeg;base64", question)) == 3
    assert all(f"Fresh {name}" in question for name in ("bread", "cake", "tart"))
    assert _outcomes(done) == [(1, "scheduled"), (2, "skipped"), (3, "scheduled")]
    assert sorted(post["caption"] for post in sandbox.posts) == ["A tart", "Fresh bread"]
    ledger = open_ledger()
    kept = ledger.reservations(taisly.service, {post["sha256"] for post in sandbox.posts})
    assert sorted(k.at * 1000 for k in kept) == sorted(post["scheduled"] for post in sandbox.posts)
    taken = ledger.taken_moments(taisly.service, {INSTAGRAM}, {})
    assert len(taken[INSTAGRAM]) == 2


def test_an_answer_that_cannot_be_used_is_asked_for_again(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any
) -> None:
    """With the reason above the question; then the right one counts. Executing it again asks nothing any more."""
    run = Run(week, taisly, slots)
    run.execute()

    again = run.answer(drop_rows="9")
    question, sent = run.question, len(sandbox.posts)
    done = run.answer()
    once_more = run.execute()

    assert (again.name, sent, done.name, once_more.name) == ("Suspended", 0, "Scheduled", "Scheduled")
    assert "Row 9 is not one of the rows to approve" in question
    assert len(sandbox.posts) == 3


def test_a_post_that_was_changed_meanwhile_is_asked_about_again(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any
) -> None:
    """The answer counts for what was shown, and for nothing else; a new video is asked about, too."""
    run = Run(week, taisly, slots)
    run.execute()
    (week / "cake.txt").write_text("Another text", "utf-8")

    again = run.answer()
    question, sent = run.question, len(sandbox.posts)
    done = run.answer()

    assert (again.name, sent) == ("Suspended", 0)
    assert "Another text" in question
    assert "Fresh bread" not in question
    assert sorted(post["caption"] for post in sandbox.posts) == ["Another text", "Fresh bread", "Fresh tart"]
    assert done.name == "Scheduled"


def test_an_answer_means_the_rows_that_were_shown(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any, videos: Callable[[int], Path]
) -> None:
    """A file that is put before them meanwhile is asked about, and changes nothing about what was dropped."""
    run = Run(week, taisly, slots)
    run.execute()
    shutil.copy(videos(4), week / "apple.mp4")

    again = run.answer(drop_rows="2", captions=[{"row": 3, "caption": "A tart"}])
    question = run.question
    run.answer(decision="reject")

    assert again.name == "Suspended"
    assert "The plan has changed since you were asked." in question
    assert "apple.mp4" in question
    assert sorted(post["caption"] for post in sandbox.posts) == ["A tart", "Fresh bread"]


def test_a_time_that_was_set_meanwhile_is_asked_about_again(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any
) -> None:
    """What was approved for a slot is not published at once since the plan says so now."""
    plan = week / "plan.csv"
    plan.write_text("video,caption,when\nbread.mp4,Fresh bread,\n", "utf-8")
    run = Run(plan, taisly, slots)
    run.execute()
    plan.write_text("video,caption,when\nbread.mp4,Fresh bread,now\n", "utf-8")

    again = run.answer()

    assert (again.name, len(sandbox.posts)) == ("Suspended", 0)
    assert "| now" in run.question


def test_a_time_that_passes_while_the_run_waits_stops_only_its_own_row(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any
) -> None:
    """The approval of the others counts."""
    plan, now = week / "plan.csv", datetime.now(UTC)
    rows = "video,caption,when\nbread.mp4,Fresh bread,{}\ncake.mp4,Fresh cake,{}\n"
    plan.write_text(rows.format(now + timedelta(hours=1), now + timedelta(hours=8)), "utf-8")
    run = Run(plan, taisly, slots)
    run.execute()
    plan.write_text(rows.format(now - timedelta(minutes=1), now + timedelta(hours=8)), "utf-8")

    done = run.answer()

    assert (done.name, _outcomes(done)) == ("Partly failed", [(1, "not sent"), (2, "scheduled")])
    assert [post["caption"] for post in sandbox.posts] == ["Fresh cake"]


def test_a_slot_that_is_lost_before_the_answer_is_not_replaced_in_silence(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any
) -> None:
    """The row is not sent at a time that nobody approved; the others are."""
    run = Run(week, taisly, slots)
    run.execute()
    ledger = open_ledger()
    (lost, *_) = sorted(ledger.reservations(taisly.service, _videos(week)), key=lambda kept: kept.at)
    ledger.release_slots(taisly.service, [lost])
    taken = SlotRequest("", "0" * 64, "", {INSTAGRAM: "other"}, (lost.account,))
    ledger.reserve(taisly.service, [taken], lambda *_: lost.at, earliest=0.0)

    done = run.answer()

    assert (done.name, len(sandbox.posts)) == ("Partly failed", 2)
    assert sorted(outcome for _, outcome in _outcomes(done)) == ["not sent", "scheduled", "scheduled"]
    assert lost.at * 1000 not in [post["scheduled"] for post in sandbox.posts]


def test_what_nobody_can_answer_any_more_waits_for_nobody(
    week: Path, taisly: TaislyAccount, slots: PostingSlots
) -> None:
    """A suspended run that ends does so in silence. Its slots are free again, and running out of time is an alarm."""
    ledger, waiting, timed_out, deleted = open_ledger(), *(Run(week, taisly, slots) for _ in range(3))
    for run in (deleted, timed_out, waiting):
        run.execute()
    before = len(waiting_questions(ledger))
    with get_client(sync_client=True) as client:
        state = Failed(message="The flow was paused and never resumed.")
        client.set_flow_run_state(timed_out.run.id, state, force=True)
        client.delete_flow_run(deleted.run.id)

    left = waiting_questions(ledger)
    taken = len(ledger.reservations(taisly.service, _videos(week)))
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(waiting.run.id, Cancelled(), force=True)

    assert (before, [question.flow_run for question in left], taken) == (3, [str(waiting.run.id)], 3)
    assert waiting_questions(ledger) == []
    assert ledger.reservations(taisly.service, _videos(week)) == []
    assert ["Nobody approved its posts in time" in alarm.reason for alarm in _unanswered(ledger, timed_out)] == [True]


class DiesBeforeClosing(Ledger):
    """A ledger whose process dies before it closes the questions of a run."""

    def abandon_questions(self, flow_run: str, *, before: float) -> None:
        raise KeyboardInterrupt


def test_that_nobody_answered_is_told_even_if_the_process_dies(
    week: Path, taisly: TaislyAccount, slots: PostingSlots
) -> None:
    """The question is still there at the next look, and the alarm is told once."""
    ledger, run = open_ledger(), Run(week, taisly, slots)
    run.execute()
    with get_client(sync_client=True) as client:
        state = Failed(message="The flow was paused and never resumed.")
        client.set_flow_run_state(run.run.id, state, force=True)

    with pytest.raises(KeyboardInterrupt):
        waiting_questions(DiesBeforeClosing(ledger.full_url))
    then = _unanswered(ledger, run)
    left = waiting_questions(ledger)

    assert (len(then), left, _unanswered(ledger, run)) == (1, [], then)


def _unanswered(ledger: Ledger, run: Run) -> list[Alarm]:
    return [alarm for alarm in ledger.alarms_of_runs([str(run.run.id)]) if alarm.state == "FAILED"]


@pytest.mark.parametrize(("ending", "forced"), [(Cancelled, False), (Crashed, True)], ids=["cancelled", "crashed"])
def test_a_run_that_ended_with_an_open_question_asks_again(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any, ending: Any, forced: bool
) -> None:
    """Retry works, and the question that is asked then is the one that counts."""
    run = Run(week, taisly, slots)
    run.execute()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.run.id, ending(), force=True)

    again = run.retry(forced=forced)
    done = run.answer(drop_rows="1")
    once_more = run.execute()

    assert (again.name, done.name, once_more.name) == ("Suspended", "Scheduled", "Scheduled")
    assert "cannot be used" not in logs_of(once_more)
    assert sorted(post["caption"] for post in sandbox.posts) == ["Fresh cake", "Fresh tart"]


def test_an_answer_outlives_the_process_that_should_have_used_it(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any
) -> None:
    """The run was resumed, and died while it read its videos again: Retry goes on with the answer."""
    run = Run(week, taisly, slots)
    run.execute()
    with get_client(sync_client=True) as client:
        client.resume_flow_run(run.run.id, run_input={"decision": "approve", "drop_rows": "1"})
        client.set_flow_run_state(run.run.id, Crashed(), force=True)

    done = run.retry()

    assert done.name == "Scheduled"
    assert sorted(post["caption"] for post in sandbox.posts) == ["Fresh cake", "Fresh tart"]


def test_reject_sends_nothing_and_frees_the_slots(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any
) -> None:
    """The rows are named as dropped; another campaign may have the slots."""
    run = Run(week, taisly, slots)
    run.execute()
    asked = open_ledger().open_questions()

    done = run.answer(decision="reject")

    assert ([q.posts for q in asked], open_ledger().open_questions()) == ([3], [])
    assert (done.name, _outcomes(done)) == ("Completed", [(n, "skipped") for n in (1, 2, 3)])
    assert sandbox.requests("POST /api/private/post") == 0
    assert open_ledger().taken_moments(taisly.service, {INSTAGRAM}, {})[INSTAGRAM] == []


def test_a_run_that_nobody_could_resume_does_not_wait(
    week: Path, taisly: TaislyAccount, slots: PostingSlots, sandbox: Any
) -> None:
    """Without a deployment there is no Resume: it says so, and sends nothing."""
    form = CampaignForm(plan=str(week), accounts=["Instagram"], approval=True)

    state = publish_campaign(taisly, form, slots, return_state=True)

    assert state.is_failed()
    assert "nobody could approve" in str(state.message)
    ledger = open_ledger()
    assert (ledger.asking_runs(), ledger.reservations(taisly.service, _videos(week))) == ([], [])
    assert sandbox.requests("POST /api/private/post") == 0


def test_the_question_is_an_alarm_and_an_artifact_of_the_run(
    week: Path, taisly: TaislyAccount, slots: PostingSlots
) -> None:
    """People are told that something waits for them, and see it in the run."""
    run = Run(week, taisly, slots)

    run.execute()

    found = [alarm for alarm in open_ledger().alarms_of_runs([str(run.run.id)]) if alarm.state == "WAITING"]
    assert len(found) == 1
    assert "3 rows to approve" in found[0].reason
    by_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.run.id]))
    with get_client(sync_client=True) as client:
        (shown,) = [a for a in client.read_artifacts(artifact_filter=by_run) if a.type == "markdown"]
    assert "Fresh bread" in str(shown.data)
