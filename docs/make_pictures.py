"""Make docs/pictures: ``make pictures`` starts `reelflow up`, uses it in Chromium, and takes screenshots."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient

from deployments.local.processes import wait_until
from deployments.spec import ROOT, spec_of

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

FOLDER = ROOT / "docs" / "pictures"
WINDOW: ViewportSize = {"width": 1180, "height": 820}
WHOLE_FORM: ViewportSize = {"width": 1180, "height": 1440}
WHOLE_LOG: ViewportSize = {"width": 1180, "height": 960}
START_SECONDS = 150.0
"""For a first start, which creates a database and registers every flow."""
RUN_SECONDS = 180.0
"""For publish-and-engage: posts, warm-ups and comments one after the other, each up to 15 s in the sandbox."""


def make_pictures() -> None:
    """Take the nine pictures."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium was not found. Install chromium or google-chrome.")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, _up(Path(folder)) as (ui, sandbox), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=WINDOW)
        _take(page, f"{ui}/v2/deployments?limit=25", "deployments")
        with SyncPrefectClient(f"{ui}/api", httpx_settings={"trust_env": False}) as client:
            page.set_viewport_size(WHOLE_FORM)
            _take(page, f"{ui}/v2/deployments/deployment/{_id(client, 'publish-video')}/run", "form")
            page.set_viewport_size(WINDOW)
            page.get_by_text("Select", exact=True).click()
            _take(page, None, "choose")
            page.keyboard.press("Escape")
            _write_time(page)
            _take(page, None, "schedule")
            run_id = _run(client, "publish-and-engage")
            wrong = {"video": "dunes.mp4", "accounts": ["TikTok @mara.baker"]}
            failed_id = _run(client, "publish-video", post=wrong)
        page.set_viewport_size(WHOLE_LOG)
        _take(page, f"{ui}/v2/runs/flow-run/{failed_id}", "failed")
        page.set_viewport_size(WINDOW)
        _take(page, f"{ui}/v2/runs/flow-run/{run_id}", "run")
        for picture, text in (("report", "Published to"), ("phones", "comments completed")):
            page.goto(f"{ui}/v2/runs/flow-run/{run_id}")
            page.get_by_role("tab", name="Artifacts").click()
            page.get_by_text(text).last.click()
            _take(page, None, picture)
        _take(page, sandbox, "sandbox")
        browser.close()


@contextmanager
def _up(folder: Path) -> Iterator[tuple[str, str]]:
    log = folder / "up.log"
    with log.open("w") as out:
        environment = {**os.environ, "HOME": str(folder)}
        command = [sys.executable, "-m", "deployments", "up"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
    try:
        if not wait_until(lambda: "Ready." in log.read_text(), START_SECONDS):
            raise SystemExit(f"`reelflow up` did not start. Its output:\n{log.read_text()}")
        lines = log.read_text().splitlines()
        yield tuple(next(line.split()[-1] for line in lines if line.startswith(f"  {name}"))
                    for name in ("Prefect UI", "Sandbox"))  # type: ignore[misc]  # fmt: skip
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _id(client: SyncPrefectClient, flow: str) -> UUID:
    return client.read_deployment_by_name(spec_of(flow).full_name).id


def _run(client: SyncPrefectClient, flow: str, **parameters: Any) -> UUID:
    """Run a flow's deployment to its end; the run's id."""
    run_id = client.create_flow_run_from_deployment(_id(client, flow), parameters=parameters).id

    def ended() -> bool:
        state = client.read_flow_run(run_id).state
        return state is not None and state.is_final()

    if not wait_until(ended, RUN_SECONDS, every=1):
        raise SystemExit(f"The run of {flow} did not finish in {RUN_SECONDS:.0f} s.")
    return run_id


def _write_time(page: Any) -> None:
    """Open the tab "At" of "Publish at" in the form, and write a time there."""
    page.get_by_role("tab", name="At", exact=True).click()
    tomorrow = datetime.now() + timedelta(days=1)  # noqa: DTZ005
    page.get_by_role("tabpanel", name="At", exact=True).get_by_role("textbox").fill(
        f"{tomorrow.day} {tomorrow:%b} 18:00"
    )
    page.get_by_text("Caption", exact=False).first.evaluate("element => element.scrollIntoView()")


def _take(page: Any, address: str | None, name: str) -> None:
    if address:
        page.goto(address)
    time.sleep(3)  # images, fonts and charts load after the page reports that it has
    page.screenshot(path=str(FOLDER / f"{name}.png"))
    print(f"docs/pictures/{name}.png")


if __name__ == "__main__":
    make_pictures()
