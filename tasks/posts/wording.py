"""Messages for people, built from the facts that the engine returns."""

from collections.abc import Iterator
from contextlib import contextmanager

from reelflow.errors import DuplicatePost
from reelflow.records.post_states import PostState
from reelflow.records.posts import Outcome, Send

OUTCOME_WORDS = {
    PostState.SUCCESS: "published",
    PostState.FAILED: "**failed**",
    PostState.PENDING: "no outcome yet",
    PostState.ACCEPTED: "no outcome yet",
    PostState.SENDING: "no outcome yet",
    PostState.REFUSED: "**refused**",
    PostState.UNCONFIRMED: "**unconfirmed**",
    PostState.CANCELLED: "cancelled",
    PostState.CLAIMED: "not sent",
}
"""How a report shows the state of a post at one account; Markdown."""


@contextmanager
def explained_duplicates() -> Iterator[None]:
    """Add to the refusal of a duplicate how the earlier post is resolved."""
    try:
        yield
    except DuplicatePost as error:
        if error.is_unconfirmed:
            error.message += f" To resolve the earlier post, run resolve-post with the send ID {error.send_id}."
        raise


def detail_of(send: Send, outcome: Outcome) -> str:
    """The reason for an outcome; for an unconfirmed post, also what to check and the two ways to continue."""
    if outcome.state is not PostState.UNCONFIRMED:
        return outcome.detail
    return (
        f"{outcome.detail}, so the post may or may not have been published. Check the account, then run resolve-post "
        f"with the send ID {send.id} and choose 'published' or 'not published'"
    )
