"""Finish what earlier runs left open on phones: lost answers, tasks of broken runs, tasks left at a deadline.

When: every few minutes by schedule, or whenever a run broke off.
Needs: a saved block "TikMatrix Host", on the machine that runs TikMatrix.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed

from blocks import TikMatrixHost
from reelflow.phones.forms import FINISH_PHONES, FinishPhonesForm
from tasks.phone_tidying import finish_tasks
from tasks.step import plainly


@flow(name="finish-phone-tasks", flow_run_name="finish phone tasks")
@plainly
def finish_phone_tasks(host: TikMatrixHost, finish: FinishPhonesForm = FINISH_PHONES) -> RunState[Any]:
    """Put on record what became of phone tasks that no run watches, and take back those of broken runs.

    Args:
        host: The PC whose tasks to finish.
        finish: How long to go on.
    """
    return Completed(message=finish_tasks(host, finish))
