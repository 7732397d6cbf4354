"""Report what was published and done on phones in the last days.

When: every week by schedule, or from the form.
Needs: nothing but the ledger. Asks no service.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed

from reelflow.models import WEEK, HistoryForm
from tasks.history import show_history
from tasks.step import plainly


@flow(name="history-report", flow_run_name="history report")
@plainly
def history_report(history: HistoryForm = WEEK) -> RunState[Any]:
    """Show posts and phone tasks of the last days by account, with what became of them.

    Args:
        history: How many days.
    """
    return Completed(message=show_history(history))
