"""Messages for people, built from the facts that the engine returns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from reelflow.errors import DuplicatePost, StillOpen
from reelflow.records.post_states import ALARMING, BEING_SENT, NOT_OUT, WORDS, PostState
from reelflow.records.posts import Outcome, Send, SendRecord
from reelflow.time_zones import shown

OUTCOME_WORDS = {
    **WORDS,
    **{state: f"**{WORDS[state]}**" for state in ALARMING},
    PostState.PENDING: "no outcome yet",
    PostState.ACCEPTED: "no outcome yet",
    PostState.SENDING: "not confirmed yet",
}
"""How a report shows the state of a post at one account; Markdown."""
FINISH_OPEN_POSTS = "finish-open-posts reports the outcome: within 5 minutes if its schedule is on, or when you run it."
"""What becomes of a post that no run watches any more."""
FINISH_SCHEDULED = "finish-open-posts reports its outcome after that, if its schedule is on."
"""What becomes of a post that Taisly publishes later."""
FINISH_SCHEDULED_POSTS = "finish-open-posts reports the outcomes once they are published, if its schedule is on."
"""The same for several."""


def how_to_cancel(history_ids: Sequence[str]) -> str:
    """How a scheduled post is cancelled, in one sentence."""
    ids = " or ".join(history_ids)
    return f"To cancel it, run cancel-scheduled-post with the history ID {ids}." if ids else ""


@contextmanager
def explained_duplicates() -> Iterator[None]:
    """Add to the refusal of a duplicate how the earlier post is resolved or cancelled."""
    try:
        yield
    except DuplicatePost as error:
        if error.is_unconfirmed:
            error.message += f" To resolve the earlier post, run resolve-post with the send ID {error.send_id}."
        if error.scheduled_as:
            error.message += (
                f" To cancel the scheduled post, run cancel-scheduled-post with the history ID {error.scheduled_as}."
            )
        raise


@contextmanager
def explained_open_posts() -> Iterator[None]:
    """Add to the refusal to resolve a post that is still open how its outcome is found."""
    try:
        yield
    except StillOpen as error:
        error.message += f" {FINISH_OPEN_POSTS}"
        raise


def detail_of(send: Send, outcome: Outcome) -> str:
    """The reason for an outcome; for an unconfirmed post, also what to check and the two ways to continue."""
    if outcome.state is not PostState.UNCONFIRMED:
        return outcome.detail
    return (
        f"{outcome.detail}, so the post may or may not have been published. Check the account, then run resolve-post "
        f"with the send ID {send.id} and choose 'published' or 'not published'"
    )


def cancelled_message(records: Sequence[SendRecord], now: float) -> str:
    """What the ledger knows of the post of a cancelled run.

    Args:
        records: The sends of the run.
        now: Unix seconds.
    """
    if not any(may_be_out(send, outcome) for send, outcomes in records for outcome in outcomes):
        was = "The scheduled post was cancelled at Taisly too." if _in_state(records, PostState.CANCELLED) else ""
        return f"The run was cancelled. {was or 'It posted nothing.'}"
    lines = [_fate(send, [o for o in outcomes if may_be_out(send, o)], now) for send, outcomes in records]
    return " ".join(["The run was cancelled.", *filter(None, lines)])


def _in_state(records: Sequence[SendRecord], state: PostState) -> bool:
    return any(outcome.state is state for _, outcomes in records for outcome in outcomes)


def may_be_out(send: Send, outcome: Outcome) -> bool:
    """Whether a post is out at an account, may be, or comes out later."""
    is_open = outcome.state in BEING_SENT and send.sealed_at is None
    return not is_open and outcome.state not in NOT_OUT and outcome.state is not PostState.CLAIMED


def _fate(send: Send, outcomes: Sequence[Outcome], now: float) -> str:
    """What is known of those accounts of a send where it is out or may be."""
    if not outcomes:
        return ""
    names = ", ".join(o.account.label for o in outcomes)
    if not any(o.state.in_flight for o in outcomes):
        told = [(o.account.label, WORDS[o.state], detail_of(send, o)) for o in outcomes]
        return " ".join(f"{label}: {word}{f' ({detail})' if detail else ''}." for label, word, detail in told)
    if send.history_id is None and send.scheduled_ms > now * 1000:
        return (
            f"The post may be scheduled for {names}, {shown(send.published_at)}, since Taisly has not confirmed it "
            f"(send ID {send.id}). Check it in Taisly, and cancel it there. {FINISH_OPEN_POSTS}"
        )
    if send.history_id is None:
        return (
            f"The post may have been published to {names}, since Taisly has not confirmed it (send ID {send.id}). "
            f"{FINISH_OPEN_POSTS}"
        )
    if send.scheduled_ms > now * 1000:
        return f"The post stays scheduled for {names}, {shown(send.published_at)}. {how_to_cancel([send.history_id])}"
    return f"Taisly has accepted the post for {names} (history ID {send.history_id}). {FINISH_OPEN_POSTS}"
