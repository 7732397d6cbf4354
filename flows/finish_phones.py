"""Finish what earlier runs left open on phones: lost answers, tasks of dead runs, tasks that outlasted their run.

When: every few minutes by schedule, or after a run was interrupted.
Needs: a saved block "TikMatrix Host", on the machine that runs TikMatrix.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from blocks import TikMatrixHost
from reelflow.phones.form import FINISH_PHONES, FinishPhonesForm
from tasks.phones.cleanup import finish_phones, summarize_finish
from tasks.step import flow


@flow(name="finish-phone-tasks", upkeep=True, flow_run_name="finish phone tasks")
def finish_phone_tasks(host: TikMatrixHost, finish: FinishPhonesForm = FINISH_PHONES) -> State[Any]:
    """Record the outcome of phone tasks that no run watches, and cancel the tasks of dead runs.

    Args:
        host: The PC whose tasks to finish.
        finish: How long to watch open tasks, and whether to cancel those of dead runs.
    """
    report = finish_phones(host, finish)
    return Completed(message=summarize_finish(report), data=report)
