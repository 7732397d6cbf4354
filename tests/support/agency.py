"""An agency's installation, as docs/deployment.md describes it, with more workers, and the runs started there."""

import collections
import contextlib
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from support.api import Api
from support.deployments import SPECS
from support.installation import ADMIN, Installation
from support.prefect_server import turn_off_schedules
from support.sandbox_process import SandboxProcess
from support.scale import CLIENTS, Job
from support.topology import Part

POLL_SECONDS = 1.0
"""Seconds between two looks, which take time from what is measured."""
WATCH_RUNS_EVERY = 30
"""Seconds between two runs of watch-runs where its schedule is off."""
ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
"""Without CRASHED: watch-runs starts such a run again."""


class Agency:
    """The installation of the document with more workers, and the runs that are started there.

    Args:
        place: Where it is installed.
        boxes: Both services of each client, by its name.
        as_deployed: Whether schedules are on and workers ask for runs every 10 s, as users have it. What schedules
            start takes time, so else there is only that of *finish-open-posts*, which is needed; *watch-runs* is
            started while a test waits; and workers ask every 0.5 s.
    """

    def __init__(self, place: Installation, boxes: dict[str, SandboxProcess], *, as_deployed: bool) -> None:
        self.place, self.boxes, self.topology = place, boxes, place.topology
        self._as_deployed, self._watched = as_deployed, time.monotonic()
        self.api = Api(place.api, ADMIN)
        self.runs: dict[str, Job] = {}
        self.workers: list[Part] = []

    def install(self, example: Path, runs_at_once: int) -> None:
        """Everything of the document; then the second client, both PCs, and a worker for the phones of each."""
        self.place.terminal.mkdir(parents=True)
        shutil.copy(example, self.place.terminal / "video.mp4")
        for printed in self.place.install():
            if "Next, start a worker" in printed:
                self._turn_off_schedules()
        first, second = CLIENTS
        setup = "reelflow setup --time-zone UTC --slots 'all: daily 00:00, 04:00, 08:00, 12:00, 16:00 and 20:00'"
        self.place.in_terminal(
            f"{setup} --sandbox {self.boxes[first.name].url} --phone-pc {first.pc} --plan {first.plan}",
            f"{setup} --client {second.name} --sandbox {self.boxes[second.name].url} --phone-pc {second.pc} "
            f"--plan {second.plan} --yes",
            f"reelflow setup --phone-pc {first.pc} --phone-pc {second.pc}",
        )
        self._turn_off_schedules()
        self.topology["reelflow"].stop()  # those below have a number of runs at once
        for client in CLIENTS:
            self.worker(f"phones-{client.pc}", runs_at_once=runs_at_once)

    def _turn_off_schedules(self) -> None:
        if not self._as_deployed:
            turn_off_schedules(self.place.api, but="finish-open-posts", auth=ADMIN)

    def worker(self, pool: str = "reelflow", *, runs_at_once: int) -> Part:
        """One more worker of a pool."""
        first, number = self.topology["reelflow"], len(self.topology.parts)
        name = f"worker-{number}"
        own = {"--pool": pool, "--name": name, "--limit": str(runs_at_once)}
        assert set(own) <= set(first.command)
        before = ["", *first.command]
        command = [own.get(option, word) for option, word in zip(before, first.command, strict=False)]
        environment = dict(first.environment)
        if self._as_deployed:
            environment.pop("PREFECT_WORKER_QUERY_SECONDS")
        part = Part(name, command, environment, self.place.folder / f"{name}.log", cwd=first.cwd)
        self.topology.parts[part.name] = part
        if pool == "reelflow":
            self.workers.append(part)
        return part.start()

    def submit(self, job: Job) -> None:
        """What the button Submit does."""
        spec = SPECS[job.flow]
        name = f"{spec.number}{job.client.pc}" if spec.for_phones else spec.deployment
        deployment = self.api.get(f"/deployments/name/{job.flow}/{name}")
        block = {"$ref": {"block_document_slug": f"taisly-account/{job.client.name}"}}
        own = {} if spec.for_phones else {"taisly": block}
        self.runs[self.api.start(deployment, **own, **job.parameters)] = job

    def submit_all(self, jobs: list[Job]) -> None:
        """All at once, as a script would."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.submit, jobs))

    def states(self) -> dict[str, dict[str, Any]]:
        """The state of each run that was submitted."""
        ids, found = list(self.runs), {}
        for at in range(0, len(ids), 100):
            body = {"flow_runs": {"id": {"any_": ids[at : at + 100]}}, "limit": 200}
            found |= {run["id"]: run["state"] for run in self.api.post("/flow_runs/filter", **body)}
        assert len(found) == len(ids)
        return found

    def wait_for_posts(self, number: int, seconds: float) -> None:
        """Wait until Taisly has so many posts, or fail with what the runs that are open say."""
        self._wait(f"{number} posts", lambda: self.posted() >= number, seconds)

    def wait_for_the_end(self, seconds: float) -> None:
        """The same until every run has ended."""
        self._wait("the end of every run", self._have_ended, seconds)

    def wait_for_outcomes(self, open_posts: Callable[[], dict[str, str]], seconds: float) -> None:
        """Wait until no post has its outcome to come; *finish-open-posts* does what runs that made room have left.

        Args:
            open_posts: By caption, what is known of each.
            seconds: For how long.
        """
        finisher = self.api.deployment("finish-open-posts")
        self.api.start(finisher)

        def told() -> str:
            found = self.api.post("/flow_runs/filter", deployments={"id": {"any_": [finisher["id"]]}}, limit=200)
            runs = sorted(
                f"{run['start_time']} to {run['end_time']}: {run['state']}" for run in found if run["start_time"]
            )
            return "\n".join([*open_posts().values(), *runs])

        self._wait("the outcome of every post", lambda: not open_posts(), seconds, told)

    def posted(self) -> int:
        """How many posts Taisly has, of all clients."""
        return sum(len(box.posts) for box in self.boxes.values())

    def _wait(
        self, what: str, condition: Callable[[], bool], seconds: float, told: Callable[[], str] | None = None
    ) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"waited {seconds:.0f} s for {what}. {(told or self._told)()}")
            self._pause()

    def _told(self) -> str:
        states = collections.Counter((s["name"], s["message"]) for s in self.states().values())
        return f"Posts: {self.posted()}. Runs: {states}"

    def _have_ended(self) -> bool:
        """Whether every run has; False while Prefect does not answer."""
        with contextlib.suppress(AssertionError, httpx.HTTPError):
            return {state["type"] for state in self.states().values()} <= ENDED
        return False

    def _pause(self) -> None:
        """Wait a second; without schedules, start watch-runs from time to time."""
        time.sleep(POLL_SECONDS)
        if not self._as_deployed and time.monotonic() - self._watched > WATCH_RUNS_EVERY:
            self._watched = time.monotonic()
            shortest = {"dead_after_minutes": 2, "late_after_minutes": 2}
            with contextlib.suppress(AssertionError, httpx.HTTPError):
                self.api.start(self.api.deployment("watch-runs"), watchdog=shortest)


class Connections:
    """The largest number of connections to each database of the PostgreSQL, of the moments at which it was asked."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.most: dict[str, int] = {}

    def look(self) -> None:
        """Count them now; nothing is counted while it is restarted."""
        engine = sa.create_engine(self._url, poolclass=sa.NullPool)
        query = "SELECT datname, count(*) FROM pg_stat_activity WHERE datname IS NOT NULL GROUP BY datname"
        with contextlib.suppress(sa.exc.DBAPIError), engine.connect() as connection:
            for name, number in connection.execute(sa.text(query)):
                self.most[name] = max(self.most.get(name, 0), number)
