"""Resolve an unconfirmed post: one that may or may not have been published.

When: after a run reported "Unconfirmed": Taisly's answer was lost, and its history does not settle the question.
Needs: you to check the accounts first. Sends nothing.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from reelflow.posts.form import ResolveForm
from tasks.posts import cleanup
from tasks.step import flow


@flow(name="resolve-post", alarms=False, flow_run_name="resolve {post.send_id}: {post.answer}")
def resolve_post(post: ResolveForm) -> State[Any]:
    """Record that an unconfirmed post was published, or that it may be sent again.

    Args:
        post: The post, and what you found.
    """
    return Completed(message=cleanup.resolve_post(post))
