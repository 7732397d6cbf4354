"""Two clients as docs/howto/agency.md has a new user try them: its commands, and a person with a browser."""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser import submit
from support.deployed_server import DeployedServer
from support.document import Shell, blocks_of, section_of
from support.prefect_server import UNSCHEDULED
from support.terminal import talk
from support.topology import Topology, answers, environment_of, new_topology
from support.waiting import until

from reelflow.ports import free_port
from reelflow.sandbox import SandboxControl

with contextlib.suppress(ImportError):  # without it, the fixture `browser` skips
    from playwright import sync_api

pytestmark = pytest.mark.slow
DOCUMENT = Path(__file__).parents[2] / "docs" / "howto" / "agency.md"
SETTINGS = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **UNSCHEDULED}
"""A shell in which the commands are found; the server starts nothing beside what a person starts."""
SETUP_SECONDS = 120
REFUSED = "is an account of the client cafe, but this run is for bakery. Choose cafe as 'Taisly account'"
OPEN = "1 open post of the client bakery, whose block was deleted: its outcome cannot be read. Save its API key again"


class Tried(DeployedServer):
    """What the section "Try it" starts, on free ports of this machine and in a home folder of its own."""

    def __init__(self, topology: Topology) -> None:
        port, sandbox_port = free_port(), free_port()
        self._ui = f"http://127.0.0.1:{port}"
        self.sandbox = SandboxControl(f"http://127.0.0.1:{sandbox_port}")
        self._typed = {"]: ": iter(["Europe/Berlin"])}  # setup asks for the time zone, once
        self._topology, self._home = topology, topology.folder / "home" / "agency"
        substitutes = {
            "reelflow sandbox": f"reelflow sandbox --port {sandbox_port}",
            "127.0.0.1:8099": f"127.0.0.1:{sandbox_port}",
            "prefect server start": f"PREFECT_SERVER_API_PORT={port} prefect server start",
            "127.0.0.1:4200": f"127.0.0.1:{port}",
        }
        self._blocks = blocks_of(section_of(DOCUMENT, "## Try it"), substitutes)

    @property
    def ui(self) -> str:
        return self._ui

    def follow(self) -> str:
        """Do what the section says; what is printed in its third terminal."""
        self._home.mkdir(parents=True)
        two, third = self._blocks
        assert isinstance(two, Shell)
        assert isinstance(third, Shell)
        sandbox, server = two.lines
        self._start("sandbox", sandbox, is_up=answers(self.sandbox.url))
        self._start("server", server, is_up=answers(f"{self.ui}/api/ready"))
        *lines, worker = third.lines
        code, printed = talk(
            ["bash", "-euc", "\n".join(lines)], self._typed, cwd=self._home, env=environment_of(self._home, SETTINGS),
            seconds=SETUP_SECONDS,
        )  # fmt: skip
        assert code == 0, printed
        (variables,) = (line.removeprefix("export ") for line in lines if line.startswith("export "))
        self._start("worker", f"env {variables} {worker}")
        return printed

    def _start(self, name: str, line: str, **more: Any) -> None:
        self._topology.add(name, shlex.split(f"env {line}"), SETTINGS, machine="agency", cwd=self._home, **more).start()


@pytest.fixture
def tried() -> Iterator[Tried]:
    """The section's commands, carried out in a fresh home."""
    with new_topology() as topology:
        yield Tried(topology)


def test_a_new_user_tries_two_clients_and_deletes_one(tried: Tried, page: Any, clip: Callable[[str], Path]) -> None:
    """No client is preselected; another one's account is refused, one's own is published to; the week says the rest."""
    expect = sync_api.expect
    printed = tried.follow()
    assert "The forms offer the accounts of 2 clients: bakery, cafe." in printed
    page.goto(f"{tried.ui}/v2/deployments")
    page.get_by_placeholder("Search deployments").fill("publish-video")
    expect(page.get_by_role("link", name="01-publish-video", exact=True).first).to_be_visible()

    _fill_in(tried, page, clip("small.mp4"), "cafe: TikTok @cafe.daily")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("'taisly' is a required property").first).to_be_visible()
    assert tried.runs("publish-video") == []

    _choose_client(page, "bakery")
    submit(page)
    until("the refusal", lambda: tried.runs("publish-video")[0]["state_type"] == "FAILED")
    (refused,) = tried.runs("publish-video")
    # A log that the page shows gets no later lines.
    until("its log", lambda: "but this run is for bakery" in tried.api.log_of(refused["id"]))
    page.goto(f"{tried.ui}/v2/runs/flow-run/{refused['id']}")
    expect(page.get_by_text(REFUSED, exact=False).first).to_be_visible()
    assert tried.sandbox.posts == []
    assert tried.sandbox.requests("POST /api/private/post") == 0

    _fill_in(tried, page, clip("small.mp4"), "cafe: TikTok @cafe.daily")
    _choose_client(page, "cafe")
    submit(page)
    until("the post", lambda: tried.runs("publish-video")[0]["state_type"] == "COMPLETED")
    assert [post["client"] for post in tried.sandbox.posts] == ["cafe"]
    page.goto(f"{tried.ui}/v2/runs/flow-run/{tried.runs('publish-video')[0]['id']}")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("Published to 1 of 1 account: TikTok @cafe.daily.").last.click()
    expect(page.get_by_role("heading", name="cafe: small.mp4").first).to_be_visible()

    post = {"video": str(clip("small.mp4")), "accounts": ["all"], "watch_minutes": 0}
    tried.start("publish-video", taisly={"$ref": {"block_document_id": tried.block_id("bakery")}}, post=post)
    until("the open post", lambda: tried.runs("publish-video")[0]["state_type"] == "COMPLETED")
    tried.delete_block("bakery")
    tried.start("show-week")
    until("the week", lambda: tried.runs("show-week")[0]["state_type"] == "COMPLETED")
    (week,) = (each for each in tried.artifacts() if each["key"] == "reelflow-week")
    page.goto(f"{tried.ui}/v2/artifacts/artifact/{week['id']}")
    expect(page.get_by_role("heading", name="Posts of deleted clients")).to_be_visible()
    expect(page.get_by_text(OPEN, exact=False).first).to_be_visible()


def _fill_in(tried: Tried, page: Any, video: Path, account: str) -> None:
    """The form of a post, in which no client is chosen yet."""
    page.goto(f"{tried.ui}/v2/deployments/deployment/{tried.deployment_id('publish-video')}/run")
    sync_api.expect(page.get_by_role("button", name="Select a block")).to_have_text("Select a block...")
    page.wait_for_timeout(1000)  # the form settles: it closes a list that was opened before
    page.locator("textarea").first.fill(str(video))
    page.get_by_text("Select", exact=True).first.click()
    page.get_by_role("option", name=account).click()
    page.keyboard.press("Escape")


def _choose_client(page: Any, name: str) -> None:
    """Choose a block as "Taisly account"."""
    page.get_by_role("button", name="Select a block").click()
    page.get_by_role("option", name=name, exact=True).click()
