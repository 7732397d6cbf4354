"""List, stop, delete or retry phone tasks by hand.

When: from the form.
Needs: a saved block "TikMatrix Host", on the machine that runs TikMatrix. Dry run by default.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from blocks import TikMatrixHost
from reelflow.phones.form import ManageForm
from tasks.phones.manage import manage_tasks
from tasks.step import flow


@flow(name="manage-phone-tasks", alarms=False, flow_run_name="{tasks.action} phone tasks")
def manage_phone_tasks(host: TikMatrixHost, tasks: ManageForm) -> State[Any]:
    """List, stop, delete or retry tasks on your phones, chosen by ID, by filters, or both.

    Args:
        host: The PC that runs TikMatrix.
        tasks: Which tasks to manage, and how.
    """
    name = "Dry run" if tasks.dry_run and tasks.action != "list" else "Completed"
    report = manage_tasks(host, tasks)
    return Completed(name=name, message=report.summary, data=report)
