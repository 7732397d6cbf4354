"""Warm up and comment for a post that is out by now: the phones' part of a post that was scheduled, or took long.

When: started by finish-open-posts once the outcome of the post is known.
Needs: the blocks that the run which published the post was started with.
"""

from typing import Any

from prefect.client.schemas.objects import State

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.phones.form import EngageLaterForm
from tasks.phones.cancel import cancel_engagement, cancel_phone_tasks
from tasks.phones.engage import engage_phones, later_state, preview_due
from tasks.phones.engagements import engagement_run_name, find_engagement
from tasks.step import flow


@flow(
    name="engage-when-published",
    flow_run_name=engagement_run_name,
    on_cancellation=[cancel_engagement, cancel_phone_tasks],
)
def engage_when_published(
    engagement: EngageLaterForm, host: TikMatrixHost | None = None, chatgpt: ChatGPTSettings | None = None
) -> State[Any]:
    """Do the phones' part for a published post, as the run asked that published or scheduled it.

    Each part is done once: what an interrupted run has created on the phones is watched, and not created again. What
    waits for another platform, or for the end of quiet hours, is left to a later run.

    Args:
        engagement: For which post.
        host: The PC that runs TikMatrix, if it is the machine that runs this flow.
        chatgpt: Needed only for comments by ChatGPT.
    """
    again = engagement.try_again
    asked = find_engagement(engagement.engagement_id, host, chatgpt, try_again=again and not engagement.dry_run)
    if engagement.dry_run:
        return later_state(preview_due(asked, try_again=again))
    return later_state(engage_phones(asked, is_never_late=False))
