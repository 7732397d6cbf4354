"""Ask a person before a campaign is sent: the run suspends, and its worker is free, until somebody has answered.

A suspended flow begins again from its top once it is resumed. So what was asked and answered is in the ledger, by the
content of each post: a post that was changed meanwhile is asked about again, and none is sent that was not approved.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Literal

from prefect import get_run_logger
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import BaseModel, Field

from blocks import PostingSlots, TaislyAccount
from reelflow.campaigns.approval import (
    CaptionChange,
    Decided,
    GivenAnswer,
    decide,
    describe_question,
    digest_of,
    questions_of,
    read_answer,
)
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.placing import MARGIN_SECONDS
from reelflow.campaigns.posts import CheckedPlan, Draft, PlannedPost
from reelflow.errors import InputError, VideoUnreadable
from reelflow.ledger import Ledger
from reelflow.records.campaigns import caption_fingerprint
from reelflow.time_zones import DAY, shown_zone
from reelflow.video.poster import poster
from tasks.alarms import alarm_waiting
from tasks.artifacts import plain_text, show_live, table
from tasks.campaigns.check import get_placer
from tasks.campaigns.wording import zone_shown
from tasks.ledger import open_ledger
from tasks.step import Retry, step
from tasks.upkeep.week import refresh_week

WITHOUT_TIME = 7 * DAY
"""Seconds for which an answer is waited for where no post has a time."""
POSTER_HEIGHT, POSTER_WIDTH = 120, 54
"""Pixels."""
MOST_POSTERS = 60
"""Of 3 to 5 KB each: the question stays below half a megabyte."""

Asker = Callable[[str, Sequence[PlannedPost]], GivenAnswer]
"""Asks a person at a terminal: gets what is to be said first, and the posts."""
_askers: list[Asker] = []


class CaptionInput(BaseModel):
    """Another caption."""

    row: int = Field(title="Row", ge=1, json_schema_extra={"position": 0})
    caption: str = Field(title="Caption", json_schema_extra={"position": 1, "format": "textarea"})
    platform: str = Field(
        "", title="Platform", description="Empty: on every platform.", json_schema_extra={"position": 2}
    )


class CampaignApproval(RunInput):
    """What a person answers."""

    decision: Literal["approve", "reject"] = Field(
        title="Decision",
        description="'approve' publishes every row that you do not drop; 'reject' publishes nothing.",
        json_schema_extra={"position": 0},
    )
    drop_rows: str = Field(
        "", title="Rows to drop", description="Their numbers, such as 3, 5-7.", json_schema_extra={"position": 1}
    )
    captions: list[CaptionInput] = Field(
        default_factory=list, title="Other captions", description="Only for rows whose caption is to change.",
        json_schema_extra={"position": 2},
    )  # fmt: skip


@contextmanager
def asked_by(asker: Asker) -> Iterator[None]:
    """Let `asker` ask in place of the UI: for a run in this process, which nobody could resume."""
    _askers.append(asker)
    try:
        yield
    finally:
        _askers.remove(asker)


def approve_campaign(
    taisly: TaislyAccount, form: CampaignForm, slots: PostingSlots | None, checked: CheckedPlan
) -> CheckedPlan:
    """The plan with only what a person has approved; suspends the run until they have answered.

    The slots are reserved first, so that the times that are shown are those that count. An answer that cannot be
    understood is asked for again. What is not approved when its time comes is not published.

    Raises:
        InputError: the run has no deployment, so nobody could resume it.
    """
    ledger, run, note = open_ledger(), str(flow_run.id), ""
    known = ledger.approvals(run)
    question = max((each.question for each in known.values()), default=0)
    is_pending = any(each.answer is None and each.question == question for each in known.values())
    wanted = _decide(ledger, run, checked).open
    posts = reserve_slots(taisly, form, slots, checked, wanted) if wanted else []
    while (decided := _decide(ledger, run, checked)).open:
        if not is_pending:
            question += 1
            ledger.ask_for_approval(run, questions_of(posts, decided.open, question))
        is_pending = False
        answer = _ask(form, question, note, [post for post in posts if _is_open(post, decided.open)], checked, decided)
        known = ledger.approvals(run)
        asked = [d for d in decided.open if (its := known.get(digest_of(d))) and its.question == question]
        try:
            ledger.answer_approvals(run, read_answer(answer, asked))
        except InputError as error:
            note = str(error)
            get_run_logger().warning("The answer cannot be used, so the question is asked again: %s", error)
    return _only_approved(ledger, taisly, checked, decided)


@step("reserve slots", retry=Retry.LEDGER)
def reserve_slots(
    taisly: TaislyAccount, form: CampaignForm, slots: PostingSlots | None, checked: CheckedPlan, drafts: list[Draft]
) -> list[PlannedPost]:
    """Reserve the slots of these drafts, all in one transaction; the posts with their times."""
    placer = get_placer(taisly, form, slots, open_ledger(), checked)
    placer.flow_run = flow_run.id
    posts, problems = placer.place(drafts, dry_run=False)
    checked.problems += problems
    return posts


def _decide(ledger: Ledger, run: str, checked: CheckedPlan) -> Decided:
    return decide(checked.right_drafts(), ledger.approvals(run), ledger.now() + 2 * MARGIN_SECONDS)


def _is_open(post: PlannedPost, drafts: Sequence[Draft]) -> bool:
    accounts = {account.id for account in post.request.accounts}
    return any(draft.row.number == post.number and draft.account.id in accounts for draft in drafts)


def _ask(
    form: CampaignForm,
    question: int,
    note: str,
    posts: Sequence[PlannedPost],
    checked: CheckedPlan,
    decided: Decided,
) -> GivenAnswer:
    """Ask, and return the answer. In the UI this ends the process; the run comes here again once it is resumed."""
    what = describe_question(checked, decided.open)
    if _askers:
        return _askers[-1](f"{note} {what}".strip(), posts)
    if not deployment.id:
        raise InputError(
            "Nothing was sent: this run has no deployment, so nobody could approve its posts in the UI. Start it from "
            "a deployment, or with `reelflow campaign` in a terminal."
        )
    lines = _question(form, note, what, posts)
    moments = [post.request.scheduled_for for post in posts if post.request.scheduled_for]
    seconds = max([(moment.timestamp() - open_ledger().now()) for moment in moments], default=WITHOUT_TIME)
    if any(post.request.scheduled_for is None for post in posts):
        seconds = max(seconds, WITHOUT_TIME)
    show_live(lines, f"Waiting for your approval: {what}")
    refresh_week()
    alarm_waiting(str(flow_run.id), str(flow_run.name), what, question)
    answer = suspend_flow_run(
        wait_for_input=CampaignApproval.with_initial_data(description="\n".join(lines)),
        timeout=max(60, round(seconds)),
        key=f"approval-{question}",
    )
    return GivenAnswer(
        approves=answer.decision == "approve",
        drop=answer.drop_rows,
        captions=[CaptionChange(c.row, c.caption, c.platform.strip()) for c in answer.captions],
    )


def _question(form: CampaignForm, note: str, what: str, posts: Sequence[PlannedPost]) -> list[str]:
    """The question as Markdown: every post with its picture, caption, accounts and time.

    The dialog of the UI has 430 pixels for it: a table of three columns, with the picture below the time.
    """
    lines = [f"**{plain_text(note)}**", ""] if note else []
    lines += [f"{plain_text(form.name)}: {what} {zone_shown()}", ""]
    pictures = _posters(posts[:MOST_POSTERS])
    columns = {
        "Row": [str(post.number) for post in posts],
        "When": [
            f"{_when(post)}<br>{pictures.pop(str(post.request.video.path), '')}".removesuffix("<br>") for post in posts
        ],
        "Post": [_post(post) for post in posts],
    }
    return lines + table(columns)


def _when(post: PlannedPost) -> str:
    due = post.request.scheduled_for
    local = due.astimezone(shown_zone()) if due else None
    return f"{local:%a} {local.day} {local:%b}<br>{local:%H:%M}" if local else "now"


def _post(post: PlannedPost) -> str:
    request = post.request
    parts = [
        f"**{plain_text(request.video.path.name)}**",
        plain_text(request.caption),
        plain_text(request.account_names),
    ]
    return "<br>".join(filter(None, parts))


def _posters(posts: Sequence[PlannedPost]) -> dict[str, str]:
    """A small picture of each video, by its path; none where that cannot be made."""
    found: dict[str, str] = {}
    for post in posts:
        path = post.request.video.path
        if str(path) in found:
            continue
        with suppress(VideoUnreadable, OSError):
            jpeg = base64.b64encode(poster(path, at=post.request.preview_second, height=POSTER_HEIGHT)).decode()
            found[str(path)] = f'<img src="data:image/jpeg;base64,{jpeg}" width="{POSTER_WIDTH}">'
    return found


def _only_approved(ledger: Ledger, taisly: TaislyAccount, checked: CheckedPlan, decided: Decided) -> CheckedPlan:
    """The plan with what was decided: slots that are not wanted any more are released, changed captions keep theirs."""
    shas = {draft.video.sha256 for draft in (*decided.dropped, *(before for before, _ in decided.recaptioned))}
    kept = {
        (each.campaign, each.sha256, each.account.id, each.caption_sha256, each.repeat): each
        for each in ledger.reservations(taisly.service, shas)
    }
    ledger.release_slots(taisly.service, [kept[key] for d in decided.dropped if (key := _key(d)) in kept])
    for before, after in decided.recaptioned:
        if slot := kept.get(_key(before)):
            ledger.keep_slot_with(taisly.service, slot, caption_fingerprint(after.caption))
    wrong = checked.wrong_rows
    others = [draft for draft in checked.drafts if draft.row.number in wrong]
    return replace(checked, drafts=[*decided.approved, *others], skipped=[*checked.skipped, *decided.skipped])


def _key(draft: Draft) -> tuple[str, str, str, str, int]:
    caption = caption_fingerprint(draft.caption)
    return draft.row.campaign, draft.video.sha256, draft.account.id, caption, draft.repeat
