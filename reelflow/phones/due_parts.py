"""Which parts of an engagement can be done now, which come later, and which never: pure decisions.

A platform is waited for while a post may still come out there, and not longer than the form says. What waits for one
platform does not keep the others waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from reelflow.phones.engagement import EngagementJob, EngagementPart, comment_parts, warm_up_parts
from reelflow.phones.form import CommentForm, EngageForm
from reelflow.records.engagements import Engagement, EngagementState, PartResult
from reelflow.records.post_states import BEING_SENT, PostState
from reelflow.records.posts import Outcome, Send
from reelflow.tikmatrix.scripts import texts

MOST_ATTEMPTS = 6
"""So many runs for one engagement are enough: each platform may need one of its own, and a few may be interrupted."""
_ON_THE_WAY = frozenset({PostState.SENDING, PostState.ACCEPTED, PostState.PENDING})
"""An outcome comes by itself."""
_TO_COME = BEING_SENT | _ON_THE_WAY
"""A post in one of these may still come out."""


@dataclass(frozen=True)
class DueParts:
    """What can be done now.

    Attributes:
        parts: Warm-ups first.
        skipped: What is not done, and why; a sentence each.
        waits_for: The platforms for which something comes later.
        is_out: Whether the post is out anywhere.
    """

    parts: list[EngagementPart]
    skipped: list[str]
    waits_for: Sequence[str]
    is_out: bool


def due_parts(form: EngageForm, outcomes: Sequence[Outcome], done: Sequence[PartResult] = ()) -> DueParts:
    """What a form asks for that can be done now, without what is done."""
    is_out = any(outcome.state is PostState.SUCCESS for outcome in outcomes)
    comments = bool(texts(form.comments, "comment"))
    waits_for = [
        platform
        for platform in dict.fromkeys(form.comment_on)
        if (not is_out and _may_come(outcomes))
        or (comments and _may_come([o for o in outcomes if o.account.platform == platform]))
    ]
    now = form.model_copy(update={"comment_on": [p for p in form.comment_on if p not in waits_for]})
    commenting, skipped = comment_parts(now, outcomes)
    warming = warm_up_parts(now, dry_run=False) if is_out else []
    parts = [left for part in (*warming, *commenting) if (left := _without_done(part, done)) is not None]
    return DueParts(parts, skipped, waits_for, is_out)


def _may_come(outcomes: Sequence[Outcome]) -> bool:
    """Whether a post may still come out; one that is unconfirmed may be out, which a person or a late answer tells."""
    states = {outcome.state for outcome in outcomes}
    return bool(states & _TO_COME) or (PostState.UNCONFIRMED in states and PostState.SUCCESS not in states)


def _without_done(part: EngagementPart, done: Sequence[PartResult]) -> EngagementPart | None:
    """What is left of a part."""
    before = [each for each in done if (each.job, each.platform) == (part.job, part.form.platform)]
    if not before or not isinstance(part.form, CommentForm):
        return None if before else part
    urls = [url for url in part.form.post_urls if all(url not in each.urls for each in before)]
    return replace(part, form=part.form.model_copy(update={"post_urls": urls})) if urls else None


class Next(Enum):
    """What to do about an engagement."""

    WAIT = "wait"
    START = "start"
    END = "end"


@dataclass(frozen=True)
class Decision:
    """What to do about an engagement now.

    Attributes:
        next: Which.
        state: How it ends, if it does.
        reason: Why, for people.
        is_alarm: Whether people must know of its end.
        due: What can be done now.
    """

    next: Next
    state: EngagementState = EngagementState.WAITING
    reason: str = ""
    is_alarm: bool = False
    due: DueParts = field(default_factory=lambda: DueParts([], [], [], is_out=False))


def decide(
    form: EngageForm,
    engagement: Engagement,
    found: Sequence[tuple[Outcome, Send]],
    now: float,
    *,
    is_never_late: bool = False,
) -> Decision:
    """What to do about an open engagement.

    Args:
        form: Its form.
        engagement: As it is on record.
        found: What is on record of its post.
        now: Unix seconds.
        is_never_late: For the run that a person started.
    """
    outcomes = [outcome for outcome, _ in found]
    due = due_parts(form, outcomes, engagement.parts)
    late = now - form.max_lateness_hours * 3600
    states = {outcome.state for outcome in outcomes}
    if due.is_out:
        published = max(send.published_at for outcome, send in found if outcome.state is PostState.SUCCESS)
        published = max(published, engagement.asked_at)  # who asks later knows that it is old
        if published < late and not is_never_late and (due.parts or due.waits_for):
            reason = f"the post was published more than {form.max_lateness_hours:g} hours before"
            reason += f"; {engagement.reason}" if engagement.reason else ""
            return _end(engagement, reason, due, is_alarm=True)
        if due.parts:
            return Decision(Next.START if now >= engagement.due else Next.WAIT, due=due)
        if due.waits_for:
            return Decision(Next.WAIT, due=due)
        return _end(engagement, " ".join(due.skipped), due)
    if not outcomes or (states & {PostState.CLAIMED, PostState.UNCONFIRMED} and not states & _ON_THE_WAY):
        since = max([engagement.asked_at, engagement.due, *(send.published_at for _, send in found)])
        word = "is unconfirmed" if PostState.UNCONFIRMED in states else "was not sent"
        is_over = since < late and not is_never_late
        return _end(engagement, f"the post {word}", due) if is_over else Decision(Next.WAIT, due=due)
    if _may_come(outcomes):
        return Decision(Next.WAIT, due=due)
    if states == {PostState.CANCELLED}:
        return Decision(Next.END, EngagementState.CANCELLED, "the post was cancelled", due=due)
    return _end(engagement, "the post was not published", due)


def ended_as(parts: Sequence[PartResult]) -> EngagementState:
    """How an engagement ends with these parts."""
    if not parts:
        return EngagementState.SKIPPED
    return EngagementState.FAILED if any(part.failed for part in parts) else EngagementState.DONE


def _end(engagement: Engagement, reason: str, due: DueParts, *, is_alarm: bool = False) -> Decision:
    return Decision(Next.END, ended_as(engagement.parts), reason, is_alarm, due)


def result_of(part: EngagementPart, summary: str, *, failed: bool) -> PartResult:
    """What is recorded of a part."""
    urls = tuple(part.form.post_urls) if isinstance(part.form, CommentForm) else ()
    return PartResult(EngagementJob(part.job), part.form.platform, urls, summary, failed)
