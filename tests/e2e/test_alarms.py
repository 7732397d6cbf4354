"""Alarms as a person gets them: from runs of a real worker to a small local receiver, and when that worker is gone."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_HOME
from support.api import ask
from support.client import client_of
from support.commands import Done, reelflow
from support.prefect_server import prefect_server, turn_off_schedules
from support.sink import Sink, save_notification
from support.waiting import until

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
IMPATIENT = {
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_FOREMAN_WORK_QUEUE_LAST_POLLED_TIMEOUT_SECONDS": "10",
    "PREFECT_SERVER_SERVICES_FOREMAN_DEPLOYMENT_LAST_POLLED_TIMEOUT_SECONDS": "10",
}
"""Of Prefect's server, which waits a minute before it says that a worker is gone."""


class Place:
    """A Prefect server, commands that talk to it, and a receiver."""

    def __init__(self, address: str, folder: Path) -> None:
        self.api, self.folder, self.sink = f"{address}/api", folder, Sink()
        self.environment = {
            **os.environ,
            "PREFECT_API_URL": self.api,
            "PREFECT_HOME": str(folder / "home"),
            "REELFLOW_LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        }
        save_notification(self.api, self.sink.url)

    def reelflow(self, *words: str) -> Done:
        with client_of(self.api, {PREFECT_HOME: self.folder / "home"}):
            return reelflow(*words, REELFLOW_LEDGER_URL=self.environment["REELFLOW_LEDGER_URL"], COLUMNS="400")

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "process.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, env=self.environment, stdout=log,
                                    stderr=log, start_new_session=True)  # fmt: skip

    def publish(self, **form: Any) -> str:
        deployment = ask("GET", f"{self.api}/deployments/name/publish-video/01-publish-video")
        body = {"parameters": {**deployment["parameters"], "post": form}, "state": {"type": "SCHEDULED"}}
        return str(ask("POST", f"{self.api}/deployments/{deployment['id']}/create_flow_run", body)["id"])

    def state(self, run: str) -> str:
        return str(ask("GET", f"{self.api}/flow_runs/{run}")["state_type"])

    def got(self) -> list[dict[str, str]]:
        return [json.loads(each) for each in self.sink.got]

    def wait_for(self, subject: str) -> dict[str, str]:
        until(f"an alarm: {subject}", lambda: [g for g in self.got() if subject in g["subject"]])
        (found,) = [g for g in self.got() if subject in g["subject"]]
        return found


@pytest.fixture
def place(tmp_path: Path, new_database: Path) -> Iterator[Place]:
    with prefect_server(tmp_path, new_database, **IMPATIENT) as address:
        found = Place(address, tmp_path)
        yield found
        found.sink.close()


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    os.killpg(process.pid, how)
    process.wait(30)


def _runs_of(worker: subprocess.Popen[bytes]) -> list[int]:
    """The processes that a worker has started for runs."""
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    threads = Path(f"/proc/{worker.pid}/task").iterdir()
    more = [pid for thread in threads for pid in (thread / "children").read_text().split()]
    return [int(pid) for pid in {*children, *more}]


def test_what_fails_and_a_stopped_worker_reach_a_person(place: Place, sandbox: Any, clip: Any) -> None:
    """A wrong account, a platform that fails, a run that is killed, and at last the worker itself: one alarm each.

    Nothing starts the run again, since the schedule of watch-runs is off.
    """
    place.reelflow("setup", "--sandbox", sandbox.url, "--notify", "custom-webhook/sink")
    turn_off_schedules(place.api, but="none")
    worker = place.start("prefect", "worker", "start", "--pool", "reelflow")
    try:
        video = str(clip("small.mp4"))
        sandbox.fail_next(platform="X", reason="Duplicate content")
        wrong = place.publish(video=video, accounts=["Myspace"])
        failed = place.publish(video=video, accounts=["x"], caption="two", watch_minutes=1)
        account = place.wait_for("small.mp4 to Myspace failed")
        platform = place.wait_for("small.mp4 failed (X @marabakes)")

        until("their ends", lambda: {place.state(run) for run in (wrong, failed)} == {"FAILED"})
        sandbox.order_fault("slow", "POST", "/api/private/post", seconds=120)
        killed = place.publish(video=video, accounts=["instagram"], caption="three")
        until("the run", lambda: place.state(killed) == "RUNNING")
        for pid in _runs_of(worker):
            os.kill(pid, signal.SIGKILL)
        crashed = place.wait_for("small.mp4 to instagram crashed")
    finally:
        _end(worker, signal.SIGKILL)
    stopped = place.wait_for("no worker for reelflow")

    assert "Myspace" in account["body"]
    assert f"/runs/flow-run/{wrong}" in account["body"]
    assert "Duplicate content" in platform["body"]
    assert f"/runs/flow-run/{failed}" in platform["body"]
    assert "Posts that Taisly has are not sent again" in crashed["body"]
    assert "prefect worker start --pool reelflow" in stopped["body"]
    assert len(place.got()) == 4


def test_serving_that_stopped_is_one_alarm(place: Place, sandbox: Any) -> None:
    """Not one for each deployment."""
    place.reelflow("setup", "--sandbox", sandbox.url, "--serve", "--notify", "custom-webhook/sink")
    serving = place.start("deployments.serve")
    try:
        ready = lambda: [d for d in ask("POST", f"{place.api}/deployments/filter") if d["status"] == "READY"]  # noqa: E731
        until("the deployments", lambda: len(ready()) > 10)
    finally:
        _end(serving, signal.SIGKILL)
    stopped = place.wait_for("nothing serves the flows")
    until("all to be not ready", lambda: not ready())

    assert "python -m deployments.serve" in stopped["body"]
    assert len(place.got()) == 1


def test_a_test_alarm_goes_the_way_of_all_alarms(place: Place, sandbox: Any) -> None:
    """On request; setup and doctor say it if nobody receives alarms, and if the notification fails."""
    nobody = place.reelflow("setup", "--sandbox", sandbox.url, "--test")
    warned = place.reelflow("doctor")
    done = place.reelflow("setup", "--notify", "custom-webhook/sink", "--test")
    again = place.reelflow("setup", "--test")
    until("both", lambda: len(place.got()) == 2)
    quiet = place.reelflow("doctor")
    save_notification(place.api, "http://127.0.0.1:9/")
    broken = place.reelflow("setup", "--test")

    assert nobody.returncode == 1
    assert "No test alarm was sent: no automation that is turned on receives alarms." in nobody.stderr
    assert "WARNING" in warned.stdout
    assert "no receiver: nobody is told when a post or a run fails" in warned.stdout
    assert done.returncode == again.returncode == 0, done.stderr + again.stderr
    assert "Sent the test alarm 'reelflow: test alarm'. The automation reelflow: alarms has notified." in done.stdout
    assert {g["subject"] for g in place.got()} == {"reelflow: test alarm"}
    assert "no receiver" not in quiet.stdout
    assert broken.returncode == 1
    assert "Nothing is known of the notification of reelflow: alarms after 30 s" in broken.stderr
    assert "Check the notification block" in broken.stderr


def test_automations_of_an_earlier_setup_are_removed(place: Place, sandbox: Any) -> None:
    """Those of ours that are no more, so that nothing is told twice; a person's own stay."""
    place.reelflow("setup", "--sandbox", sandbox.url, "--notify", "custom-webhook/sink")
    (mine,) = [a for a in ask("POST", f"{place.api}/automations/filter") if a["name"] == "reelflow: alarms"]
    keys = ("description", "enabled", "trigger", "actions", "actions_on_trigger", "actions_on_resolve")
    ask("POST", f"{place.api}/automations/", {"name": "my own", **{key: mine[key] for key in keys}})

    changed = place.reelflow("setup", "--serve", "--notify", "custom-webhook/sink")
    names = {a["name"] for a in ask("POST", f"{place.api}/automations/filter")}

    assert changed.returncode == 0, changed.stderr
    assert "removed    automation reelflow: a worker stopped" in changed.stdout
    assert names == {"reelflow: alarms", "reelflow: serving stopped", "my own"}
