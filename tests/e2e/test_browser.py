"""`reelflow up`, and a person with a browser: real Chromium, a real Prefect server, the sandbox."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.api import ask
from support.browser import submit
from support.processes import REELFLOW
from support.waiting import until

from deployments.spec import deployment_specs
from reelflow.time_zones import shown_zone

with contextlib.suppress(ImportError):  # without it, the fixture `browser` skips
    from playwright import sync_api

pytestmark = pytest.mark.slow


def test_free_ports_are_used_when_the_usual_ones_are_taken(up: Any) -> None:
    """Nothing of somebody else's is disturbed, and the addresses printed are the true ones."""
    assert not up.address("Prefect UI").endswith(":4200")
    assert not up.address("Sandbox").endswith(":8099")


def test_a_second_up_in_the_folder_says_where_the_first_is_and_leaves_it_alone(up: Any) -> None:
    """Its blocks still lead to its own sandbox, and it goes on."""
    second = subprocess.run(
        [*REELFLOW, "up"], cwd=up.log.parent, capture_output=True, text=True, timeout=60, check=False
    )

    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr.startswith(f"reelflow: reelflow is already running in {up.log.parent}")
    assert f"its UI is at {up.ui}. Nothing was started." in second.stderr
    assert second.stderr.count("\n") == 1
    assert up.process.poll() is None


def _form(page: Any, up: Any, deployment: str) -> None:
    page.goto(f"{up.ui}/v2/deployments/deployment/{up.deployment_id(deployment)}/run")
    sync_api.expect(page.get_by_role("button", name="Submit")).to_be_enabled()
    sync_api.expect(page.get_by_text("sandbox", exact=True).first).to_be_visible()  # the block is preselected


def test_a_person_publishes_from_the_form_and_sees_the_result(up: Any, page: Any) -> None:
    """Deployments, Custom run, Submit; then the run with its report, and the post on the sandbox's page."""
    expect = sync_api.expect
    page.goto(up.address("Publish a video"))  # what `reelflow up` prints is the form
    expect(page.get_by_role("button", name="Submit")).to_be_enabled()
    page.goto(f"{up.ui}/v2/deployments")
    expect(page.get_by_text(f"{len(deployment_specs())} Deployments")).to_be_visible()
    names = page.locator("tbody tr td:nth-child(2)").all_inner_texts()
    assert [name.splitlines()[0] for name in names] == sorted(spec.deployment for spec in deployment_specs())[:10]
    assert names[0].startswith("01-publish-video")
    page.get_by_placeholder("Search deployments").fill("publish-video")
    expect(page.get_by_role("link", name="01-publish-video", exact=True).first).to_be_visible()
    page.goto(f"{up.ui}/v2/deployments/deployment/{up.deployment_id('publish-video')}")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    for title in ("Video", "Accounts", "Caption", "Publish at", "Dry run", "Advanced"):
        expect(page.get_by_text(title, exact=False).first).to_be_visible()
    expect(page.get_by_text("sandbox", exact=True).first).to_be_visible()
    submit(page)

    until("the run's end", lambda: up.runs("publish-video")[0]["state_type"] == "COMPLETED", seconds=120)
    run = up.runs("publish-video")[0]
    page.goto(f"{up.ui}/v2/runs/flow-run/{run['id']}")  # the lists move while they are renewed, and cannot be clicked
    expect(page.get_by_text("dunes.mp4 to all").first).to_be_visible()
    expect(page.get_by_text("Completed").first).to_be_visible()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("Published to 6 of 6 accounts.").last.click()
    expect(page.get_by_role("img", name="preview")).to_be_visible()
    expect(page.get_by_role("link", name="open the post")).to_have_count(6)

    page.goto(up.address("Sandbox"))
    expect(page.get_by_text("Sunset over the dunes #reelflow")).to_be_visible()
    expect(page.locator(".pill.SUCCESS")).to_have_count(6)


def test_a_person_saves_a_block_and_publishes_with_it(up: Any, page: Any) -> None:
    """The block's own form, the key masked; then it is chosen in the run form.

    The video was published by the test before, so this is a post that is sent again on purpose.
    """
    expect = sync_api.expect
    page.goto(f"{up.ui}/v2/blocks/catalog/taisly-account/create")
    page.get_by_label("Name").first.fill("mine")
    page.locator("input[type=password]").fill("taisly_sandbox")
    address = page.locator("textarea").first
    expect(address).to_have_value("https://app.taisly.com/api/private")
    address.fill(f"{up.address('Sandbox')}/api/private")
    submit(page, lambda: page.get_by_text("mine").count() > 0, button="Save")
    expect(page.get_by_text("taisly_sandbox", exact=True)).to_have_count(0)

    _form(page, up, "publish-video")
    page.get_by_text("sandbox", exact=True).first.click()
    page.get_by_role("option", name="mine").click()
    page.locator("textarea").first.fill("with a block of my own")
    page.get_by_text("Change", exact=True).click()
    page.get_by_label("Send again on purpose").fill("1")
    submit(page)

    until("the post", lambda: [p for p in up.sandbox()["posts"] if p["caption"] == "with a block of my own"])
    until("the run's end", lambda: up.runs("publish-video")[0]["state_type"] == "COMPLETED")
    up.delete_block("mine")  # with two clients, no form preselects one


def test_a_person_schedules_a_post_from_lists(up: Any, page: Any) -> None:
    """Accounts and video are chosen, the time is typed; at most 8 clicks and 30 keys besides the dry run's."""
    up.set_defaults("publish-video", post={"video": "dunes.mp4"})  # as setup leaves it: no accounts yet
    _form(page, up, "publish-video")
    page.wait_for_timeout(1000)
    hand = _Hand(page)
    expect, day = sync_api.expect, datetime.now(shown_zone()) + timedelta(days=2)  # tomorrow may be within 24 hours
    hand.click(page.get_by_text("dunes.mp4", exact=True))
    hand.click(page.get_by_role("option", name="dunes.mp4"))
    page.wait_for_timeout(1000)  # the form settles: it closes a list that was opened before
    hand.click(page.get_by_text("Select", exact=True))
    hand.click(page.get_by_role("option", name="YouTube Mara Bakes"))
    hand.press("Escape")
    hand.click(page.locator("textarea").first)
    hand.press("Control+A")
    hand.type("At six")
    hand.click(page.get_by_text("At", exact=True))
    hand.click(page.locator("textarea").nth(1))
    hand.type(f"{day.day} {day:%b} 18:00")
    page.get_by_label("Dry run").click()  # the video was published by a test before
    submit(page)

    assert (hand.clicks + 1, hand.keys) <= (8, 30)
    until("the run's end", lambda: up.runs("publish-video")[0]["state"]["name"] == "Dry run")
    (run, *_) = up.runs("publish-video")
    assert run["parameters"]["post"]["accounts"] == ["YouTube Mara Bakes"]
    page.goto(f"{up.ui}/v2/runs/flow-run/{run['id']}")
    expect(page.get_by_text("dry run: dunes.mp4 to YouTube Mara Bakes").first).to_be_visible()


class _Hand:
    """A person's hand, which is counted."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self.clicks = self.keys = 0

    def click(self, what: Any) -> None:
        self.clicks += 1
        what.first.click()

    def press(self, key: str) -> None:
        self.keys += 1
        self._page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.keys += len(text)
        self._page.keyboard.type(text)


COUNT = """for (const [event, key] of [["click", "clicks"], ["keydown", "keys"]]) addEventListener(event, (e) => {
  if (e.isTrusted) localStorage.setItem(key, Number(localStorage.getItem(key)) + 1) }, true)"""
"""Counts what a person does on the pages of a tab."""


def test_ten_videos_from_a_folder_take_few_clicks_and_keystrokes(
    up: Any, page: Any, videos: Callable[[int], Path]
) -> None:
    """From the list of deployments to the last submitted key; then all ten are scheduled, each in a slot of its own."""
    folder = up.log.parent / "ten-videos"
    folder.mkdir()
    for n in range(10):
        shutil.copy(videos(50 + n), folder / f"video-{n}.mp4")
        (folder / f"video-{n}.txt").write_text(f"Number {n} of ten", "utf-8")
    page.add_init_script(COUNT)
    page.goto(f"{up.ui}/v2/deployments")
    page.get_by_role("link", name="03-publish-campaign").first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    sync_api.expect(page.get_by_text("sandbox", exact=True).first).to_be_visible()
    page.get_by_role("tab", name="Type").first.click()
    page.locator("textarea").first.click()
    page.keyboard.type(folder.name)
    page.get_by_text("Select", exact=True).first.click()
    page.get_by_role("option", name="Instagram").first.click()
    page.keyboard.press("Escape")
    submit(page)
    clicks, keys = (int(page.evaluate(f"localStorage.getItem('{key}')")) for key in ("clicks", "keys"))

    until("the run's end", lambda: up.runs("publish-campaign")[0]["state_type"] == "COMPLETED")
    posts = [post for post in up.sandbox()["posts"] if post["caption"].endswith("of ten")]
    assert (len(posts), len({post["scheduled"] for post in posts})) == (10, 10)
    assert clicks <= 12
    assert keys <= 60


def test_wrong_input_is_refused_at_the_field(up: Any, page: Any) -> None:
    """A number beyond its bounds, and a field that is empty: said there, and no run is made."""
    before = len(up.runs("publish-video"))
    _form(page, up, "publish-video")
    page.get_by_text("Change", exact=True).click()
    number = page.get_by_label("Preview at (seconds)")
    number.fill("120")
    page.get_by_role("button", name="Submit").click()
    assert "less than or equal to 90" in number.evaluate("field => field.validationMessage")

    number.fill("0")
    page.get_by_text("At", exact=True).click()
    page.get_by_role("button", name="Submit").click()

    sync_api.expect(page.get_by_text("'scheduled_for' is a required property").first).to_be_visible()
    assert len(up.runs("publish-video")) == before


def test_a_person_cancels_a_run_on_phones(up: Any, page: Any) -> None:
    """Menu, Cancel: the run ends as Cancelled, its tasks are cancelled, and its log says so."""
    _form(page, up, "follow-users")
    submit(page)
    until("the tasks", lambda: len(up.sandbox()["phone_tasks"]) >= 3)
    (run,) = up.runs("follow-users")

    page.goto(f"{up.ui}/v2/runs/flow-run/{run['id']}")
    page.locator("button:has(svg.lucide-ellipsis-vertical)").first.click()
    page.get_by_role("menuitem", name="Cancel").click()
    page.get_by_role("button", name="Cancel Flow Run").click()

    until("the cancellation", lambda: up.runs("follow-users")[0]["state_type"] == "CANCELLED")
    until("the clearing up", lambda: all(task["status"] == 2 for task in up.sandbox()["phone_tasks"]))
    until("the words in its log", lambda: "The run was cancelled. " in up.api.log_of(run["id"]))


def _prefix(up: Any, page: Any, ui: str) -> str:
    """What the addresses of one of Prefect's two UIs begin with, once it is the one in use."""
    if ui == "v2":
        return "/v2"
    page.goto(f"{up.ui}/v2/dashboard")
    page.get_by_text("Switch to V1 UI").click()
    page.wait_for_timeout(1000)
    return ""


def test_a_time_zone_of_a_block_is_chosen_from_a_list(up: Any, page: Any) -> None:
    """With a search: what is typed in a block's form is not checked, so a zone cannot be typed."""
    page.goto(f"{up.ui}/v2/blocks/catalog/tikmatrix-host/create")
    page.get_by_label("Name").first.fill("zoned")
    page.get_by_role("button", name="Add item").click()
    page.locator("textarea").first.fill("R58N01SANDBOX: ada.daily")
    page.get_by_text("Select", exact=True).first.click()
    page.keyboard.type("berlin")
    page.get_by_role("option", name="Europe/Berlin").click()
    submit(page, lambda: page.get_by_text("zoned").count() > 0, button="Save")

    sync_api.expect(page.get_by_text("zoned").first).to_be_visible()
    body = {"block_documents": {"name": {"any_": ["zoned"]}}}
    until("the block", lambda: ask("POST", f"{up.ui}/api/block_documents/filter", **body))
    (saved,) = ask("POST", f"{up.ui}/api/block_documents/filter", **body)
    assert saved["data"]["time_zone"] == "Europe/Berlin"
    assert saved["data"]["phones"] == ["R58N01SANDBOX: ada.daily"]


@pytest.mark.parametrize("ui", ["v2", "v1"])
def test_every_form_opens_in_both_uis(up: Any, page: Any, ui: str) -> None:
    """With the titles of its fields, and nothing that asks for JSON."""
    prefix = _prefix(up, page, ui)
    for name, title in (
        ("publish-video", "Video"),
        ("cancel-scheduled-post", "History id"),
        ("resolve-post", "What you found"),
        ("finish-open-posts", "Watch for up to (minutes)"),
        ("finish-phone-tasks", "Cancel tasks of dead runs"),
        ("check-connections", "Submit"),
        ("show-week", "Days back"),
        ("publish-and-engage", "Comment on"),
        ("publish-campaign", "Nothing"),
        ("warm-up-accounts", "Duration (seconds)"),
        ("comment-on-posts", "Posts"),
        ("follow-users", "Users"),
        ("unfollow-users", "Users"),
        ("post-from-phones", "Material from"),
        ("manage-phone-tasks", "Request IDs"),
        ("watch-runs", "Dead after (minutes)"),
        ("tidy-ledger", "Keep for (days)"),
    ):
        page.goto(f"{up.ui}{prefix}/deployments/deployment/{up.deployment_id(name)}/run")
        sync_api.expect(page.get_by_text(title).first).to_be_visible()
        sync_api.expect(page.locator(".cm-editor")).to_have_count(0)
        if ui == "v2" and (name in TALLEST or up.tags(name) == ["reelflow", "phones"]):
            height = page.evaluate("Math.max(...[...document.querySelectorAll('*')].map(e => e.scrollHeight))")
            assert height <= max(TALLEST.get(name, 1700), 1400), (name, height)  # the window itself is 1400 high


@pytest.mark.parametrize("ui", ["v2", "v1"])
def test_a_row_that_is_left_empty_is_ignored(up: Any, page: Any, ui: str) -> None:
    """Of text or of a number; both are shown as rows to type in."""
    before = len(up.runs("manage-phone-tasks"))
    page.goto(f"{up.ui}{_prefix(up, page, ui)}/deployments/deployment/{up.deployment_id('manage-phone-tasks')}/run")
    for place in (0, 1):
        page.get_by_role("button", name="Add item").nth(place).click()
    sync_api.expect(page.locator("input[type=number]")).to_have_count(1)
    sync_api.expect(page.locator("textarea")).to_have_count(1)
    submit(page, lambda: len(up.runs("manage-phone-tasks")) > before)
    until("its end", lambda: up.runs("manage-phone-tasks")[0]["state_type"] == "COMPLETED", seconds=120)
    tasks = up.runs("manage-phone-tasks")[0]["parameters"]["tasks"]
    assert (tasks["task_ids"], tasks["request_ids"]) == ([None], [None])


TALLEST = {"publish-video": 1400, "publish-and-engage": 2600}
"""Pixels of the forms with a post in them; 410 of each are Prefect's own. Those of phones have at most 1,700."""


def test_every_artifact_opens_in_both_uis(up: Any, page: Any) -> None:
    """What the runs above left, and what the flows that look after everything write."""
    names = ("check-connections", "show-week", "manage-phone-tasks", "watch-runs", "finish-phone-tasks", "tidy-ledger")
    for name in names:
        up.start(name)
    for name in names:
        until(name, lambda name=name: any(r["state_type"] == "COMPLETED" for r in up.runs(name)), seconds=120)
    artifacts = [each for each in up.artifacts() if each["description"]]
    assert {each["type"] for each in artifacts} >= {"markdown", "progress"}
    for ui in ("v2", "v1"):
        prefix = _prefix(up, page, ui)
        for each in artifacts:
            page.goto(f"{up.ui}{prefix}/artifacts/artifact/{each['id']}")
            sync_api.expect(page.get_by_text(each["description"], exact=False).first).to_be_visible()
            page.wait_for_timeout(300)  # a page that breaks does so when its data has come
            sync_api.expect(page.get_by_text("Something went wrong")).to_have_count(0)
