"""What the phones do once a video is published: pure decisions from the form and the outcomes."""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reelflow.errors import InputError
from reelflow.phones.form import CommentForm, EngageForm, PhoneForm, WarmUpForm
from reelflow.records.post_states import PostState
from reelflow.records.posts import Outcome
from reelflow.tikmatrix.scripts import Script, WarmUp, texts
from reelflow.tikmatrix.targets import Platform, post_key

LEAST_WARM_UP = 10
"""Seconds; the least that `WarmUp.duration_seconds` permits."""
WARM_UP_FIELDS = {
    name: "warm_up_seconds" if name == "duration_seconds" else f"warm_up_{name}"
    for name in WarmUp.model_fields
    if name not in Script.model_fields
}
"""The settings of a warm-up, and what each is called in `EngageForm`."""


class EngagementJob(StrEnum):
    """What the phones can do for a new post."""

    WARM_UP = "warm-up"
    COMMENT = "comment"


@dataclass(frozen=True)
class EngagementPart:
    """One piece of work for the phones."""

    job: EngagementJob
    form: PhoneForm


def check_engagement(form: EngageForm) -> None:
    """Raise InputError for a form that requests nothing, or has settings that contradict each other."""
    if not asks_for_something(form):
        raise InputError("Nothing for the phones to do. Add comments or a warm-up duration.")
    if 0 < form.warm_up_seconds < LEAST_WARM_UP:
        raise InputError(f"A warm-up takes at least {LEAST_WARM_UP} seconds.")
    if not form.comment_on:
        raise InputError("Choose at least one platform in 'Comment on'. It also decides which accounts are used.")
    if form.image_path.strip() and "TikTok" not in form.comment_on:
        raise InputError("Comments with an image work on TikTok only. Leave 'Image' empty.")


def check_platforms(form: EngageForm, platforms: Collection[str]) -> None:
    """Raise InputError for comments on a post that goes to no platform where the phones comment."""
    asks = EngagementJob.COMMENT in engagement_jobs(form)
    if asks and not any(platform in platforms for platform in form.comment_on):
        raise InputError(nowhere(form, "The phones are to comment on the post", "publish it without the phones"))


def nowhere(form: EngageForm, asked: str, otherwise: str) -> str:
    """What is said if a post goes to no platform where the phones comment; `otherwise` is what else can be done."""
    where = " or ".join(form.comment_on) or "any platform"
    return (
        f"{asked}, but none of its accounts is on {where}, where they comment. Choose its platform in 'Comment on' "
        f"(phones can comment only on TikTok and Instagram), or {otherwise}."
    )


def asks_for_something(form: EngageForm) -> bool:
    """Whether a form asks for comments or a warm-up."""
    return bool(engagement_jobs(form))


def engagement_jobs(form: EngageForm) -> list[EngagementJob]:
    """The jobs that a form asks for."""
    wanted = {
        EngagementJob.WARM_UP: bool(form.warm_up_seconds),
        EngagementJob.COMMENT: bool(texts(form.comments, "comment")),
    }
    return [job for job, is_wanted in wanted.items() if is_wanted]


def needs_chatgpt(form: EngageForm) -> bool:
    """Whether ChatGPT writes comments during the warm-up."""
    return any(part.form.needs_chatgpt for part in warm_up_parts(form, dry_run=True))


def sample_forms(form: EngageForm) -> list[PhoneForm]:
    """A phone form for each part that may come, to check phones and accounts early.

    There is one for comments in any case: posts and text are placeholders.
    """
    example = {"TikTok": "https://vm.tiktok.com/x", "Instagram": "https://www.instagram.com/p/x"}
    comments = [
        _comment_on(form.model_copy(update={"comments": ["x"]}), platform, [example[platform]])
        for platform in dict.fromkeys(form.comment_on)
    ]
    return [*comments, *(part.form for part in warm_up_parts(form, dry_run=False))]


def warm_up_parts(form: EngageForm, *, dry_run: bool) -> list[EngagementPart]:
    """The warm-ups that a form asks for, one for each platform."""
    if not form.warm_up_seconds:
        return []
    own = {name: getattr(form, WARM_UP_FIELDS[name]) for name in WARM_UP_FIELDS}
    shared = _shared(form, set(PhoneForm.model_fields))
    return [
        EngagementPart(EngagementJob.WARM_UP, WarmUpForm(**shared, **own, platform=platform, dry_run=dry_run))
        for platform in dict.fromkeys(form.comment_on)
    ]


def comment_parts(form: EngageForm, outcomes: Sequence[Outcome]) -> tuple[list[EngagementPart], list[str]]:
    """The comments on what was published, one for each platform; and what is skipped, and why."""
    parts: list[EngagementPart] = []
    skipped: list[str] = []
    if not texts(form.comments, "comment"):
        return parts, skipped
    for platform in dict.fromkeys(form.comment_on):
        here = [outcome for outcome in outcomes if outcome.account.platform == platform]
        urls = [o.link for o in here if o.state is PostState.SUCCESS and o.link and _is_post(o.link, platform)]
        if not urls:
            skipped.append(f"No comments on {platform}: {_why_not(here)}")
            continue
        parts.append(EngagementPart(EngagementJob.COMMENT, _comment_on(form, platform, urls)))
    return parts, skipped


def _comment_on(form: EngageForm, platform: Platform, urls: list[str]) -> CommentForm:
    """The comments on posts of one platform; an image goes with those on TikTok."""
    values = _shared(form, set(CommentForm.model_fields)) | ({} if platform == "TikTok" else {"image_path": ""})
    return CommentForm(**values, platform=platform, post_urls=urls)


def _shared(form: EngageForm, names: Set[str]) -> dict[str, Any]:
    """The values of those fields of a phone form, by their names, that `form` has under the same name."""
    return {name: getattr(form, name) for name in EngageForm.model_fields if name in names}


def _is_post(url: str, platform: Platform) -> bool:
    try:
        post_key(url, platform)
    except InputError:
        return False
    return True


def _why_not(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return "the video was not posted there."
    if any(o.state is PostState.SUCCESS for o in outcomes):
        return "Taisly returned no link to the post."
    if any(o.state is PostState.PENDING for o in outcomes):
        return "the post has no outcome there yet."
    return f"the post was not published there ({outcomes[0].state.lower()})."
