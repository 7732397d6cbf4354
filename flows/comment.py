"""Comment on posts from your own accounts.

When: from the form, or as part of publish-and-engage.
Needs: a saved block "TikMatrix Host" that lists your phones, on the machine that runs TikMatrix.
"""

from typing import Any

from prefect.client.schemas.objects import State

from blocks import TikMatrixHost
from reelflow.phones.form import CommentForm
from tasks.late import skip_if_late
from tasks.phones.cancel import cancel_phone_tasks
from tasks.phones.check import check_phones
from tasks.phones.create import create_phone_tasks
from tasks.phones.plan import held, plan_phone_tasks
from tasks.phones.report import final_state, phone_run_name, report_phones
from tasks.phones.watch import watch_phone_tasks
from tasks.step import flow


@flow(name="comment-on-posts", flow_run_name=phone_run_name("comments"), on_cancellation=[cancel_phone_tasks])
def comment_on_posts(host: TikMatrixHost, comments: CommentForm) -> State[Any]:
    """Comment on each post from each account, within the daily limits; never twice from the same account.

    Checks everything first, creates the tasks in TikMatrix once, and watches them until all are finished. Cancelling
    the run cancels its unfinished tasks.

    Args:
        host: The PC that runs TikMatrix, with your limits.
        comments: Which accounts comment on which posts.
    """
    if skipped := skip_if_late(comments.max_lateness_minutes):
        return skipped

    request = check_phones(host, comments)
    plan = plan_phone_tasks(host, request)
    if not comments.dry_run:
        with held(plan):
            create_phone_tasks(host, request, plan)
            watch_phone_tasks(host, request, plan)

    return final_state(report_phones(host, request, plan))
