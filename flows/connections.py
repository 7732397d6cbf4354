"""Check everything that reelflow needs: both services, licence, phones, quota, ledger and clocks.

When: every hour by schedule, or whenever something seems wrong. ``reelflow doctor`` runs the same checks in a terminal.
Needs: saved blocks only. Sends nothing that changes an account or a phone.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.step import flow
from tasks.upkeep.connections import check_everything


@flow(name="check-connections", upkeep=True, flow_run_name="check connections")
def check_connections() -> State[Any]:
    """Check the ledger and every saved block, and fail if any check fails."""
    return Completed(message=check_everything())
