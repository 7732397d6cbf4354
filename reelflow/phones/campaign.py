"""What the phones do once a video is out: pure decisions from a plan and the outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reelflow.errors import InputError
from reelflow.models import Outcome, State
from reelflow.phones.forms import CommentForm, EngageForm, PhoneForm, WarmUpForm
from reelflow.tikmatrix.scripts import Platform, post_key, texts


@dataclass(frozen=True)
class EngagePart:
    """One piece of work for the phones: the deployment that does it, the name of its form there, and the form."""

    deployment: str
    parameter: str
    form: PhoneForm


def check_engagement(form: EngageForm) -> None:
    """Raise InputError for a plan that asks for nothing, or for something that does not go together."""
    if not form.warm_up_seconds and not texts(form.comments, "comment"):
        raise InputError("The phones are to do nothing: give comments, or a time for the warm-up.")
    if 0 < form.warm_up_seconds < 10:
        raise InputError("A warm-up takes at least 10 seconds.")
    if not form.comment_on:
        raise InputError("Name at least one platform in 'Comment on'; it says which accounts are used, too.")


def warm_up_parts(form: EngageForm, *, dry_run: bool) -> list[EngagePart]:
    """The warm-ups of a plan, one for each platform."""
    if not form.warm_up_seconds:
        return []
    return [
        EngagePart(
            "warm-up-accounts",
            "warm_up",
            WarmUpForm(
                platform=platform,
                devices=form.devices,
                usernames=form.usernames,
                duration_seconds=form.warm_up_seconds,
                topics=form.warm_up_topics,
                most_tasks=form.most_tasks,
                watch_minutes=form.watch_minutes,
                dry_run=dry_run,
            ),
        )
        for platform in dict.fromkeys(form.comment_on)
    ]


def comment_parts(form: EngageForm, outcomes: Sequence[Outcome]) -> tuple[list[EngagePart], list[str]]:
    """The comments on what was published, one for each platform; and what is skipped, and why."""
    parts, skipped = [], []
    if not texts(form.comments, "comment"):
        return [], []
    for platform in dict.fromkeys(form.comment_on):
        here = [outcome for outcome in outcomes if outcome.account.platform == platform]
        urls = [o.link for o in here if o.state is State.SUCCESS and o.link and _is_post(o.link, platform)]
        if not urls:
            skipped.append(f"No comments on {platform}: {_why_not(here)}")
            continue
        comment = CommentForm(
            platform=platform,
            devices=form.devices,
            usernames=form.usernames,
            post_urls=urls,
            comments=form.comments,
            comment_order=form.comment_order,
            most_tasks=form.most_tasks,
            watch_minutes=form.watch_minutes,
        )
        parts.append(EngagePart("comment-on-posts", "comments", comment))
    return parts, skipped


def _is_post(url: str, platform: Platform) -> bool:
    try:
        post_key(url, platform)
    except InputError:
        return False
    return True


def _why_not(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return "the video was not posted there."
    if any(o.state is State.SUCCESS for o in outcomes):
        return "Taisly gave no address of the post that can be commented on."
    if any(o.state is State.PENDING for o in outcomes):
        return "the post has no outcome there yet."
    return f"the post did not come out there ({outcomes[0].state})."
