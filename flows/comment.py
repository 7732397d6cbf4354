"""Comment on posts from your own accounts.

When: from the form, or as part of publish_and_engage.
Needs: a saved block "TikMatrix Host" that lists your phones, on the machine that runs TikMatrix.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState

from blocks import TikMatrixHost
from reelflow.phones.forms import CommentForm
from tasks.phone_tidying import take_back
from tasks.phones import phone_run_name, run_on_phones
from tasks.step import plainly


@flow(name="comment-on-posts", flow_run_name=phone_run_name("comments"), on_cancellation=[take_back])
@plainly
def comment_on_posts(host: TikMatrixHost, comments: CommentForm) -> RunState[Any]:
    """Write one comment under each post from each account; never twice from the same account.

    Checks everything first, asks TikMatrix once, and watches until every task has ended. Cancelling the run takes back
    what has not ended.

    Args:
        host: The PC with TikMatrix, and your limits.
        comments: What to do, and who does it.
    """
    return run_on_phones(host, comments)
