"""Post from the phones' own apps, with material that is on the TikMatrix PC.

When: from the form, or by schedule.
Needs: a saved block "TikMatrix Host" that lists your phones, on the machine that runs TikMatrix.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState

from blocks import TikMatrixHost
from reelflow.phones.forms import PhonePostForm
from tasks.phone_tidying import take_back
from tasks.phones import phone_run_name, run_on_phones
from tasks.step import plainly


@flow(name="post-from-phones", flow_run_name=phone_run_name("posts"), on_cancellation=[take_back])
@plainly
def post_from_phones(host: TikMatrixHost, posts: PhonePostForm) -> RunState[Any]:
    """Post once from each phone or account, within the daily limits of the host block.

    Checks everything first, asks TikMatrix once, and watches until every task has ended. Cancelling the run takes back
    what has not ended.

    Args:
        host: The PC with TikMatrix, and your limits.
        posts: What to do, and who does it.
    """
    return run_on_phones(host, posts)
