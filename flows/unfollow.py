"""Unfollow users, by default only those that reelflow followed.

When: from the form, or by schedule.
Needs: a saved block "TikMatrix Host" that lists your phones, on the machine that runs TikMatrix.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState

from blocks import TikMatrixHost
from reelflow.phones.forms import UnfollowForm
from tasks.phone_tidying import take_back
from tasks.phones import phone_run_name, run_on_phones
from tasks.step import plainly


@flow(name="unfollow-users", flow_run_name=phone_run_name("unfollows"), on_cancellation=[take_back])
@plainly
def unfollow_users(host: TikMatrixHost, unfollows: UnfollowForm) -> RunState[Any]:
    """Unfollow each user from each account; those that were not followed through reelflow are left out by default.

    Checks everything first, asks TikMatrix once, and watches until every task has ended. Cancelling the run takes back
    what has not ended.

    Args:
        host: The PC with TikMatrix, and your limits.
        unfollows: What to do, and who does it.
    """
    return run_on_phones(host, unfollows)
