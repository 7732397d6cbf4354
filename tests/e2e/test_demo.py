"""What a newcomer does: the demo, and then the UI in a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REELFLOW = [sys.executable, "-m", "reelflow"]
START_SECONDS = 150


def _processes_of(marker: str) -> list[str]:
    """The command lines of running processes that belong to `marker`, a folder or an environment variable."""
    if not Path("/proc").is_dir():
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if marker.encode() in command + environment:
                found.append(command.replace(b"\0", b" ").decode())
    return found


@pytest.mark.slow
def test_the_demo_publishes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Exit 0, each outcome printed, no process and no file left."""
    marker = f"REELFLOW_TEST={tmp_path}"
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "REELFLOW_TEST": str(tmp_path),
        "HOME": str(tmp_path / "home"),
    }

    done = subprocess.run(
        [*REELFLOW, "demo"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Published to 6 of 6 accounts." in done.stdout
    assert done.stdout.count("SUCCESS") == 6
    assert "waiting for" in done.stdout or "Starting a Prefect server" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert _processes_of(marker) == []
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("reelflow-")] == []


class Up:
    """A running `reelflow up`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    def address(self, name: str) -> str:
        return next(line.split()[-1] for line in self.log.read_text().splitlines() if line.startswith(f"  {name}"))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`reelflow up` from a folder of its own, while its usual ports are taken by somebody else."""
    folder = tmp_path_factory.mktemp("up")
    holders = []
    for port in (4200, 8099):
        holder = socket.socket()
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", port))
            holder.listen()
        except OSError:
            pass  # taken already: just as well
        holders.append(holder)
    log = folder / "up.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*REELFLOW, "up"],
            cwd=folder,
            env={**os.environ, "REELFLOW_TEST": str(folder), "HOME": str(folder / "home")},
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    end = time.monotonic() + START_SECONDS
    while "Ready." not in log.read_text() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
    assert "Ready." in log.read_text(), log.read_text()
    yield Up(process, log)
    process.send_signal(signal.SIGINT)
    code = process.wait(60)
    for holder in holders:
        holder.close()
    assert code == 130
    assert log.read_text().rstrip().endswith("Nothing is left running.")
    assert _processes_of(f"REELFLOW_TEST={folder}") == []


@pytest.mark.slow
def test_free_ports_are_used_when_the_usual_ones_are_taken(up: Up) -> None:
    """Nothing of somebody else's is disturbed, and the addresses printed are the true ones."""
    assert not up.address("Prefect UI").endswith(":4200")
    assert not up.address("Sandbox").endswith(":8099")


@pytest.mark.slow
def test_a_person_publishes_from_the_form_and_sees_the_result(up: Up) -> None:
    """Deployments, Custom run, Submit; then the run with its report, and the post on the sandbox's page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: the browser test needs `chromium` or `google-chrome` on the PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        page = browser.new_page(viewport={"width": 1400, "height": 1400})
        page.set_default_timeout(90_000)
        expect = sync_api.expect
        expect.set_options(timeout=60_000)

        page.goto(f"{up.address('Prefect UI')}/v2/deployments")
        page.get_by_text("publish-video", exact=True).first.click()
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_text("Custom run").click()
        expect(page.get_by_text("Upright 9:16, 3 to 90 seconds, up to 500 MB.")).to_be_visible()
        for title in ("Video file", "Accounts", "Caption", "Publish at", "Preview picture at second", "Dry run"):
            expect(page.get_by_text(title, exact=False).first).to_be_visible()
        expect(page.get_by_text("sandbox", exact=True).first).to_be_visible()  # the block is preselected
        for _ in range(3):  # a click that comes while the form still settles goes nowhere
            page.get_by_role("button", name="Submit").click()
            try:
                page.wait_for_url("**tab=Runs**", timeout=15_000)
                break
            except sync_api.TimeoutError:
                continue

        page.goto(f"{up.address('Prefect UI')}/v2/runs")
        page.get_by_text("dunes.mp4 to all").first.click()
        expect(page.get_by_text("Completed").first).to_be_visible()
        page.get_by_role("tab", name="Artifacts").click()
        page.get_by_text("Published to 6 of 6 accounts.").last.click()
        expect(page.get_by_role("img", name="preview picture")).to_be_visible()
        expect(page.get_by_role("link", name="open the post")).to_have_count(6)

        page.goto(up.address("Sandbox"))
        expect(page.get_by_text("Sunset over the dunes #reelflow")).to_be_visible()
        expect(page.locator(".pill.SUCCESS")).to_have_count(6)
        browser.close()
