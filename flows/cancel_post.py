"""Cancel a scheduled post before it is published.

When: from the form, with the history ID from the log or the report of the run that sent the post.
Needs: a saved block "Taisly Account". The post is permanently deleted at Taisly.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from blocks import TaislyAccount
from reelflow.posts.form import CancelPostForm
from tasks.posts.cancel import cancel_post, cancel_run_name, describe_scheduled
from tasks.step import flow


@flow(name="cancel-scheduled-post", alarms=False, flow_run_name=cancel_run_name)
def cancel_scheduled_post(taisly: TaislyAccount, post: CancelPostForm) -> State[Any]:
    """Delete a scheduled post at Taisly before it is published.

    Args:
        taisly: The Taisly account that has the post.
        post: The post to cancel.
    """
    history_id = post.history_id.strip()
    if post.dry_run:
        found = describe_scheduled(taisly, history_id)
        return Completed(name="Dry run", message=f"Dry run: nothing was cancelled. Would cancel {found}.")
    return Completed(message=cancel_post(taisly, history_id))
