"""Withdraw a scheduled post before its time.

When: from the form, with the history id that the run's report shows.
Needs: a saved block "Taisly Account". The post is deleted at Taisly for good.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed

from blocks import TaislyAccount
from reelflow.models import WithdrawForm
from tasks.step import plainly
from tasks.withdraw import known_scheduled, withdraw_post


@flow(name="cancel-scheduled-post", flow_run_name="withdraw {post.history_id}")
@plainly
def cancel_scheduled_post(taisly: TaislyAccount, post: WithdrawForm) -> RunState[Any]:
    """Delete a scheduled post at Taisly, so that it is not published.

    Args:
        taisly: The Taisly account that has the post.
        post: Which post.
    """
    if post.dry_run:
        words = f"Dry run, nothing was withdrawn. This would be: {known_scheduled(post.history_id)}."
        return Completed(name="Dry run", message=words)
    return Completed(message=withdraw_post(taisly, post.history_id.strip()))
