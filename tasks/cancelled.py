"""Tell people what became of the work of a cancelled run, in the run's own message.

Prefect sets a run to Cancelled when its hooks have ended, with a message of its own. So a process of its own waits for
that: ``python -m tasks.cancelled RUN MESSAGE``.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.logging.loggers import flow_run_logger
from prefect.states import Cancelled

from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger
from reelflow.records.posts import SendRecord
from tasks.ledger import reopen_ledger
from tasks.zone import use_server_zone

SHUTDOWN = "shutting down"
"""In the message of a run that nobody cancelled: the process that serves the flows was told to end."""
SLOT_LOST = "concurrency slot lost"
"""The same: Prefect gave the slot of a run that was slow to start to another one, and cancelled it."""
WAIT_SECONDS = 120.0
"""How long to wait until Prefect has set the run to Cancelled."""
PAUSE = 0.5
"""Seconds between two looks at the run's state."""


def nobody_cancelled(message: str | None) -> bool:
    """Whether the message of a cancelled run says that no person cancelled it."""
    return any(words in (message or "") for words in (SHUTDOWN, SLOT_LOST))


def conclude(
    flow_run: Any,
    describe: Callable[[Sequence[SendRecord], float], str],
    *,
    what: str,
    first: Callable[[Ledger], None] | None = None,
) -> None:
    """Say what became of the posts of a cancelled run. For hooks, which run in another process.

    Args:
        flow_run: The run.
        describe: Makes the message from the run's sends and the time in Unix seconds.
        what: What it had to send: "post" or "posts".
        first: What to do before that.
    """
    use_server_zone()
    try:
        ledger = reopen_ledger()
        if first is not None:
            first(ledger)
        message = describe(ledger.sends_of_flow_run(str(flow_run.id)), ledger.now())
    except ReelflowError as error:
        flow_run_logger(flow_run).warning("%s", error)
        message = (
            f"The run was cancelled. The ledger cannot be read, so the outcome of its {what} is unknown. The run's log "
            "says why."
        )
    tell_cancelled(flow_run, message)


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
