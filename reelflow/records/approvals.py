"""What a person was asked to approve, and what they decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reelflow.time_zones import DAY

WITHOUT_TIME = 7 * DAY
"""Seconds for which an answer is waited for where a post has no time."""


class Answer(StrEnum):
    """What a person decided about a post at one account."""

    APPROVED = "approved"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Approval:
    """A post at one account that a person was asked to approve.

    Attributes:
        digest: Of its video, account, caption, `repeat` and fixed time: another content is another question.
        question: Which question of its run asked for it, from 1.
        number: Of its row.
        until: Unix seconds of the moment at which it would be published: afterwards the question is over; 0 for never.
        answer: None if nobody has answered.
        caption: The text that was approved in place of the plan's; None for the plan's own.
    """

    digest: str
    question: int
    number: int
    until: float
    answer: Answer | None = None
    caption: str | None = None


@dataclass(frozen=True)
class OpenQuestion:
    """A run that waits for a person's answer.

    Attributes:
        flow_run: Its id.
        posts: How many posts it asks about, each at one account.
        first: Unix seconds at which the first of them would be published; 0 if none has a time.
        asked_at: Unix seconds.
    """

    flow_run: str
    posts: int
    first: float
    asked_at: float
