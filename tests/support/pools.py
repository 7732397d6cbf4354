"""A real process work pool with deployments, and a worker for it that may be killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Cancelling, Scheduled
from prefect.workers.process import ProcessWorker

from support.waiting import until
from tasks.ledger import open_ledger

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = "2"
PRESS_AGAIN_SECONDS = 25


class Pool:
    """One work pool of a server, and one worker at a time."""

    def __init__(self, server: str, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        home = {"PREFECT_HOME": str(folder / "home")}
        self.environment = {**os.environ, **home, "PREFECT_API_URL": f"{server}/api"}
        self.environment.pop("REELFLOW_LEDGER_URL", None)  # workers learn from the server where the ledger is
        self.own = {**home, "REELFLOW_LEASE_SECONDS": LEASE_SECONDS}
        self._worker: subprocess.Popen[bytes] | None = None
        template = ProcessWorker.get_default_base_job_template()
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))

    def deploy(self, flow: Any, entrypoint: str, name: str, **parameters: Any) -> UUID:
        """A deployment, whose runs use this process's ledger: it is the server's from now on."""
        open_ledger()
        source: Any = flow.from_source(str(ROOT), entrypoint)
        found: UUID = source.deploy(
            name=name, work_pool_name=self.name, print_next_steps=False, ignore_warnings=True, parameters=parameters,
            job_variables={"stream_output": False, "env": self.own},
        )  # fmt: skip
        return found

    def worker(self) -> subprocess.Popen[bytes]:
        """The pool's worker; a new one, if there is none or it has gone."""
        if self._worker is None or self._worker.poll() is not None:
            with (self.folder / f"worker-{self.name}.log").open("ab") as log:
                self._worker = subprocess.Popen(
                    [sys.executable, "-m", "prefect", "worker", "start", "--pool", self.name],
                    env=self.environment, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
        return self._worker

    def run(
        self, deployment: UUID, *, stream_output: bool = False, tags: Sequence[str] = (), **parameters: Any
    ) -> UUID:
        """Start a run of a deployment."""
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(
                deployment, parameters=parameters, tags=tags, job_variables={"stream_output": stream_output}
            )
        return run.id

    def retry(self, run: UUID) -> None:
        """What the button Retry does."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Scheduled(name="AwaitingRetry"), force=True)

    def cancel(self, run: UUID) -> None:
        """What the button Cancel does."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Cancelling(), force=True)

    def wait_until_cancelled(self, run: UUID) -> None:
        """Wait for the end of a cancellation. It is pressed again after a while, as a person would.

        On a busy machine Prefect loses the one event that tells the worker, which asks no second time.
        """
        pressed = time.monotonic()

        def cancelled() -> bool:
            nonlocal pressed
            if self.state(run) == "CANCELLING" and time.monotonic() > pressed + PRESS_AGAIN_SECONDS:
                self.cancel(run)
                pressed = time.monotonic()
            return self.state(run) == "CANCELLED"

        until("the cancellation", cancelled)

    def state(self, run: UUID) -> str:
        """The type of the state that a run is in."""
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run).state
        return found.type.value if found else ""

    def message(self, run: UUID) -> str:
        """What the state of a run says."""
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run).state
        return (found.message if found else None) or ""

    def kill(self, run: UUID) -> None:
        """SIGKILL to the worker and to the process of a run, as when their machine loses its power."""
        for process in (self.worker().pid, flow_process(run)):
            os.kill(process, signal.SIGKILL)

    def stop(self) -> None:
        """End the worker, and what it has started."""
        if self._worker is None:
            return
        self._worker.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._worker.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._worker.pid, signal.SIGKILL)
        self._worker.wait(10)


def flow_process(run: UUID) -> int:
    """The process that executes a run, found by the id in its environment."""
    for folder in Path("/proc").iterdir():
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if str(run).encode() in environment and b"prefect" in command:
            return int(folder.name)
    raise AssertionError("the run has no process")
