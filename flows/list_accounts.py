"""List your accounts and phones, as forms and blocks take them, and what the plan and the licences have left.

When: before you fill in a form or a block, or to see why an account or a phone is not used.
Needs: a saved block "Taisly Account" for each client; phones are listed for each saved "TikMatrix Host". Changes
nothing.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from blocks import TaislyAccount, TikMatrixHost
from tasks.step import flow
from tasks.upkeep.account_list import find_accounts, find_phones, show_lists


@flow(name="list-accounts", alarms=False, flow_run_name="list accounts and phones")
def list_accounts(taisly: TaislyAccount | None = None, host: TikMatrixHost | None = None) -> State[Any]:
    """Show tables of accounts and phones to copy from. If one service does not answer, the other is shown all the same.

    Args:
        taisly: The Taisly account whose accounts to list; every saved one if none is chosen.
        host: The PC whose phones to list; every saved one if none is chosen.
    """
    accounts = find_accounts(taisly)
    phones = find_phones(host)
    return Completed(message=show_lists(accounts, phones))
