"""Settle a post of which it is not known whether it went out.

When: a run ended with "Unconfirmed": Taisly's answer was lost, and its history cannot tell.
Needs: you, having looked at the accounts. Sends nothing by itself.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed

from reelflow.models import ResolveForm
from tasks.finish import resolve_send
from tasks.step import plainly


@flow(name="resolve-post", flow_run_name="resolve {post.send_id}: {post.answer}")
@plainly
def resolve_post(post: ResolveForm) -> RunState[Any]:
    """Record whether an unconfirmed post is out, or may be sent again.

    Args:
        post: Which post, and what you found.
    """
    return Completed(message=resolve_send(post))
