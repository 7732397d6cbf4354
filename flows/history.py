"""Report the posts and phone tasks of recent days.

When: every week by schedule, or from the form.
Needs: the ledger only. Sends no requests to Taisly or TikMatrix.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from reelflow.upkeep.form import WEEK, HistoryForm
from tasks.step import flow
from tasks.upkeep.history import show_history


@flow(name="history-report", alarms=False, flow_run_name="history report")
def history_report(history: HistoryForm = WEEK) -> State[Any]:
    """Show recent posts by account, and phone tasks by PC and script, with their outcomes.

    Args:
        history: How many days to report.
    """
    return Completed(message=show_history(history))
