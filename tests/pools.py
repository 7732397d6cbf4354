"""A real process work pool with deployments, and workers for it that may be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.states import Cancelling, Scheduled

from reelflow.ledger import Ledger

ROOT = Path(__file__).parents[1]


class Pool:
    """One work pool of a server; what runs in it uses the test's ledger."""

    def __init__(self, server: str, folder: Path, ledger_url: str, name: str) -> None:
        self.folder, self.name = folder, name
        self.ledger = Ledger(ledger_url)
        self.environment = {
            **os.environ,
            "PREFECT_API_URL": f"{server}/api",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_HOME": str(folder / "home"),
        }
        self.own = {
            "REELFLOW_LEDGER_URL": ledger_url, "REELFLOW_LEASE_SECONDS": "2", "PREFECT_HOME": str(folder / "home")
        }  # fmt: skip
        command = [sys.executable, "-m", "prefect", "work-pool", "create", name, "--type", "process", "--overwrite"]
        subprocess.run(command, env=self.environment, check=True, capture_output=True)
        self.running: list[subprocess.Popen[bytes]] = []

    def deploy(self, flow: Any, entrypoint: str, name: str, **parameters: Any) -> UUID:
        source: Any = flow.from_source(str(ROOT), entrypoint)
        found: UUID = source.deploy(
            name=name, work_pool_name=self.name, print_next_steps=False, ignore_warnings=True, parameters=parameters,
            job_variables={"stream_output": False, "env": self.own},
        )  # fmt: skip
        return found

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / f"worker-{self.name}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "prefect", "worker", "start", "--pool", self.name],
                env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.running.append(worker)
        return worker

    def run(self, deployment: UUID, *, stream_output: bool = False, **parameters: Any) -> UUID:
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(
                deployment, parameters=parameters, job_variables={"stream_output": stream_output}
            )
        return run.id

    def retry(self, run: UUID) -> None:
        """What the button Retry does."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Scheduled(name="AwaitingRetry"), force=True)

    def cancel(self, run: UUID) -> None:
        """What the button Cancel does."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Cancelling())

    def state(self, run: UUID) -> str:
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run).state
        return found.type.value if found else ""

    def stop(self) -> None:
        for worker in self.running:
            for each in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(worker.pid, each)
                except ProcessLookupError:
                    break
                time.sleep(1)
            worker.wait(60)
        self.ledger.close()


def until(what: str, condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for `condition`, or fail with what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for: {what}; now {condition()!r}"
        time.sleep(0.1)
