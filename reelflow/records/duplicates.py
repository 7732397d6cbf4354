"""What counts as a post that has been sent before with something changed: pure decisions.

After a failure people change something and start again: a typo in the caption, another time, a file exported once more.
The key of a destination does not see that, so the videos themselves are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reelflow.records.post_states import PostState, may_be_claimed
from reelflow.records.posts import Outcome, PostRequest, Send, Video

SAME_LENGTH = 0.1
"""Seconds by which the lengths of two exports of one video differ at most."""
SAME_PICTURE = 8
"""Bits of 256 by which the same picture differs after another encoding. Another text on the same background differs by
12 and more."""
RECENT_SLACK = 1800.0
"""Seconds by which two posts may be closer than a day, or whatever is set: a run starts at the same time each day, and
its upload takes longer one day than the other."""
UNSETTLED = frozenset({PostState.CLAIMED, PostState.SENDING, PostState.ACCEPTED, PostState.UNCONFIRMED})
"""Being sent, or without an outcome: nobody knows yet whether it is out."""


class Verdict(StrEnum):
    """What an earlier send means for a post."""

    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True)
class Duplicate:
    """An earlier send of the same or a similar video to one of a post's accounts."""

    send: Send
    outcome: Outcome
    is_same_file: bool
    is_unsettled: bool
    """Whether it is not known yet if the earlier one is out."""
    verdict: Verdict


def duplicate_of(request: PostRequest, send: Send, outcome: Outcome, *, now: float) -> Duplicate | None:
    """What an earlier send to one of a post's accounts means for it; None if it means nothing.

    Args:
        request: The post that is about to be sent.
        send: Another one.
        outcome: Its outcome at the account.
        now: Unix seconds.
    """
    if may_be_claimed(outcome.state, lease_until=send.lease_until, sealed_at=send.sealed_at, now=now):
        return None  # it is certain that nothing is out
    is_same_file = send.sha256 == request.video.sha256
    if not is_same_file and not are_alike(request.video, send.duration, send.pictures):
        return None
    is_unsettled = outcome.state in UNSETTLED
    distance = abs(max(now, request.scheduled_ms / 1000) - send.published_at)
    is_recent = distance < request.duplicate_seconds - min(RECENT_SLACK, request.duplicate_seconds / 20)
    if is_unsettled or (is_recent and is_same_file):
        return Duplicate(send, outcome, is_same_file, is_unsettled, Verdict.REFUSE)
    return Duplicate(send, outcome, is_same_file, is_unsettled, Verdict.WARN) if is_recent else None


def are_alike(video: Video, duration: float, pictures: Sequence[int]) -> bool:
    """Whether another file, with this length and these pictures, shows the same as `video`."""
    if not video.pictures or len(video.pictures) != len(pictures) or abs(video.duration - duration) > SAME_LENGTH:
        return False
    return all((a ^ b).bit_count() <= SAME_PICTURE for a, b in zip(video.pictures, pictures, strict=True))
