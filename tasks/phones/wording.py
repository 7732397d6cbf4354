"""Messages for people, built from the facts that the engine returns."""

from collections.abc import Sequence

from reelflow.records.engagements import Engagement, EngagementState
from reelflow.records.phone_states import GRACE, RequestState, TaskState
from reelflow.records.phones import TaskRequest
from reelflow.wording import count, listed

STARTS_THEN = "finish-open-posts starts engage-when-published then, if its schedule is on."
LATER = f"The phones do their part once it is published: {STARTS_THEN}"
"""What becomes of the phones' part of a post that has no outcome yet."""
NEVER = "The phones do nothing more for it. If you still want comments, run comment-on-posts once it is published."
"""What becomes of the phones' part if the run that asked for it is cancelled."""
NOT_LATER = "The phones' part is not left to a later run, which would need a saved block."
NO_PC = (
    "No phones do their part: the run that asked for it had a block 'TikMatrix Host' that is not saved. Save it, then "
    "run comment-on-posts."
)
"""What is said of an engagement without a PC."""
ENDED_BEFORE = {
    EngagementState.DONE: "The phones did their part for this post before; nothing was requested again.",
    EngagementState.FAILED: "The phones' part of this post failed before.",
    EngagementState.SKIPPED: "The phones' part of this post was skipped before.",
    EngagementState.CANCELLED: "The phones' part of this post was cancelled before.",
}
"""What is said of the phones' part that has ended."""
TRY_AGAIN = "run engage-when-published with 'Try again' and the engagement ID"
"""How a person lets the phones do what is left."""
OUTCOME_WORDS = {
    TaskState.PENDING: "pending",
    TaskState.RUNNING: "running",
    TaskState.RETRYING: "failed, may be retried",
    TaskState.COMPLETED: "completed",
    TaskState.FAILED: "**failed**",
    TaskState.GONE: "**gone**",
    TaskState.CANCELLED: "cancelled",
}
"""How a report shows the state of a phone task; Markdown."""


def with_id(sentence: str, engagement_id: str) -> str:
    """What is said of a later run, and the ID for whoever starts that run by hand."""
    return f"{sentence} Its engagement ID is {engagement_id}."


def waiting_posts(files: Sequence[str]) -> str:
    """How many posts wait for their phones, and the first of them: "2 posts waiting for the phones' part: a, b"."""
    return f"{count(len(files), 'post')} waiting for the phones' part: {listed(files, most=3)}"


def ended_before(engagement: Engagement) -> str:
    """What is said of an engagement that has ended, and how it can be done again."""
    said = ENDED_BEFORE[engagement.state]
    if engagement.state in (EngagementState.FAILED, EngagementState.SKIPPED):
        said += f" To do what is left, {TRY_AGAIN} {engagement.id}."
    return said


def trouble_of(request: TaskRequest, created: int, now: float) -> str | None:
    """What to tell people about a request that did not simply create its tasks; None if it did.

    Args:
        request: As it is on record.
        created: How many of its tasks are on record.
        now: Unix seconds.
    """
    tasks = f"A request for {count(request.expected, 'task')}"
    if request.state is RequestState.CREATED:
        return None if created == request.expected or not request.reason else f"{request.reason.rstrip('.')}."
    if request.state is RequestState.REFUSED:
        return request.reason
    if request.state is RequestState.PLANNED:
        return f"{tasks} was not sent. {request.reason}".strip()
    if request.state is RequestState.NOT_CREATED:
        return f"{tasks} created none: {request.reason.rstrip('.')}."
    if request.state is RequestState.UNCONFIRMED:
        return f"Unconfirmed: {request.reason}. {what_to_do([request.id])}"
    wait = max(0.0, GRACE - (now - (request.begun_at or now))) / 60
    return (
        f"Unconfirmed: {request.reason or 'The answer to a request was lost'}, and TikMatrix does not show all of its "
        f"tasks. They may have been done. Nothing was sent again. finish-phone-tasks looks for them for another "
        f"{wait:.0f} minutes and then says what to do."
    )


def what_to_do(request_ids: Sequence[str]) -> str:
    """What unconfirmed requests mean, and how a person settles them."""
    return (
        "Tasks that TikMatrix no longer shows may have been done, so they still count and are not requested again. "
        "Check the accounts, then run manage-phone-tasks with the action 'mark done' or 'mark not done' and "
        f"{'this request ID' if len(request_ids) == 1 else 'these request IDs'}: {', '.join(request_ids)}. "
        "What was not done can be requested again."
    )
