"""Check everything that reelflow needs: both services, licence, plan, phones, quota, ledger, clocks.

When: every hour by schedule, or whenever something seems wrong. ``reelflow doctor`` says the same in a terminal.
Needs: nothing but saved blocks. Changes nothing.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed

from tasks.connections import check_everything
from tasks.step import plainly


@flow(name="check-connections", flow_run_name="check connections")
@plainly
def check_connections() -> RunState[Any]:
    """Look at the ledger and at every saved block, and fail if anything is not well."""
    return Completed(message=check_everything())
