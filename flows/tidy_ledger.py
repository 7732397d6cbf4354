"""Remove from the ledger what nobody needs any more, while runs go on.

When: every week by a schedule that you turn on, or from the form.
Needs: the ledger only. Sends nothing. What prevents a second post, comment or follow is never removed.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from reelflow.upkeep.form import TIDY, TidyForm
from tasks.step import flow
from tasks.upkeep.tidy_ledger import tidy


@flow(name="tidy-ledger", flow_run_name="tidy the ledger")
def tidy_ledger(tidying: TidyForm = TIDY) -> State[Any]:
    """Remove the journal of old posts, alarms that were told long ago, and the like, so that the ledger stays small.

    It can be stopped at any time: the next run goes on. No later run sends, or refuses, anything else because of it.

    Args:
        tidying: How long to keep what is not needed.
    """
    return Completed(message=tidy(tidying))
