"""Runs whose Prefect server fails for a moment, as it does while the PostgreSQL behind it restarts."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import Variable as StoredVariable
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running, Scheduled
from prefect.variables import Variable
from support.commands import reelflow
from support.engaging import deployed, saved
from support.failing_server import failing_server
from support.seen import logs_of

from blocks import TaislyAccount
from flows.campaign import publish_campaign
from flows.connections import check_connections
from flows.finish import finish_open_posts
from flows.publish import publish_video
from reelflow.campaigns.form import CampaignForm
from reelflow.errors import OutcomeUnknown
from reelflow.posts.form import PostForm
from reelflow.time_zones import use_zone
from tasks.prefect_server import PATIENCE, read_patiently
from tasks.remembered import VARIABLE
from tasks.run_facts import STARTED_AGAIN, TAG, is_restart
from tasks.zone import TIME_ZONE_VARIABLE

pytestmark = pytest.mark.usefixtures("server")


@contextmanager
def _failing(server: str, route: str, **how: Any) -> Iterator[list[str]]:
    """Use the server through one of which a route fails; what was asked there."""
    asked: list[str] = []
    with failing_server(server, route, seen=asked, **how) as api, temporary_settings({PREFECT_API_URL: api}):
        yield asked


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.1)


def test_a_campaign_sends_every_post_although_the_server_fails_when_they_are_claimed(
    server: str, taisly: TaislyAccount, sandbox: Any, videos: Callable[[int], Path], tmp_path: Path
) -> None:
    """The server has to remember each claim before its upload; it is told again, and no row is left to a person."""
    for number in range(3):
        shutil.copy(videos(number), tmp_path / f"{number}.mp4")
    when = datetime.now(UTC) + timedelta(days=7)
    rows = [f"{n}.mp4,caption {n},Instagram,{when + timedelta(hours=n):%Y-%m-%dT%H:%M:00Z}" for n in range(3)]
    plan = tmp_path / "plan.csv"
    plan.write_text("\n".join(["video,caption,accounts,when", *rows]) + "\n", "utf-8")

    with _failing(server, f"/{VARIABLE}", method="PATCH", times=4) as asked:
        state: Any = publish_campaign(taisly, CampaignForm(plan=str(plan)), return_state=True)
        log = logs_of(state)

    assert state.name == "Scheduled", state.message
    assert sorted(post["caption"] for post in sandbox.posts) == ["caption 0", "caption 1", "caption 2"]
    assert sum(request.startswith("PATCH") for request in asked) > 4
    assert "The posts wait for the ledger, and this run keeps trying." in log


def test_a_run_waits_for_its_blocks(server: str, taisly: Any, sandbox: Any, clip: Callable[[str], Path]) -> None:
    """Prefect itself calls a run failed whose blocks cannot be read as it begins."""
    saved = taisly.save("read-later", overwrite=True)
    block: Any = {"$ref": {"block_document_id": str(saved)}}
    post = PostForm(video=str(clip("small.mp4")), accounts=["x"], watch_minutes=0.5)

    with _failing(server, f"/{saved}?include_secrets=true", times=1) as asked:
        state: Any = publish_video(block, post, return_state=True)

    assert (state.name, len(sandbox.posts)) == ("Completed", 1), state.message
    assert len(asked) > 1


@pytest.fixture
def in_kolkata(server: str) -> Iterator[ZoneInfo]:
    """The time zone of the server, which is that of no machine that runs these tests."""
    Variable.set(TIME_ZONE_VARIABLE, "Asia/Kolkata", overwrite=True)
    yield ZoneInfo("Asia/Kolkata")
    Variable.unset(TIME_ZONE_VARIABLE)
    use_zone(None)


def test_a_time_of_the_form_is_that_of_the_servers_zone_although_that_is_not_told_at_once(
    server: str, taisly: TaislyAccount, sandbox: Any, clip: Callable[[str], Path], in_kolkata: ZoneInfo
) -> None:
    """Read in this machine's zone, the post would be published hours too early or too late."""
    at = (datetime.now(in_kolkata) + timedelta(days=2)).replace(hour=18, minute=0, second=0, microsecond=0)
    post = PostForm(video=str(clip("small.mp4")), accounts=["x"], scheduled_for=f"{at:%Y-%m-%d %H:%M}")

    with _failing(server, f"/{TIME_ZONE_VARIABLE}", times=1) as asked:
        state: Any = publish_video(taisly, post, return_state=True)

    assert state.name == "Scheduled", state.message
    assert [post["scheduled"] for post in sandbox.posts] == [at.timestamp() * 1000]
    assert len(asked) > 1


def _help_of_time(deployment: Any) -> str:
    """What the form of a deployment says of the time."""
    with get_client(sync_client=True) as client:
        schema = client.read_deployment(deployment).parameter_openapi_schema
    return str(schema["definitions"]["PostForm"]["properties"]["scheduled_for"]["description"])


def test_a_time_zone_that_is_not_valid_is_refused(
    server: str, taisly: TaislyAccount, sandbox: Any, clip: Callable[[str], Path], in_kolkata: ZoneInfo
) -> None:
    """Typed in the UI; a time of the form would be another one in this machine's zone. Upkeep only shows times.

    Checks and doctor say it; the forms, which name the zone, stay as they are.
    """
    taisly.save("kolkata", overwrite=True)
    Variable.set(TIME_ZONE_VARIABLE, "Kolkata", overwrite=True)
    post = PostForm(video=str(clip("small.mp4")), accounts=["x"], scheduled_for="2030-01-01 18:00")

    state: Any = publish_video(taisly, post, return_state=True)
    finished: Any = finish_open_posts(taisly, return_state=True)
    use_zone("Asia/Tokyo")  # so the form says
    with deployed("publish-video", "publish-video/01-kolkata", tags=[TAG], taisly=saved(taisly)) as made:
        use_zone(None)
        checked: Any = check_connections(return_state=True)
        doctor = reelflow("doctor", COLUMNS="500")
        left = _help_of_time(made)
        Variable.set(TIME_ZONE_VARIABLE, "Asia/Kolkata", overwrite=True)
        check_connections(return_state=True)
        corrected = _help_of_time(made)

    assert (state.is_failed(), sandbox.posts) == (True, [])
    assert finished.is_completed(), finished.message
    assert "Times are shown in " in logs_of(finished)
    assert checked.is_failed()
    assert "Time zone: The variable reelflow_time_zone is not valid." in checked.message
    assert re.search(r"^FAILED +Time zone +The variable reelflow_time_zone is not valid", doctor.stdout, re.MULTILINE)
    assert "(Asia/Tokyo)" in left
    assert "(Asia/Kolkata)" in corrected
    assert "The variable reelflow_time_zone is not valid." in state.message
    assert "Run `reelflow setup --time-zone NAME`, then start the run again." in state.message


def _read() -> StoredVariable | None:
    with get_client(sync_client=True) as client:
        return client.read_variable_by_name("no-such")


def test_a_read_waits_for_a_server_that_fails_for_a_moment(server: str) -> None:
    """A minute is enough for a server, or its PostgreSQL, that restarts."""
    slept = list[float]()

    with _failing(server, "/no-such", times=3) as asked:
        found = read_patiently(_read, sleep=slept.append)

    assert (found, len(asked), slept) == (None, 4, [1, 2, 4])


def test_a_read_gives_up_on_a_server_that_fails_for_long(server: str) -> None:
    """With one sentence that says what to do."""
    slept = list[float]()

    with _failing(server, "/no-such"), pytest.raises(OutcomeUnknown, match=r"failed \(500\)\. Start the run again"):
        read_patiently(_read, sleep=slept.append)

    assert PATIENCE - 1 <= sum(slept) <= PATIENCE


def test_a_run_that_is_started_again_asks_a_failing_server_again_who_did_it(server: str) -> None:
    """A campaign asks that before its first post, and would end without it."""
    found = list[bool]()

    @flow(retries=1)
    def dies_once() -> None:
        if flow_run.run_count == 1:
            raise ConnectionError("The first attempt dies.")
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run.id, Scheduled(message=f"{STARTED_AGAIN}: …"), force=True)
            client.set_flow_run_state(flow_run.id, Running(), force=True)
        found.append(is_restart())

    with _failing(server, "/flow_run_states/", times=1) as asked:
        dies_once()

    assert (found, len(asked)) == ([True], 2)
