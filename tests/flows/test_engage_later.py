"""The phones' part of a post that is out only after its run has ended, against the sandbox."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelled, Crashed, State
from support.engaging import (
    PHONES,
    SERIALS,
    Clip,
    deployed,
    engage_form,
    on_record,
    outcome_of,
    publish_and_leave,
    runs_of,
)
from support.scheduled import execute
from support.waiting import until

from blocks import TaislyAccount, TikMatrixHost
from flows.cancel_post import cancel_scheduled_post
from flows.engage import publish_and_engage
from flows.engage_later import engage_when_published
from flows.finish import finish_open_posts
from reelflow.heartbeat import heartbeat
from reelflow.phones.creating import create_tasks
from reelflow.phones.due_parts import due_parts
from reelflow.phones.form import EngageLaterForm
from reelflow.phones.limits import make_plan
from reelflow.phones.requests import make_request
from reelflow.posts.form import CancelPostForm, FinishForm, PostForm
from reelflow.records.engagements import EngagementState
from reelflow.records.post_states import PostState
from tasks.ledger import open_ledger
from tasks.phones.cancel import cancel_engagement
from tasks.phones.engagements import form_of
from tasks.phones.start import DEPLOYMENT
from tasks.phones.wording import LATER, NO_PC
from tasks.upkeep.health import check_ledger

pytestmark = pytest.mark.usefixtures("server")
LEASE = "1"


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELFLOW_LEASE_SECONDS", LEASE)


@pytest.fixture
def taisly(sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


@pytest.fixture
def host(sandbox: Any) -> TikMatrixHost:
    """Saved, since a later run has to find it."""
    block = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=PHONES, poll_seconds=0.01, auto_retry=False)
    block.save("engaging", overwrite=True)
    return TikMatrixHost.load("engaging")


@pytest.fixture
def deployment() -> Iterator[Any]:
    with deployed("engage-when-published", DEPLOYMENT) as made:
        yield made


def _publish(taisly: TaislyAccount, host: TikMatrixHost | None, clip: Clip, *, ahead: float = 0,
             post: dict[str, Any] | None = None, **form: Any) -> Any:  # fmt: skip
    """Publish and engage now, or so many seconds ahead."""
    at = datetime.now(UTC) + timedelta(seconds=ahead) if ahead else None
    values = {"accounts": ["TikTok @mara.bakes", "Instagram"], "watch_minutes": 0, "scheduled_for": at, **(post or {})}
    return publish_and_engage(
        taisly, PostForm(video=str(clip("small.mp4")), **values), engage_form(**form), host, return_state=True
    )


def _finish(taisly: TaislyAccount) -> str:
    return str(finish_open_posts(taisly, FinishForm(minutes=0.2), return_state=True).message)


def _execute(run: Any) -> Any:
    """As a worker does it."""
    return execute(engage_when_published, run, run.parameters)


def _scripts(sandbox: Any) -> list[str]:
    return sorted(task["script_name"] for task in sandbox.phone_tasks)


def test_a_scheduled_post_is_warmed_up_for_and_commented_on_once_it_is_out(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip, deployment: Any
) -> None:
    """The run that schedules it ends at once; the outcome starts another one, and that once."""
    state = _publish(taisly, host, clip, ahead=15, warm_up_seconds=60)
    before = (_scripts(sandbox), check_ledger(open_ledger()))
    until("the time of the post", lambda: time.time() > on_record().due)
    found = _finish(taisly)
    again = _finish(taisly)
    (run,) = runs_of(deployment)

    done = _execute(run)
    (named,) = runs_of(deployment)

    assert state.name == "Scheduled"
    assert state.message.endswith(f"{LATER} Its engagement ID is {on_record().id}.")
    assert before[0] == []
    assert "1 post waiting for the phones' part: small.mp4)" in before[1].found
    assert not before[1].is_warning
    assert "The phones' part of small.mp4 starts in engage-when-published." in found
    assert "The phones' part of small.mp4 waits for its turn in engage-when-published." in again
    assert "starts" not in again
    assert (run.name, named.name) == ("phones for small.mp4", "phones for small.mp4")
    assert done.is_completed(), done.message
    assert done.message == "2 of 2 warm-ups completed. 2 of 2 comments completed."
    assert _scripts(sandbox) == ["account_warmup"] * 2 + ["comment"] * 2
    (post,) = sandbox.posts
    url = next(r["url"] for r in post["result"] if r["platform"] == "TikTok")
    comments = [task["script_args"] for task in sandbox.phone_tasks if task["script_name"] == "comment"]
    assert [args["target_post_url"] for args in comments] == [url] * 2
    assert "part" not in _finish(taisly)
    assert len(runs_of(deployment)) == 1


def test_starting_the_same_again_comments_once(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip
) -> None:
    """No second warm-up either, which no platform would refuse."""
    first = _publish(taisly, host, clip, warm_up_seconds=60)
    second = _publish(taisly, host, clip, warm_up_seconds=60)

    assert first.message.endswith("2 of 2 warm-ups completed. 2 of 2 comments completed.")
    assert second.message.endswith("The phones did their part for this post before; nothing was requested again.")
    assert _scripts(sandbox) == ["account_warmup"] * 2 + ["comment"] * 2


def test_a_run_that_was_killed_is_started_again_and_repeats_nothing(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip, deployment: Any
) -> None:
    """Its warm-ups are on record under the engagement: the next run watches them, and then comments."""
    ledger, engagement = open_ledger(), publish_and_leave(taisly, clip, warm_up_seconds=60)
    ledger.claim_engagement(engagement.id, "killed", "the run that was killed")
    outcomes = [outcome for outcome, _ in ledger.engagement_outcomes(engagement)]
    warm_up = due_parts(form_of(engagement), outcomes).parts[0].form
    _create_and_die(host, warm_up, engagement.id)
    with heartbeat(lambda: ledger.renew_engagement(engagement.id, "killed"), 0.1):
        at_work = _finish(taisly)
    until("the end of its lease", lambda: not on_record().is_held(ledger.now()))

    found = _finish(taisly)
    *_, run = runs_of(deployment)
    done = _execute(run)

    assert "part" not in at_work
    assert "starts in engage-when-published" in found
    assert done.is_completed(), done.message
    assert _scripts(sandbox) == ["account_warmup"] * 2 + ["comment"] * 2
    assert on_record().state is EngagementState.DONE


def _create_and_die(host: TikMatrixHost, form: Any, engagement: str) -> None:
    """Create the tasks of a part, and hold them no longer, as a process does that is killed."""
    ledger, now = open_ledger(), datetime.now(UTC)
    request = make_request(form, host.guardrails)
    plan = ledger.plan_tasks(
        request, lambda history: make_plan(request, host.guardrails, history, now), since=0.0, host=host.key,
        owner="killed", flow_run="the run that was killed", engagement=engagement,
    )  # fmt: skip
    with host.get_client() as client:
        create_tasks(client, ledger, ledger.task_requests(ids=plan.request_ids), owner="killed")


def test_a_post_that_is_cancelled_takes_its_comments_along(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip, deployment: Any
) -> None:
    _publish(taisly, host, clip, ahead=3600)
    (post,) = sandbox.posts

    cancel_scheduled_post(taisly, CancelPostForm(history_id=post["historyId"]))

    found = on_record()
    assert (found.state, found.reason) == (EngagementState.CANCELLED, "the post was cancelled")
    assert "part" not in _finish(taisly)
    assert runs_of(deployment) == []


@pytest.mark.parametrize(
    ("message", "state"),
    [
        (None, EngagementState.CANCELLED),
        ("Runner is shutting down.", EngagementState.WAITING),
        ("Deployment concurrency slot lost during provisioning - no slots available", EngagementState.WAITING),
    ],
)
def test_a_run_that_is_cancelled_takes_its_comments_along(
    taisly: TaislyAccount, host: TikMatrixHost, clip: Clip, message: str | None, state: EngagementState
) -> None:
    """Not where nobody cancelled it: the program that executed it was told to end."""
    done = _publish(taisly, host, clip, ahead=3600)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(done.state_details.flow_run_id)

    cancel_engagement(publish_and_engage, run, done.model_copy(update={"message": message}))

    assert on_record().state is state


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # it outlives the hook
@pytest.mark.parametrize(
    ("message", "words"),
    [("by hand", "The phones do nothing more for it."), ("Runner is shutting down.", f"{LATER} Its engagement ID is ")],
)
def test_a_cancelled_run_whose_post_stays_says_what_becomes_of_its_comments(
    taisly: TaislyAccount, host: TikMatrixHost, clip: Clip, server: str, monkeypatch: pytest.MonkeyPatch,
    message: str, words: str,
) -> None:  # fmt: skip
    """In the message of its state, after what becomes of the post."""
    done = _publish(taisly, host, clip, ahead=3600, post={"cancel_post_with_run": False})
    monkeypatch.setenv("PREFECT_API_URL", f"{server}/api")  # of the process that sets the message
    cancelled = Cancelled(message=message)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(done.state_details.flow_run_id, cancelled, force=True)
        run = client.read_flow_run(done.state_details.flow_run_id)

        for hook in publish_and_engage.on_cancellation_hooks:
            hook(publish_and_engage, run, cancelled)

        until("its message", lambda: words in client.read_flow_run(run.id).state.message)
        told = client.read_flow_run(run.id).state.message
    assert "The post stays scheduled for " in told


def test_nothing_is_started_for_a_post_that_failed(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip, deployment: Any
) -> None:
    """It is said once, by whoever learns it; the post has its own alarm."""
    sandbox.fail_next(platform="TikTok", reason="video removed")
    sandbox.fail_next(platform="Instagram", reason="video removed")
    publish_and_leave(taisly, clip)

    found = _finish(taisly)

    assert "The phones do nothing more for small.mp4 (the post was not published)." in found
    assert on_record().state is EngagementState.SKIPPED
    assert (runs_of(deployment), sandbox.phone_tasks) == ([], [])


def test_without_the_deployment_it_is_said_and_waits(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip
) -> None:
    """One alarm, however often it is found; once the deployment is there, it goes on."""
    publish_and_leave(taisly, clip)

    messages = [_finish(taisly), _finish(taisly)]

    assert all("no deployment engage-when-published. Run `reelflow setup`." in message for message in messages)
    assert on_record().state is EngagementState.WAITING
    assert sandbox.phone_tasks == []


@pytest.mark.parametrize("end", [Crashed(), Cancelled(message="Runner is shutting down.")], ids=["crash", "shutdown"])
def test_a_run_that_ended_before_it_began_is_replaced_and_one_that_a_person_cancelled_is_not(
    taisly: TaislyAccount, host: TikMatrixHost, clip: Clip, deployment: Any, end: State[Any]
) -> None:
    """Prefect cancels a run, too, if the program that was to execute it is told to end: nobody asked for that."""
    publish_and_leave(taisly, clip)
    _finish(taisly)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(runs_of(deployment)[0].id, end, force=True)
    found, again = _finish(taisly), _finish(taisly)
    runs = runs_of(deployment)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(runs[-1].id, Cancelled(), force=True)

    _finish(taisly)

    assert "1 post waiting for the phones' part: small.mp4." in found
    assert "starts in engage-when-published" in again
    assert len(runs) == 2
    assert on_record().state is EngagementState.CANCELLED


def test_without_a_pc_it_fails_with_an_alarm_and_no_other_phones_act(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip, deployment: Any
) -> None:
    """The run that asked had a block that is not saved: which phones were meant is not known."""
    engagement = publish_and_leave(taisly, clip, host="")

    shown = engage_when_published(EngageLaterForm(engagement_id=engagement.id, dry_run=True), host, return_state=True)
    found = _finish(taisly)

    assert shown.is_failed()
    assert f"The phones do nothing more for small.mp4 ({NO_PC.rstrip('.')})." in found
    assert on_record().state is EngagementState.FAILED
    (alarm,) = [a for a in open_ledger().alarms_of_runs([engagement.flow_run or ""]) if a.kind == "engagement"]
    assert (alarm.state, alarm.ref) == ("FAILED", engagement.id)
    assert (runs_of(deployment), sandbox.phone_tasks) == ([], [])


def test_a_platform_without_an_outcome_is_commented_on_later(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip, deployment: Any
) -> None:
    """TikTok is out and is commented on at once; Instagram follows in a run of its own."""
    ledger = open_ledger()
    engagement = publish_and_leave(taisly, clip, comment_on=["TikTok", "Instagram"], devices=[SERIALS[1]])
    _finish(taisly)
    instagram = next(o.account.id for o, _ in ledger.engagement_outcomes(engagement) if o.account.platform != "TikTok")
    with outcome_of(instagram, PostState.ACCEPTED):
        (run,) = runs_of(deployment)
        first = _execute(run)
    waiting = on_record()
    _finish(taisly)
    *_, run = runs_of(deployment)

    second = _execute(run)

    assert (first.name, waiting.state) == ("Waiting", EngagementState.WAITING)
    assert f"On Instagram the post has no outcome yet. {LATER}" in first.message
    assert second.message == "1 of 1 comment completed."
    targets = [task["script_args"]["target_post_url"] for task in sandbox.phone_tasks]
    assert ["tiktok.com" in url for url in targets] == [True, False]


def test_a_block_that_is_not_saved_cannot_wait(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Said before anything is sent."""
    unsaved = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=PHONES)

    state = _publish(taisly, unsaved, clip, ahead=3600)

    assert state.is_failed()
    assert "in a later run, which needs a saved block TikMatrix Host. Save it" in state.message
    assert sandbox.posts == []


def test_a_later_run_can_be_previewed_and_needs_its_own_blocks(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip
) -> None:
    form = EngageLaterForm(engagement_id=publish_and_leave(taisly, clip).id, dry_run=True)

    shown = engage_when_published(form, host, return_state=True)
    without = engage_when_published(form, return_state=True)
    unknown = engage_when_published(EngageLaterForm(engagement_id="nope"), host, return_state=True)
    with get_client(sync_client=True) as client:
        names = [client.read_flow_run(s.state_details.flow_run_id).name for s in (shown, unknown)]

    assert (shown.name, shown.message) == ("Dry run", "Dry run: nothing was sent. Would send 2 comments.")
    assert "needs the block TikMatrix Host 'engaging'" in without.message
    assert "There is no phones' part with the ID 'nope'." in unknown.message
    assert names == ["dry run: phones for small.mp4", "phones for a published post"]
    assert sandbox.phone_tasks == []


def test_a_failed_part_is_tried_again_on_its_own(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip
) -> None:
    """The warm-up that failed runs again, nothing else, and never a second comment."""
    engagement = publish_and_leave(taisly, clip, warm_up_seconds=60, max_lateness_hours=0.1)
    sandbox.fail_next(serial=SERIALS[1], reason="app not logged in")
    form = EngageLaterForm(engagement_id=engagement.id)
    failed = engage_when_published(form, host, return_state=True)
    refused = engage_when_published(form, host, return_state=True)
    again = form.model_copy(update={"try_again": True})
    shown = engage_when_published(again.model_copy(update={"dry_run": True}), host, return_state=True)
    before = list(sandbox.phone_tasks)

    done = engage_when_published(again, host, return_state=True)
    once_more = engage_when_published(again, host, return_state=True)

    assert failed.is_failed()
    assert engagement.id in failed.message
    assert f"'Try again' and the engagement ID {engagement.id}" in refused.message
    assert shown.name == "Dry run"
    assert [(task["script_name"], task["serial"]) for task in sandbox.phone_tasks[len(before) :]] == [
        ("account_warmup", SERIALS[1])
    ]
    assert done.message == "1 of 1 warm-up completed."
    assert "nothing was requested again" in once_more.message
    assert on_record().state is EngagementState.DONE


def test_in_quiet_hours_the_phones_wait_for_their_end(
    taisly: TaislyAccount, sandbox: Any, clip: Clip, deployment: Any
) -> None:
    """They do not skip it for good, and no run is started before."""
    now = datetime.now(UTC)
    quiet = {"quiet_from": f"{now - timedelta(hours=1):%H:%M}", "quiet_until": f"{now + timedelta(hours=1):%H:%M}"}
    block = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=PHONES, time_zone="UTC", **quiet)
    block.save("quiet", overwrite=True)

    state = _publish(taisly, TikMatrixHost.load("quiet"), clip)

    assert "The phones are in quiet hours until " in state.message
    assert "1 post waiting for the phones' part: small.mp4." in _finish(taisly)
    assert (runs_of(deployment), sandbox.phone_tasks) == ([], [])
