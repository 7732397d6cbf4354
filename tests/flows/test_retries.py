"""Retries of steps, under a real Prefect server: which errors, how often, and what a person sees of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.deployments import run_deployment
from support.seen import logs_of

from blocks import TaislyAccount, TikMatrixHost
from blocks.reference import load_referred
from flows.publish import publish_video
from flows.warm_up import warm_up_accounts
from reelflow.errors import (
    Busy,
    InputError,
    LedgerUnavailable,
    NotAllowed,
    NotFound,
    NothingSent,
    OutcomeUnknown,
    ReelflowError,
    UnreadableAnswer,
)
from reelflow.phones.form import WarmUpForm
from reelflow.posts.form import PostForm
from reelflow.sandbox.catalog import API_KEY, PHONES
from tasks.prefect_server import asking_prefect
from tasks.step import Retry, step

PLATFORMS = "GET /api/private/platform/platforms"
pytestmark = pytest.mark.usefixtures("server")


def _publish(sandbox: Any, video: Path, **form: Any) -> Any:
    taisly: Any = TaislyAccount(
        api_key=API_KEY, base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.1, unconfirmed_after_minutes=0.1
    )
    post = PostForm(**{"video": str(video), "accounts": ["x"], "caption": "Hi", "watch_minutes": 0.5, **form})
    return publish_video(taisly, post, return_state=True)


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("drop_before", {}),
        ("drop_after", {}),
        ("drop_mid_body", {}),
        ("garbage_after", {}),
        ("status_before", {"status": 408}),
        ("status_before", {"status": 425}),
        ("status_before", {"status": 429, "seconds": 0.1}),
        ("status_before", {"status": 500}),
        ("status_before", {"status": 502}),
        ("status_before", {"status": 503}),
    ],
    ids=str,
)
def test_a_read_that_fails_for_a_moment_does_not_end_a_run(
    sandbox: Any, clip: Callable[[str], Path], fault: str, more: dict
) -> None:
    """The list of accounts and the rules are asked for again, and the post goes out."""
    sandbox.order_fault(fault, "GET", "*/platforms", times=2, **more)
    sandbox.order_fault(fault, "GET", "*/reposts", **more)

    state = _publish(sandbox, clip("small.mp4"))

    assert state.name == "Completed"
    assert len(sandbox.posts) == 1


def test_a_retry_is_one_line_in_the_log_and_a_state_in_the_ui(sandbox: Any, clip: Callable[[str], Path]) -> None:
    """AwaitingRetry, with the reason, and no traceback."""
    sandbox.order_fault("status_before", "GET", "*/platforms", status=503, times=2)

    state = _publish(sandbox, clip("small.mp4"))

    log = logs_of(state)
    assert log.count("Retry 1/6 will start") == log.count("Retry 2/6 will start") == 1
    assert "Internal error at Taisly (503" in log
    assert "Traceback" not in log
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        runs = {run.name: run for run in client.read_task_runs(flow_run_filter=wanted)}
    assert runs["check small.mp4"].run_count == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_not_retried(sandbox: Any, clip: Callable[[str], Path], status: int) -> None:
    """It stays refused: one request, and the run ends at once."""
    key = "taisly_free" if status == 403 else "taisly_wrong"
    taisly: Any = TaislyAccount(api_key=key, base_url=sandbox.taisly_url, plan="PRO")
    post = PostForm(video=str(clip("small.mp4")), accounts=["x"])

    state = publish_video(taisly, post, return_state=True)

    assert (state.is_failed(), str(status) in str(state.message)) == (True, True)
    assert sandbox.requests(PLATFORMS) == 1


def test_tikmatrix_away_for_a_moment_does_not_end_a_run(sandbox: Any) -> None:
    """The licence, the phones and the highest task ID are read again."""
    host: Any = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=PHONES, poll_seconds=0.2)
    sandbox.order_fault("status_before", "GET", "*/license/check", status=503, times=2)
    sandbox.order_fault("drop_after", "GET", "*/rpc/devices", times=1)
    sandbox.order_fault("drop_after", "GET", "*/task", times=1)
    form = WarmUpForm(devices=["R58N01SANDBOX"], duration_seconds=10, watch_minutes=1)

    state = warm_up_accounts(host, form, return_state=True)

    assert state.name == "Completed"
    assert len(sandbox.phone_tasks) == 1


RETRIED = {
    Retry.READ: {NothingSent, Busy, OutcomeUnknown, UnreadableAnswer, LedgerUnavailable},
    Retry.UNSENT: {NothingSent, Busy, LedgerUnavailable},
    Retry.LEDGER: {LedgerUnavailable},
    Retry.NEVER: set(),
}


@pytest.mark.parametrize("retry", list(Retry))
@pytest.mark.parametrize(
    "error", [NothingSent, Busy, OutcomeUnknown, UnreadableAnswer, LedgerUnavailable, NotAllowed, InputError]
)
def test_the_class_of_an_error_decides_whether_a_step_is_run_again(retry: Retry, error: type[ReelflowError]) -> None:
    """What was certainly not sent; for a step that only reads, also what has an unknown outcome."""
    calls: list[int] = []

    @step("try", retry=retry)
    def act() -> None:
        calls.append(1)
        raise error("no")

    @flow
    def run() -> None:
        with pytest.raises(error):
            act()

    run()

    assert len(calls) == (7 if error in RETRIED[retry] else 1)


@pytest.mark.parametrize(("wait", "calls"), [(0.05, 7), (100, 1)])
def test_the_services_own_wait_is_the_delay_unless_it_is_too_long(wait: float, calls: int) -> None:
    """A pause of more than the steps are retried in all ends the step at once, with what the service says."""
    made: list[int] = []

    @step("ask", retry=Retry.READ)
    def act() -> None:
        made.append(1)
        raise Busy("429", retry_after=wait)

    @flow
    def run() -> None:
        with pytest.raises(Busy):
            act()

    run()

    assert len(made) == calls


def test_what_prefects_server_no_longer_has_is_an_error_of_ours() -> None:
    """A deployment or block that was deleted while a run was at work: one sentence, also in a hook."""
    gone = {"$ref": {"block_document_slug": f"{TaislyAccount.get_block_type_slug()}/gone"}}

    with pytest.raises(NotFound, match="no longer has"), asking_prefect():
        run_deployment("no-flow/nowhere")
    with pytest.raises(InputError, match="The block Taisly Account of this run no longer exists"), asking_prefect():
        load_referred(TaislyAccount, gone)
