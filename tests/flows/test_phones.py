"""The phone flows against a real Prefect server and the sandbox over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from pydantic import ValidationError
from support.saved_blocks import delete_blocks
from support.seen import artifacts_of, logs_of, steps_of

from blocks import ChatGPTSettings, TaislyAccount, TikMatrixHost
from flows.comment import comment_on_posts
from flows.connections import check_connections
from flows.engage import publish_and_engage
from flows.finish_phones import finish_phone_tasks
from flows.follow import follow_users
from flows.manage_phones import manage_phone_tasks
from flows.phone_post import post_from_phones
from flows.unfollow import unfollow_users
from flows.warm_up import warm_up_accounts
from reelflow.errors import PhonesFailed
from reelflow.ledger import Ledger
from reelflow.phones.form import (
    CommentForm,
    EngageForm,
    FollowForm,
    ManageForm,
    PhonePostForm,
    UnfollowForm,
    WarmUpForm,
)
from reelflow.phones.limits import make_plan
from reelflow.phones.report import PhoneReport
from reelflow.phones.requests import make_request
from reelflow.posts.form import PostForm
from reelflow.records.phone_states import GRACE, TaskState
from tasks.ledger import open_ledger
from tasks.upkeep.health import check_ledger

pytestmark = pytest.mark.usefixtures("server")
SERIALS = [f"R58N{n:02d}SANDBOX" for n in range(1, 4)]
PHONES = [f"{SERIALS[0]}: ada.daily, ada.studio", f"{SERIALS[1]}: ben.daily", SERIALS[2]]
URLS = [f"https://www.tiktok.com/@x/video/{n}" for n in range(1, 4)]
Clip = Callable[[str], Path]


@pytest.fixture
def host(sandbox: Any) -> TikMatrixHost:
    return TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=PHONES, poll_seconds=0.01, auto_retry=False)


def _form(kind: Any, **changes: Any) -> Any:
    return kind(**({"devices": SERIALS, "watch_minutes": 1} | changes))


def test_a_warm_up_runs_on_three_phones(host: TikMatrixHost, sandbox: Any) -> None:
    """One request, three tasks, one line that says so; a progress bar and a table with each task."""
    state = warm_up_accounts(host, _form(WarmUpForm, topics=["bread"]), return_state=True)

    report, shown = state.result(), artifacts_of(state)
    assert (state.is_completed(), state.message) == (True, "3 of 3 warm-ups completed.")
    assert isinstance(report, PhoneReport)
    assert sandbox.requests("POST /api/v1/task") == 1
    assert [task["script_args"]["topic"] for task in sandbox.phone_tasks] == ["bread"] * 3
    assert shown["progress"].data == 100
    assert shown["markdown"].data.count("| completed |") == 3


@pytest.mark.parametrize(
    ("flow", "form", "script"),
    [
        (comment_on_posts, _form(CommentForm, post_urls=URLS, comments=["yum"]), "comment"),
        (follow_users, _form(FollowForm, users=["a", "b"]), "follow"),
        (unfollow_users, _form(UnfollowForm, users=["a"], only_followed_here=False), "unfollow"),
        (post_from_phones, _form(PhonePostForm, captions="{Hi|Hello}"), "post"),
    ],
    ids=["comment", "follow", "unfollow", "post"],
)
def test_every_script_has_its_flow(host: TikMatrixHost, sandbox: Any, flow: Any, form: Any, script: str) -> None:
    """Asked for once, watched to the end."""
    state = flow(host, form, return_state=True)

    assert state.is_completed(), state.message
    assert {task["script_name"] for task in sandbox.phone_tasks} == {script}
    assert {task["status"] for task in sandbox.phone_tasks} == {2}


def test_a_comment_batch_hits_the_daily_limit(host: TikMatrixHost, sandbox: Any) -> None:
    """What is skipped, and why, is in the message and in the report."""
    host.comments_per_day = 2
    state = comment_on_posts(
        host, _form(CommentForm, devices=SERIALS[1:2], post_urls=URLS, comments=["yum"]), return_state=True
    )

    assert state.is_completed()
    assert state.message.startswith("2 of 2 comments completed. 1 comment skipped (daily limit of 2 comments")
    assert "Skipped:" in artifacts_of(state)["markdown"].data
    assert len(sandbox.phone_tasks) == 2


def test_a_dry_run_sends_nothing_and_counts_nothing(host: TikMatrixHost, sandbox: Any) -> None:
    """It says what would go where."""
    state = comment_on_posts(
        host, _form(CommentForm, post_urls=URLS, comments=["yum"], dry_run=True), return_state=True
    )

    assert (state.name, sandbox.phone_tasks) == ("Dry run", [])
    assert state.message == "Dry run: nothing was sent. Would send 9 comments."
    assert f"- {SERIALS[0]}: {URLS[0]}" in artifacts_of(state)["markdown"].data
    assert open_ledger().task_requests() == []


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (_form(WarmUpForm, devices=["NOTMINE"]), "NOTMINE is not among the phones"),
        (_form(WarmUpForm, write_with_chatgpt=True), "need a block 'ChatGPT Settings'"),
        (_form(WarmUpForm, devices=[]), "No phones are chosen: choose 'Phones' or 'Usernames'."),
    ],
)
def test_bad_input_sends_nothing(host: TikMatrixHost, sandbox: Any, form: Any, words: str) -> None:
    """The run's state is the sentence, and its log has no traceback."""
    state = warm_up_accounts(host, form, return_state=True)

    assert state.is_failed()
    assert words in state.message
    assert "Traceback" not in logs_of(state)
    assert sandbox.requests("POST /api/v1/task") == 0


def test_starter_has_no_api(host: TikMatrixHost, sandbox: Any) -> None:
    """Said before anything is sent."""
    sandbox.world.license_plan = "Starter"

    state = warm_up_accounts(host, _form(WarmUpForm), return_state=True)

    assert "licence Starter does not include the API. You need Pro, Team or Business" in state.message


def test_tikmatrix_that_does_not_run_is_said(host: TikMatrixHost) -> None:
    """With where it was looked for."""
    host.base_url = "http://127.0.0.1:9/api/v1"

    state = warm_up_accounts(host, _form(WarmUpForm), return_state=True)

    assert "TikMatrix cannot be reached at http://127.0.0.1:9: connection refused" in state.message


def test_a_failed_task_is_named_with_its_reason(host: TikMatrixHost, sandbox: Any) -> None:
    """Phone, account and TikMatrix's own words."""
    sandbox.world.auto_retry = 0
    sandbox.fail_next(serial=SERIALS[1], reason="app not logged in")
    state = warm_up_accounts(host, _form(WarmUpForm), return_state=True)

    error = state.result(raise_on_failure=False)
    assert state.message == f"2 of 3 warm-ups completed. 1 failed: {SERIALS[1]}, app not logged in."
    assert isinstance(error, PhonesFailed)
    assert error.report is not None
    assert [task.serial for task in error.report.in_state(TaskState.FAILED)] == [SERIALS[1]]


def test_tikmatrix_refuses_a_username_it_does_not_know(host: TikMatrixHost) -> None:
    """40004, in plain words."""
    host.phones = ["R58N01SANDBOX: nobody.here"]

    state = warm_up_accounts(host, _form(WarmUpForm, devices=[], usernames=["all"]), return_state=True)

    assert state.is_failed()
    assert "TikMatrix found no account for this task (40004: no account found: nobody.here)" in state.message


def test_a_run_with_nothing_left_to_do_is_skipped(host: TikMatrixHost, sandbox: Any) -> None:
    """Limits of zero leave nothing; TikMatrix is not asked for tasks."""
    host.warm_ups_per_day = 0

    state = warm_up_accounts(host, _form(WarmUpForm), return_state=True)

    assert (state.is_completed(), state.name) == (True, "Skipped")
    assert "No warm-ups were requested. 3 warm-ups skipped (daily limit of 0" in state.message
    assert sandbox.requests("POST /api/v1/task") == 0


def test_a_deadline_leaves_tasks_to_the_finisher(host: TikMatrixHost, sandbox: Any) -> None:
    """The run is not failed, names them, and finish-phone-tasks finds their end."""
    state = warm_up_accounts(host, _form(WarmUpForm, watch_minutes=0), return_state=True)
    finished = finish_phone_tasks(host, return_state=True)

    assert (state.is_completed(), state.name) == (True, "Still open")
    assert "3 unfinished, continuing in TikMatrix" in state.message
    assert finished.message == "3 tasks finished, 0 still open."
    assert len(finished.result().ended) == 3
    assert {task["status"] for task in sandbox.phone_tasks} == {2}


def test_the_chatgpt_key_is_nowhere_in_prefect(host: TikMatrixHost, sandbox: Any) -> None:
    """It goes from the block to TikMatrix: not into parameters, logs, artifacts or results."""
    chatgpt = ChatGPTSettings(api_key="sk-verysecret")

    state = warm_up_accounts(host, _form(WarmUpForm, write_with_chatgpt=True), chatgpt, return_state=True)

    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
    assert state.is_completed(), state.message
    assert sandbox.phone_tasks[0]["script_args"]["chatgpt_settings"]["model"] == "gpt-3.5-turbo"
    assert "sk-verysecret" not in logs_of(state) + str(run.parameters) + str(state) + str(artifacts_of(state))


def test_a_person_settles_what_is_unconfirmed(host: TikMatrixHost, ledger_url: str) -> None:
    """The run that finishes open tasks says what to do, doctor too; once that is done, the next run makes them."""
    form = _form(CommentForm, post_urls=URLS[:1], comments=["nice"])
    asked, now = make_request(form, host.guardrails), datetime.now(UTC)
    long_ago = Ledger(ledger_url, clock=lambda: now.timestamp() - GRACE - 60)
    long_ago.plan_tasks(
        asked, lambda history: make_plan(asked, host.guardrails, history, now), since=0, host=host.key, owner="killed",
        flow_run="killed",
    )  # fmt: skip
    (request,) = long_ago.task_requests(host=host.key)
    long_ago.take_turn(host.key, "killed")
    long_ago.begin_task_request(request.id, "killed", 0)
    long_ago.close()

    finished = finish_phone_tasks(host, return_state=True)
    doctor = check_ledger(open_ledger())
    nothing = _manage(host, action="mark not done", dry_run=False)
    dry = _manage(host, action="mark not done", request_ids=[request.id])
    marked = _manage(host, action="mark not done", request_ids=[request.id, "none"], dry_run=False)
    again = comment_on_posts(host, form, return_state=True)

    assert "1 request unconfirmed: Tasks that TikMatrix no longer shows may have been done" in finished.message
    assert f"this request ID: {request.id}" in finished.message
    assert (doctor.ok, doctor.is_warning, request.id in doctor.found) == (True, True, True)
    assert "needs request IDs or task IDs" in nothing.message
    assert dry.message == "Dry run: nothing was changed. 1 request would be marked as not done."
    assert marked.message == ("Marked 1 request as not done. Ignored: request none does not exist on this PC.")
    assert again.is_completed(), again.message
    assert "3 of 3 comments completed" in again.message


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_chatgpt_prompt_is_not_sent(empty: str) -> None:
    """TikMatrix then uses its own, instead of none."""
    settings = ChatGPTSettings(api_key="sk-verysecret", prompt=empty, base_url=empty).get_settings()
    with_prompt = ChatGPTSettings(api_key="sk-verysecret", prompt="Be kind.").get_settings()

    assert not {"prompt", "base_url"} & set(settings)
    assert with_prompt["prompt"] == "Be kind."


def test_a_run_is_named_for_what_it_does(host: TikMatrixHost) -> None:
    """In the list of runs one sees the job and the phones."""
    state = warm_up_accounts(host, _form(WarmUpForm, dry_run=True), return_state=True)

    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
    assert run.name == "dry run: warm up, 3 phones"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phones": ["one two three"]}, "cannot be read"),
        ({"time_zone": "Berlin"}, "Unknown time zone 'Berlin'"),
        ({"quiet_from": "22:00"}, "Quiet hours need both"),
        ({"quiet_from": "25:00", "quiet_until": "07:00"}, "String should match pattern"),
    ],
)
def test_a_host_block_that_makes_no_sense_is_not_saved(changes: dict[str, Any], words: str) -> None:
    """Said when the block is made, not when a run needs it."""
    with pytest.raises(ValidationError, match=words):
        TikMatrixHost(**({"phones": ["A1"]} | changes))


def _manage(host: TikMatrixHost, **form: Any) -> Any:
    return manage_phone_tasks(host, ManageForm(**form), return_state=True)


def test_tasks_are_managed_by_hand(host: TikMatrixHost, sandbox: Any) -> None:
    """Dry by default; only ours, only on listed phones, unless the form says more."""
    warm_up_accounts(host, _form(WarmUpForm, watch_minutes=0))
    sandbox.tikmatrix().create_task("account_warmup", {}, serials=[SERIALS[0], "R58N09SANDBOX"])

    listed = _manage(host)
    dry = _manage(host, action="delete")
    everybody = _manage(host, action="list", only_ours=False)
    named = _manage(host, action="delete", task_ids=[1, 4, 99], dry_run=False)
    done = _manage(host, action="delete", dry_run=False)

    assert listed.message == "Found 3 tasks."
    assert (dry.name, dry.message) == ("Dry run", "Dry run: nothing was changed. 3 tasks would be deleted.")
    assert everybody.message == "Found 4 tasks."
    assert named.message == (
        "1 of 1 task deleted. Ignored: task 4 was not created by reelflow; task 99 does not exist."
    )
    assert done.message == "2 of 2 tasks deleted."
    assert sorted(task["id"] for task in sandbox.phone_tasks) == [4, 5]


def test_managing_more_than_was_meant_does_nothing(host: TikMatrixHost, sandbox: Any) -> None:
    """A filter that fits too much is refused; so is a phone that is not listed."""
    warm_up_accounts(host, _form(WarmUpForm, watch_minutes=0))

    many = _manage(host, action="delete", dry_run=False, most_tasks=2)
    stranger = _manage(host, device="R58N09SANDBOX")
    retried = _manage(host, action="retry", dry_run=False, task_ids=[1])

    assert "3 tasks match, more than the 'Task limit' of 2" in many.message
    assert "R58N09SANDBOX is not among the phones" in stranger.message
    assert "only a failed task can be retried" in retried.message
    assert len(sandbox.phone_tasks) == 3


@pytest.fixture
def taisly(sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


def _engage(taisly: TaislyAccount, host: TikMatrixHost | None, video: Path, **form: Any) -> Any:
    post = PostForm(video=str(video), accounts=["TikTok @mara.bakes", "Instagram"], watch_minutes=1)
    engage = EngageForm(**({"devices": SERIALS[:2], "comments": ["first!"], "watch_minutes": 1} | form))
    return publish_and_engage(taisly, post, engage, host, return_state=True)


def test_a_video_is_published_warmed_up_for_and_commented_on(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip
) -> None:
    """Both services in one run: the comment goes under the post that has just come out."""
    state = _engage(taisly, host, clip("small.mp4"), warm_up_seconds=60)

    tasks = sandbox.phone_tasks
    (post,) = sandbox.posts
    url = next(r["url"] for r in post["result"] if r["platform"] == "TikTok")
    assert state.is_completed(), state.message
    assert state.message.startswith("Published to 2 of 2 accounts: TikTok @mara.bakes")
    assert state.message.endswith(" 2 of 2 warm-ups completed. 2 of 2 comments completed.")
    assert [task["script_args"]["target_post_url"] for task in tasks if task["script_name"] == "comment"] == [url] * 2


def test_what_depends_on_a_platform_that_failed_is_skipped(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip
) -> None:
    """TikTok failed, so nobody comments there; the run says both, and fails for the post."""
    sandbox.fail_next(platform="TikTok", reason="video removed")

    state = _engage(taisly, host, clip("small.mp4"))

    assert state.is_failed()
    assert "No comments on TikTok: the post was not published there (failed)." in state.message
    assert sandbox.phone_tasks == []


def test_a_phone_that_fails_does_not_undo_the_post(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip
) -> None:
    """The run fails and says what of it is out."""
    sandbox.world.auto_retry = 0
    sandbox.fail_next(script_name="comment", reason="comments are off")
    state = _engage(taisly, host, clip("small.mp4"))

    assert state.is_failed()
    assert "Instagram mara.bakes. 1 of 2 comments completed. 1 failed: R58N" in state.message
    kind, said = steps_of(state)["watch comments"]
    assert (kind, said.startswith("1 failed: R58N")) == ("FAILED", True)
    assert len(sandbox.posts) == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"comments": []}, "Nothing for the phones to do"),
        ({"devices": ["NOTMINE"]}, "NOTMINE is not among the phones"),
        ({"phone_pc": "nowhere"}, "There is no deployment comment-on-posts/22-nowhere"),
    ],
)
def test_the_phones_part_is_checked_before_anything_is_published(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip, form: dict[str, Any], words: str
) -> None:
    """A mistake there must not be found when the video is out."""
    state = _engage(taisly, host, clip("small.mp4"), **form)

    assert state.is_failed()
    assert words in state.message
    assert sandbox.posts == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_comments_where_the_post_does_not_go_are_refused_before_anything_is_published(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip, dry_run: bool
) -> None:
    """In the words of a campaign, whose rows can have the same mistake."""
    post = PostForm(video=str(clip("small.mp4")), accounts=["YouTube"], dry_run=dry_run)

    state = publish_and_engage(taisly, post, EngageForm(devices=SERIALS, comments=["x"]), host, return_state=True)

    assert state.is_failed()
    assert "none of its accounts is on TikTok, where they comment. Choose its platform in 'Comment on'" in state.message
    assert (sandbox.posts, open_ledger().engagements()) == ([], [])


def test_a_dry_run_of_both_sends_nothing(taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, clip: Clip) -> None:
    """Neither the post nor the tasks."""
    post = PostForm(video=str(clip("small.mp4")), accounts=["TikTok @mara.bakes"], dry_run=True)
    engage = EngageForm(devices=SERIALS, comments=["x"], warm_up_seconds=60)

    state = publish_and_engage(taisly, post, engage, host, return_state=True)

    assert state.name == "Dry run"
    assert "3 warm-ups" in state.message
    assert "They would comment on TikTok, all with the same text." in state.message
    assert (sandbox.posts, sandbox.phone_tasks) == ([], [])


def test_check_connections_says_what_is_well_and_what_is_not(taisly: Any, host: Any, sandbox: Any) -> None:
    """A table for people; the run fails when something needs a look, and says what."""
    delete_blocks()
    none = check_connections(return_state=True)
    taisly.save("health", overwrite=True)
    host.save("health", overwrite=True)

    well = check_connections(return_state=True)
    sandbox.world.license_plan = "Starter"
    ill = check_connections(return_state=True)

    assert (none.is_completed(), "no blocks are saved" in none.message) == (True, True)
    assert well.message == "All 3 checks passed: Ledger, Taisly Account 'health', TikMatrix Host 'health'."
    table = artifacts_of(well)["markdown"].data
    assert "3 phones listed: R58N01SANDBOX (ada.daily, ada.studio), " in table
    assert "; 3 of them online" in table
    assert "6 accounts connected (TikTok @mara.bakes, " in table
    assert ill.is_failed()
    assert "TikMatrix Host 'health': The TikMatrix licence Starter does not include the API" in ill.message
