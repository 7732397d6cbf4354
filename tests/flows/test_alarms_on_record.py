"""What the alarms of a failed run are, where the ledger, or an earlier run, has told a part of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed, Running
from support.failing_server import failing_server

from blocks import TaislyAccount, TikMatrixHost
from flows.engage import publish_and_engage
from flows.publish import publish_video
from flows.warm_up import warm_up_accounts
from reelflow.errors import PhonesFailed, ReelflowError
from reelflow.phones.form import EngageForm
from reelflow.posts.form import PostForm
from reelflow.records.alarms import Alarm
from tasks.alarms import ring_failed
from tasks.ledger import open_ledger

pytestmark = pytest.mark.usefixtures("server")
SERIAL = "R58N01SANDBOX"
AWAY = "TikMatrix cannot be reached."


@pytest.fixture
def taisly(sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


def _alarms_of(flow_run: Any) -> list[Alarm]:
    return open_ledger().alarms_of_runs([str(flow_run)])


def _run() -> Any:
    """A run of which one phone task has failed already."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(warm_up_accounts, state=Running())
    own = str(run.id)
    task = Alarm(f"task {own}", "phone task", "FAILED", "warm-up on main", SERIAL, "offline", "c", own, "7")
    open_ledger().add_alarms([task])
    return run


def _fail(run: Any, error: ReelflowError) -> list[str]:
    """Let a run fail; the reasons of its own alarms."""
    ring_failed(warm_up_accounts, run, Failed(message=str(error), data=error))
    return [alarm.reason for alarm in _alarms_of(run.id) if alarm.kind == "run"]


@pytest.mark.parametrize(
    ("failures", "is_told"),
    [((), True), (("1 failed: R58N01SANDBOX, offline.",), True), ((AWAY,), False), (("offline", AWAY), False)],
    ids=["only the task", "the task in words", "something else", "both"],
)
def test_a_second_failure_of_a_run_is_not_swallowed(failures: tuple[str, ...], is_told: bool) -> None:
    """A run rings unless everything that failed is on record."""
    error = PhonesFailed("1 failed. And more.", failures=failures)

    assert _fail(_run(), error) == ([] if is_told else [str(error)])


def test_a_prefect_server_that_cannot_be_asked_costs_no_alarm(server: str) -> None:
    """Whether runs on other machines told it cannot be read, so it is recorded; the ledger is fine."""
    run = _run()

    with failing_server(server, "/flow_runs/filter") as api, temporary_settings({PREFECT_API_URL: api}):
        reasons = _fail(run, PhonesFailed("1 failed."))

    assert reasons == ["1 failed."]


def test_the_phones_part_rings_beside_a_post_that_failed(
    taisly: TaislyAccount, sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """Each with its own reason."""
    sandbox.fail_next(platform="Instagram", reason="too loud")
    sandbox.order_fault("status_before", "POST", "*/task", status=500)
    host = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=[SERIAL], poll_seconds=0.01, auto_retry=False)
    post = PostForm(video=str(clip("small.mp4")), accounts=["TikTok @mara.bakes", "Instagram"], watch_minutes=1)
    engage = EngageForm(devices=[SERIAL], comments=["first!"], watch_minutes=1)

    state: Any = publish_and_engage(taisly, post, engage, host, return_state=True)

    found = {alarm.kind: alarm.reason for alarm in _alarms_of(state.state_details.flow_run_id)}
    assert state.is_failed()
    assert found["post"] == "too loud"
    assert "TikMatrix" in found["run"]


def test_an_unconfirmed_post_that_is_started_again_rings_with_its_send_id(
    taisly: TaislyAccount, sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """That of the earlier run, and with the reason alone: what to do is said once, at the end of the message."""
    sandbox.order_fault("status_before", "POST", "/api/private/post", status=500)
    taisly.unconfirmed_after_minutes = 0
    post = PostForm(video=str(clip("small.mp4")), accounts=["x"], watch_minutes=1)

    first, again = (publish_video(taisly, post, return_state=True) for _ in range(2))

    (earlier,) = _alarms_of(first.state_details.flow_run_id)
    (alarm,) = _alarms_of(again.state_details.flow_run_id)
    assert earlier.ref
    assert (alarm.ref, alarm.reason, alarm.cause) == (earlier.ref, earlier.reason, earlier.cause)
    assert "resolve-post" not in alarm.reason
