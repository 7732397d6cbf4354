"""Post from the apps on your phones, with material on the phone PC.

When: from the form, or by schedule.
Needs: a saved block "TikMatrix Host" that lists your phones, on the machine that runs TikMatrix.
"""

from typing import Any

from prefect.client.schemas.objects import State

from blocks import TikMatrixHost
from reelflow.phones.form import PhonePostForm
from tasks.late import skip_if_late
from tasks.phones.cancel import cancel_phone_tasks
from tasks.phones.check import check_phones
from tasks.phones.create import create_phone_tasks
from tasks.phones.plan import held, plan_phone_tasks
from tasks.phones.report import final_state, phone_run_name, report_phones
from tasks.phones.watch import watch_phone_tasks
from tasks.step import flow


@flow(name="post-from-phones", flow_run_name=phone_run_name("posts"), on_cancellation=[cancel_phone_tasks])
def post_from_phones(host: TikMatrixHost, posts: PhonePostForm) -> State[Any]:
    """Post once from each phone or account, within the daily limits of the host block.

    Checks everything first, creates the tasks in TikMatrix once, and watches them until all are finished. Cancelling
    the run cancels its unfinished tasks.

    Args:
        host: The PC that runs TikMatrix, with your limits.
        posts: What to post, and from which phones.
    """
    if skipped := skip_if_late(posts.max_lateness_minutes):
        return skipped

    request = check_phones(host, posts)
    plan = plan_phone_tasks(host, request)
    if not posts.dry_run:
        with held(plan):
            create_phone_tasks(host, request, plan)
            watch_phone_tasks(host, request, plan)

    return final_state(report_phones(host, request, plan))
