"""Tell people what became of the work of a cancelled run, in the run's own message.

Prefect sets a run to Cancelled when its hooks have ended, with a message of its own. So a process of its own waits for
that: ``python -m tasks.cancelled RUN MESSAGE``.
"""

import subprocess
import sys
import time
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.logging.loggers import flow_run_logger
from prefect.states import Cancelled

WAIT_SECONDS = 120.0
"""How long to wait until Prefect has set the run to Cancelled."""
PAUSE = 0.5
"""Seconds between two looks at the run's state."""


def tell_cancelled(flow_run: Any, message: str) -> None:
    """Log what became of a cancelled run's work, and make it the message of the run's state. For hooks."""
    flow_run_logger(flow_run).info("%s", message)
    subprocess.Popen(
        [sys.executable, "-m", "tasks.cancelled", str(flow_run.id), message],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the process of the hook ends, and its runner may be told to stop
    )


def set_message(flow_run_id: UUID, message: str) -> bool:
    """Wait until a run is cancelled, and replace the message of its state; whether that was done."""
    end = time.monotonic() + WAIT_SECONDS
    with get_client(sync_client=True) as client:
        while time.monotonic() < end:
            state = client.read_flow_run(flow_run_id).state
            if state is not None and state.is_cancelled():
                client.set_flow_run_state(flow_run_id, Cancelled(message=message), force=True)
                return True
            time.sleep(PAUSE)
    return False


if __name__ == "__main__":
    sys.exit(not set_message(UUID(sys.argv[1]), sys.argv[2]))
