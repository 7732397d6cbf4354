"""Refuse a post that an earlier one may already have brought out."""

from __future__ import annotations

from collections.abc import Sequence

from reelflow.errors import DuplicatePost
from reelflow.records.duplicates import Duplicate, Verdict
from reelflow.records.post_states import PostState
from reelflow.records.posts import own_repeat
from reelflow.time_zones import shown
from reelflow.wording import duration, one_line

CAPTION_SHOWN = 60
"""Characters of an earlier caption in a message."""


def check_duplicates(found: Sequence[Duplicate], now: float) -> list[str]:
    """Warnings about similar videos that were sent before.

    Args:
        found: Earlier sends, from the ledger.
        now: Unix seconds.

    Raises:
        DuplicatePost: one of them is the same post with something changed, or may turn out to be.
    """
    refused = [each for each in found if each.verdict is Verdict.REFUSE]
    if refused:
        raise refusal_of(refused, now)
    return similar_videos(found, now)


def similar_videos(found: Sequence[Duplicate], now: float) -> list[str]:
    """Warnings about similar videos that were sent before, none of which is refused."""
    return [
        f"A similar video {_when(each, now, each.outcome.account.label)}. Check that it is a different video."
        for each in found
    ]


def refusal_of(refused: Sequence[Duplicate], now: float) -> DuplicatePost:
    """The refusal that names the first of several earlier sends, with all its accounts, and the ways on."""
    first = refused[0]
    message = f"Nothing was sent, because {reason_of(refused, now)}. "
    if first.outcome.state is PostState.UNCONFIRMED:
        message += "Find out whether it was published, and resolve it. "
    elif _is_scheduled(first, now):
        message += "To replace it, cancel it first. "
    elif first.is_unsettled:
        message += f"Wait for its outcome (send ID {first.send.id}). "
    return DuplicatePost(
        f"{message}To send this post all the same, set 'Send again on purpose' to {next_repeat(refused)}.",
        send_id=first.send.id,
        is_unconfirmed=first.outcome.state is PostState.UNCONFIRMED,
        scheduled_as=first.send.history_id if _is_scheduled(first, now) else None,
    )


def reason_of(refused: Sequence[Duplicate], now: float) -> str:
    """What was sent before, and where: "the same video was sent to X @mara 5 minutes ago with …"."""
    first = refused[0]
    labels = [each.outcome.account.label for each in refused if each.send.id == first.send.id]
    video = "the same video" if first.is_same_file else "a video of the same length that looks the same"
    return f"{video} {_when(first, now, ', '.join(labels))}"


def next_repeat(refused: Sequence[Duplicate]) -> int:
    """A number with which none of these was sent."""
    return max(own_repeat(each.send.repeat) for each in refused) + 1


def _is_scheduled(found: Duplicate, now: float) -> bool:
    """Whether Taisly has it, for later."""
    return found.outcome.state is PostState.ACCEPTED and found.send.published_at > now


def _when(found: Duplicate, now: float, label: str) -> str:
    """What was sent where and when, and what became of it: "was sent to X @mara 5 minutes ago with …"."""
    send = found.send
    caption = f"with the caption {one_line(send.caption, CAPTION_SHOWN)!r}" if send.caption else "without a caption"
    if _is_scheduled(found, now):
        return f"is scheduled for {label} on {shown(send.published_at)} {caption} ({send.file_name})"
    outcome, age = _OUTCOMES.get(found.outcome.state, "it has no outcome yet"), max(0.0, now - send.published_at)
    return f"was sent to {label} {duration(age)} ago {caption} ({send.file_name}), and {outcome}"


_OUTCOMES = {
    PostState.SUCCESS: "it was published",
    PostState.FAILED: "it failed there",
    PostState.UNCONFIRMED: "it is not known whether it was published",
}
