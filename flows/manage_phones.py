"""List, stop, delete or retry phone tasks by hand.

When: from the form.
Needs: a saved block "TikMatrix Host", on the machine that runs TikMatrix. A dry run, unless you turn that off.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed

from blocks import TikMatrixHost
from reelflow.phones.forms import ManageForm
from tasks.phone_tidying import manage_tasks
from tasks.step import plainly


@flow(name="manage-phone-tasks", flow_run_name="{tasks.action} phone tasks")
@plainly
def manage_phone_tasks(host: TikMatrixHost, tasks: ManageForm) -> RunState[Any]:
    """List, stop, delete or retry tasks on your phones, by their numbers or by filters.

    Args:
        host: The PC with TikMatrix.
        tasks: Which tasks, and what to do with them.
    """
    name = "Dry run" if tasks.dry_run and tasks.action != "list" else "Completed"
    return Completed(name=name, message=manage_tasks(host, tasks))
