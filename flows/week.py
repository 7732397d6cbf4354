"""Show the posts of the past and the coming days on one page, and what waits for you.

When: every hour by schedule, at the end of each campaign, or from the form.
Needs: the ledger only. Sends no requests to Taisly or TikMatrix.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from blocks import TaislyAccount
from reelflow.upkeep.form import WEEK, WeekForm
from tasks.step import flow
from tasks.upkeep.week import week_run_name, write_week


@flow(name="show-week", alarms=False, upkeep=True, flow_run_name=week_run_name)
def show_week(week: WeekForm = WEEK, taisly: TaislyAccount | None = None) -> State[Any]:
    """Show recent and scheduled posts by day and account, what waits for you, and the phone tasks of the past days.

    The page is the artifact *reelflow-week*. Each run updates it; older versions are deleted.

    Args:
        week: How many days to show, and files to write.
        taisly: The client whose posts to show, on a page of its own; all posts if none is chosen.
    """
    return Completed(message=write_week(week, taisly))
