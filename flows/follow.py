"""Follow users from your own accounts.

When: from the form, or by schedule.
Needs: a saved block "TikMatrix Host" that lists your phones, on the machine that runs TikMatrix.
"""

from typing import Any

from prefect.client.schemas.objects import State

from blocks import TikMatrixHost
from reelflow.phones.form import FollowForm
from tasks.late import skip_if_late
from tasks.phones.cancel import cancel_phone_tasks
from tasks.phones.check import check_phones
from tasks.phones.create import create_phone_tasks
from tasks.phones.plan import held, plan_phone_tasks
from tasks.phones.report import final_state, phone_run_name, report_phones
from tasks.phones.watch import watch_phone_tasks
from tasks.step import flow


@flow(name="follow-users", flow_run_name=phone_run_name("follows"), on_cancellation=[cancel_phone_tasks])
def follow_users(host: TikMatrixHost, follows: FollowForm) -> State[Any]:
    """Follow each user from each account, within the daily limits of the host block.

    Checks everything first, creates the tasks in TikMatrix once, and watches them until all are finished. Cancelling
    the run cancels its unfinished tasks.

    Args:
        host: The PC that runs TikMatrix, with your limits.
        follows: Which accounts follow which users.
    """
    if skipped := skip_if_late(follows.max_lateness_minutes):
        return skipped

    request = check_phones(host, follows)
    plan = plan_phone_tasks(host, request)
    if not follows.dry_run:
        with held(plan):
            create_phone_tasks(host, request, plan)
            watch_phone_tasks(host, request, plan)

    return final_state(report_phones(host, request, plan))
