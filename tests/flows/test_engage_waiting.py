"""The phones' part of a post whose phones cannot act when it comes out: in quiet hours, or out of reach."""

import contextvars
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Cancelled, Completed, Failed, Late, State
from support.engaging import (
    PHONES,
    SERIALS,
    Clip,
    deployed,
    on_record,
    outcome_of,
    publish_and_leave,
    runs_of,
    saved,
    worked_on,
)
from support.scheduled import execute
from support.waiting import until

from blocks import TaislyAccount, TikMatrixHost
from flows.comment import comment_on_posts
from flows.engage_later import engage_when_published
from reelflow.phones.form import CommentForm, EngageLaterForm
from reelflow.records.engagements import EngagementState
from reelflow.records.post_states import PostState
from tasks.ledger import open_ledger
from tasks.phones.engage import engage_phones, later_state
from tasks.phones.engagements import find_engagement
from tasks.phones.other_pc import tag_of
from tasks.phones.report import QUIET

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def taisly(sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


def _host(url: str, **changes: Any) -> TikMatrixHost:
    block = TikMatrixHost(base_url=url, phones=PHONES, poll_seconds=0.01, auto_retry=False, time_zone="UTC", **changes)
    block.save("engaging", overwrite=True)
    return TikMatrixHost.load("engaging")


def _quiet_now() -> dict[str, str]:
    now = datetime.now(UTC)
    return {"quiet_from": f"{now - timedelta(hours=1):%H:%M}", "quiet_until": f"{now + timedelta(hours=1):%H:%M}"}


@pytest.fixture
def away() -> Iterator[str]:
    """The address of a PC on which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def _later(host: TikMatrixHost | None, **form: Any) -> Any:
    return engage_when_published(EngageLaterForm(engagement_id=on_record().id, **form), host, return_state=True)


def _let_it_be_due() -> None:
    """As it is once the time has come to try again."""
    ledger, found = open_ledger(), on_record()
    ledger.claim_engagement(found.id, "clock", None)
    ledger.settle_engagement(found.id, EngagementState.WAITING, found.reason, owner="clock", due=1.0)


def test_quiet_hours_that_begin_during_the_warm_ups_keep_the_comments(
    taisly: TaislyAccount, sandbox: Any, clip: Clip
) -> None:
    """They come after the quiet hours, without a second warm-up."""
    host = _host(sandbox.tikmatrix_url)
    publish_and_leave(taisly, clip, warm_up_seconds=60)
    sandbox.world.realtime = True

    def evening() -> None:
        until("the warm-ups", lambda: len(sandbox.phone_tasks) == 2)
        for name, value in _quiet_now().items():
            setattr(host, name, value)
        host.__dict__.pop("guardrails", None)  # cached until now
        sandbox.world.realtime = False

    @flow
    def engage() -> State[Any]:
        """As the flow does it, with a host block that is no copy."""
        return later_state(engage_phones(find_engagement(on_record().id, host, None), is_never_late=False))

    clock = threading.Thread(target=evening)
    clock.start()
    first = engage(return_state=True)
    clock.join(60)
    waiting, before = on_record(), len(sandbox.phone_tasks)
    _let_it_be_due()
    second = _later(_host(sandbox.tikmatrix_url))

    assert (first.name, waiting.state, before) == ("Waiting", EngagementState.WAITING, 2)
    assert "2 of 2 warm-ups completed. The phones are in quiet hours until " in first.message
    assert second.message == "2 of 2 comments completed."
    assert len(sandbox.phone_tasks) == 4


def test_a_run_in_quiet_hours_says_so_by_its_name(sandbox: Any) -> None:
    """A run on another PC that waits for it knows it by that."""
    host = _host(sandbox.tikmatrix_url, **_quiet_now())

    state = comment_on_posts(
        host, CommentForm(devices=["all"], post_urls=["https://vm.tiktok.com/x"], comments=["x"]), return_state=True
    )

    assert (state.name, state.is_completed()) == (QUIET, True)


def test_a_pc_that_is_away_is_tried_again(taisly: TaislyAccount, sandbox: Any, clip: Clip, away: str) -> None:
    """Nothing was sent, so it is no failure: as often as it takes, and without using up the runs for it."""
    publish_and_leave(taisly, clip)

    gone = _host(away)
    first = [_later(gone), _let_it_be_due(), _later(gone)][0]
    waiting = on_record()
    _let_it_be_due()
    second = _later(_host(sandbox.tikmatrix_url))

    assert (first.name, waiting.state, waiting.parts, waiting.attempts) == ("Waiting", EngagementState.WAITING, (), 0)
    assert "They try again " in first.message
    assert waiting.due > open_ledger().now() + 600
    assert second.message == "2 of 2 comments completed."
    assert on_record().state is EngagementState.DONE


@contextmanager
def _attic(sandbox: Any) -> Iterator[Any]:
    """The deployment of another PC, whose phones are those of the sandbox."""
    attic = saved(_host(sandbox.tikmatrix_url))
    with deployed("comment-on-posts", "comment-on-posts/22-attic", host=attic) as deployment:
        yield deployment


def _other_pc(taisly: TaislyAccount, clip: Clip, end: Callable[[], State[Any]], **form: Any) -> Any:
    """What a run says whose part on another PC ends in that state."""
    publish_and_leave(taisly, clip, host="", phone_pc="attic", **form)
    attic = saved(_host("http://127.0.0.1:9"))
    with (
        deployed("comment-on-posts", "comment-on-posts/22-attic", host=attic) as deployment,
        get_client(sync_client=True) as client,
    ):

        def work() -> None:
            until("the run on the other PC", lambda: runs_of(deployment))
            client.set_flow_run_state(runs_of(deployment)[0].id, end(), force=True)

        worker = threading.Thread(target=contextvars.copy_context().run, args=[work])  # it asks the same server
        worker.start()
        state = _later(None)
        worker.join(60)

    return state


@pytest.mark.parametrize(
    "end",
    [
        lambda: Completed(name=QUIET, message="No comments were requested."),
        lambda: Failed(message="TikMatrix cannot be reached."),
        lambda: Cancelled(message="Runner is shutting down."),
    ],
    ids=["quiet hours", "TikMatrix away", "worker ended"],
)
def test_another_pc_that_did_nothing_is_asked_again_with_a_run_of_its_own(
    taisly: TaislyAccount, clip: Clip, end: Callable[[], State[Any]]
) -> None:
    state = _other_pc(taisly, clip, end)
    before = on_record()

    _let_it_be_due()

    assert (state.name, before.state, before.parts) == ("Waiting", EngagementState.WAITING, ())
    assert on_record().round_key != before.round_key


def test_a_run_that_is_begun_after_its_time_does_nothing(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Nobody waits for it any more, and another one may have been started. Its minutes are those of the wait for it."""
    publish_and_leave(taisly, clip, host="", phone_pc="attic")
    late: list[State[Any]] = []
    with _attic(sandbox) as deployment, get_client(sync_client=True) as client:

        def work() -> None:
            until("the run on the other PC", lambda: runs_of(deployment))
            (run,) = runs_of(deployment)
            due = Late(scheduled_time=datetime.now(UTC) - timedelta(days=1))
            same = client.create_flow_run_from_deployment(
                deployment, state=due, parameters=run.parameters, parent_task_run_id=run.parent_task_run_id
            )
            late.append(execute(comment_on_posts, same, run.parameters))
            client.set_flow_run_state(run.id, Failed(message="ends the wait"), force=True)

        worker = threading.Thread(target=contextvars.copy_context().run, args=[work])  # it asks the same server
        worker.start()
        _later(None)
        worker.join(60)

    assert [state.name for state in late] == ["Skipped"]
    assert sandbox.phone_tasks == []


def test_a_post_that_comes_out_later_on_a_platform_is_commented_on_too(
    taisly: TaislyAccount, sandbox: Any, clip: Clip
) -> None:
    """Both are parts of one platform on another PC; each is a run there, and none is done twice."""
    both = {"comment_on": ["TikTok", "Instagram"], "devices": [SERIALS[1]]}
    oven = "TikTok @mara.behind.the.oven"
    engagement = publish_and_leave(taisly, clip, host="", more_accounts=[oven], phone_pc="attic", **both)
    found = {o.account.label: o for o, _ in open_ledger().engagement_outcomes(engagement)}
    instagram = "Instagram mara.bakes"
    with _attic(sandbox) as deployment, worked_on(deployment, comment_on_posts):
        with outcome_of(found[instagram].account.id, PostState.ACCEPTED):
            with outcome_of(found[oven].account.id, PostState.UNCONFIRMED):
                first = _later(None)
            second = _later(None)
        third = _later(None)
        runs = runs_of(deployment)

    links = [found[label].link for label in ("TikTok @mara.bakes", oven, instagram)]
    assert [state.name for state in (first, second)] == ["Waiting", "Waiting"]
    assert all("1 of 1 comment completed." in state.message for state in (first, second, third)), third.message
    assert [task["script_args"]["target_post_url"] for task in sandbox.phone_tasks] == links
    assert len(runs) == 3
    assert sorted(url for part in on_record().parts for url in part.urls) == sorted(links)


def test_cancelling_a_run_that_took_over_ends_what_an_earlier_one_started_on_the_other_pc(
    taisly: TaislyAccount, sandbox: Any, clip: Clip
) -> None:
    """It is no child of this run; it is found by its engagement. That of another engagement goes on."""
    engagement = publish_and_leave(taisly, clip, host="", phone_pc="attic")
    form = {"comments": {"devices": ["all"], "post_urls": ["https://vm.tiktok.com/x"], "comments": ["x"]}}
    with _attic(sandbox) as deployment, get_client(sync_client=True) as client:
        theirs, other = [client.create_flow_run_from_deployment(deployment, parameters=form, tags=[tag_of(each)])
                         for each in (engagement.id, "another")]  # fmt: skip
        parameters = {"engagement": {"engagement_id": engagement.id}}
        mine = client.create_flow_run(engage_when_published, parameters=parameters)
        open_ledger().claim_engagement(engagement.id, "took over", str(mine.id))

        for hook in engage_when_published.on_cancellation_hooks:
            hook(engage_when_published, mine, Cancelled(message="by hand"))

        states = [client.read_flow_run(run.id).state for run in (theirs, other)]
    assert [state is not None and state.type in ("CANCELLING", "CANCELLED") for state in states] == [True, False]
    assert on_record().state is EngagementState.CANCELLED


def test_a_person_who_cancels_the_run_on_the_other_pc_ends_it(taisly: TaislyAccount, clip: Clip) -> None:
    state = _other_pc(taisly, clip, lambda: Cancelled(message="by hand"))

    assert (state.is_failed(), on_record().state) == (True, EngagementState.FAILED)
