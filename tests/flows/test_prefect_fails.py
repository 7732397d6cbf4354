"""Runs whose Prefect server fails for a moment, as it does while the PostgreSQL behind it restarts."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.failing_server import failing_server

from blocks import TaislyAccount
from flows.campaign import publish_campaign
from flows.publish import publish_video
from reelflow.campaigns import ledger_wait
from reelflow.campaigns.form import CampaignForm
from reelflow.errors import OutcomeUnknown
from reelflow.posts.form import PostForm
from tasks import prefect_server
from tasks.prefect_server import reading_prefect
from tasks.remembered import VARIABLE
from tasks.run_facts import is_restart

pytestmark = pytest.mark.usefixtures("server")


def test_a_campaign_sends_every_post_although_the_server_fails_when_they_are_claimed(
    server: str, sandbox: Any, videos: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has to remember each claim before its upload; it is told again, and no row is left to a person."""
    monkeypatch.setattr(ledger_wait, "PAUSE", 0.1)
    for number in range(3):
        shutil.copy(videos(number), tmp_path / f"{number}.mp4")
    taisly = TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.1)
    when = datetime.now(UTC) + timedelta(days=7)
    rows = [f"{n}.mp4,caption {n},Instagram,{when + timedelta(hours=n):%Y-%m-%dT%H:%M:00Z}" for n in range(3)]
    plan = tmp_path / "plan.csv"
    plan.write_text("\n".join(["video,caption,accounts,when", *rows]) + "\n", "utf-8")

    failing = failing_server(server, f"/{VARIABLE}", method="PATCH", times=4)
    with failing as api, temporary_settings({PREFECT_API_URL: api}):
        state: Any = publish_campaign(taisly, CampaignForm(plan=str(plan)), return_state=True)

    assert state.name == "Scheduled", state.message
    assert sorted(post["caption"] for post in sandbox.posts) == ["caption 0", "caption 1", "caption 2"]


def test_a_read_waits_for_a_server_that_fails_for_a_moment(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_server, "FIRST_PAUSE", 0.1)

    def read() -> str:
        with get_client(sync_client=True) as client:
            return str(client.api_url) if client.read_variable_by_name("no-such") is None else "found"

    with failing_server(server, "/no-such", times=3) as api, temporary_settings({PREFECT_API_URL: api}):
        assert reading_prefect(read).startswith(api)


def test_a_read_gives_up_on_a_server_that_fails_for_long(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_server, "PATIENCE", 1.0)
    monkeypatch.setattr(prefect_server, "FIRST_PAUSE", 0.1)

    def read() -> object:
        with get_client(sync_client=True) as client:
            return client.read_variable_by_name("no-such")

    with (
        failing_server(server, "/no-such") as api,
        temporary_settings({PREFECT_API_URL: api}),
        pytest.raises(OutcomeUnknown, match="failed \\(500\\)"),
    ):
        reading_prefect(read)


def test_a_run_waits_for_its_blocks(
    server: str, sandbox: Any, clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect itself calls a run failed whose blocks cannot be read as it begins."""
    monkeypatch.setattr(prefect_server, "FIRST_PAUSE", 0.1)
    taisly: Any = TaislyAccount(
        api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.1
    )
    taisly.save("read-later", overwrite=True)
    block: Any = {"$ref": {"block_document_slug": "taisly-account/read-later"}}
    post = PostForm(video=str(clip("small.mp4")), accounts=["x"], watch_minutes=0.5)

    failing = failing_server(server, "/read-later?include_secrets=true", times=2, seen=(asked := []))
    with failing as api, temporary_settings({PREFECT_API_URL: api}):
        state: Any = publish_video(block, post, return_state=True)

    assert (state.name, len(sandbox.posts)) == ("Completed", 1), state.message
    assert len(asked) >= 3


def test_a_second_attempt_asks_a_failing_server_again_who_started_it(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A campaign asks that before its first post, and would end without it."""
    monkeypatch.setattr(prefect_server, "FIRST_PAUSE", 0.1)
    found = list[bool]()

    @flow(retries=1)
    def dies_once() -> None:
        if flow_run.run_count == 1:
            raise ConnectionError("The first attempt dies.")
        own = failing_server(server, f"flow_run_id={flow_run.id}", times=3)
        with own as api, temporary_settings({PREFECT_API_URL: api}):
            found.append(is_restart())

    dies_once()

    assert found == [False]
