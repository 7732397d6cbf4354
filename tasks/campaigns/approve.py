"""Ask a person before a campaign is sent: the run suspends, and its worker is free, until somebody has answered.

A suspended flow begins again from its top once it is resumed. So what was asked and answered is in the ledger, by the
content of each post: a post that was changed meanwhile is asked about again, and none is sent that was not approved.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from prefect import get_run_logger
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput, keyset_from_base_key, read_flow_run_input
from prefect.runtime import deployment, flow_run
from pydantic import BaseModel, Field

from blocks import PostingSlots, TaislyAccount
from reelflow.campaigns.approval import (
    PLAN_CHANGED,
    CaptionChange,
    Decided,
    GivenAnswer,
    as_asked,
    decide,
    describe_question,
    questions_of,
    read_answer,
    slots_to_release,
)
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.placing import MARGIN_SECONDS
from reelflow.campaigns.posts import CheckedPlan, Draft, PlannedPost
from reelflow.errors import InputError
from reelflow.ledger import Ledger
from reelflow.records.approvals import WITHOUT_TIME
from tasks.alarms import alarm_waiting
from tasks.artifacts import show_live
from tasks.campaigns.check import get_placer
from tasks.campaigns.question import PhonesOf, question_of
from tasks.ledger import open_ledger
from tasks.prefect_server import read_patiently
from tasks.step import Retry, step
from tasks.upkeep.week import refresh_week

NOBODY_COULD_APPROVE = (
    "Nothing was sent: this run has no deployment, so nobody could approve its posts in the UI. Start it from a "
    "deployment, or with `reelflow campaign` in a terminal."
)
Asker = Callable[[str, Sequence[PlannedPost], PhonesOf], GivenAnswer]
"""Asks a person at a terminal: gets what is to be said first, and the posts with what the phones do for each."""
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
    known = ledger.approvals(run).values()
    question = max((each.question for each in known), default=0)
    is_pending = any(each.answer is None and each.question == question for each in known)
    if is_pending and (stored := _stored_answer(question)):
        note = _use(ledger, run, question, checked, stored)
    while (decided := _decide(ledger, run, checked)).open:
        if not (_askers or deployment.id):
            raise InputError(NOBODY_COULD_APPROVE)
        question += 1  # also after a run that died: Prefect takes no second question under the number of an earlier one
        posts = reserve_slots(taisly, form, slots, checked, decided.open)
        if wanted := _decide(ledger, run, checked).open:  # without those that have no slot
            posts = [post for post in posts if post.number not in checked.wrong_rows]
            ledger.ask_for_approval(run, questions_of(posts, wanted, question))
            answer = _ask(form, question, note, posts, describe_question(checked, wanted), checked.phones_of)
            note = _use(ledger, run, question, checked, answer)
    ledger.close_questions(run)
    return _only_approved(ledger, taisly, checked, decided)


@step("reserve slots", retry=Retry.LEDGER)
def reserve_slots(
    taisly: TaislyAccount, form: CampaignForm, slots: PostingSlots | None, checked: CheckedPlan, drafts: list[Draft]
) -> list[PlannedPost]:
    """Reserve the slots of these drafts, all in one transaction; the posts with their times."""
    placer = get_placer(taisly, form, slots, open_ledger(), checked)
    posts, problems = placer.place(drafts, dry_run=False)
    checked.problems += problems
    return posts


def _decide(ledger: Ledger, run: str, checked: CheckedPlan) -> Decided:
    return decide(checked.right_drafts(), ledger.approvals(run), ledger.now() + 2 * MARGIN_SECONDS)


def _key_of(question: int) -> str:
    return f"approval-{question}"


def _stored_answer(question: int) -> GivenAnswer | None:
    """What was answered to a question of this run in the UI; None if nobody has answered, or it was not asked there.

    It is there until it is used, also if the run was resumed and died before that.
    """
    if not deployment.id:
        return None
    key = keyset_from_base_key(f"suspended-{_key_of(question)}")["response"]
    value: Any = read_patiently(partial(read_flow_run_input, key))
    return _given(CampaignApproval.model_validate(value)) if value else None


def _use(ledger: Ledger, run: str, question: int, checked: CheckedPlan, answer: GivenAnswer) -> str:
    """Record what an answer decides; returns what is to be said first where something is still to be asked."""
    asked = [each for each in ledger.approvals(run).values() if each.question == question and each.answer is None]
    try:
        drafts = as_asked(checked.right_drafts(), asked)
        ledger.answer_approvals(run, read_answer(answer, drafts, {each.number for each in asked}))
    except InputError as error:
        get_run_logger().warning("The answer cannot be used, so the question is asked again: %s", error)
        return str(error)
    return PLAN_CHANGED


def _ask(
    form: CampaignForm, question: int, note: str, posts: Sequence[PlannedPost], what: str, phones_of: PhonesOf
) -> GivenAnswer:
    """Ask, and return the answer. In the UI this ends the process: the run begins again once it is resumed."""
    if _askers:
        return _askers[-1](f"{note} {what}".strip(), posts, phones_of)
    moments = [post.request.scheduled_for for post in posts]
    now = open_ledger().now()
    seconds = max(moment.timestamp() - now if moment else WITHOUT_TIME for moment in moments)
    asked, whole = question_of(form.name, note, what, posts, phones_of)
    show_live(whole, f"Waiting for your approval: {what}")
    refresh_week()
    alarm_waiting(str(flow_run.id), str(flow_run.name), what, question)
    return _given(
        suspend_flow_run(  # never returns here: the key is new, so it raises Pause; `_stored_answer` reads the answer
            wait_for_input=CampaignApproval.with_initial_data(description="\n".join(asked)),
            timeout=max(60, round(seconds)),
            key=_key_of(question),
        )
    )


def _given(answer: Any) -> GivenAnswer:
    return GivenAnswer(
        approves=answer.decision == "approve",
        drop=answer.drop_rows,
        captions=[CaptionChange(c.row, c.caption, c.platform.strip()) for c in answer.captions],
    )


def _only_approved(ledger: Ledger, taisly: TaislyAccount, checked: CheckedPlan, decided: Decided) -> CheckedPlan:
    """The plan with what was decided: slots that are not wanted any more are released."""
    kept = ledger.reservations(taisly.service, {draft.video.sha256 for draft in decided.dropped})
    ledger.release_slots(taisly.service, slots_to_release(decided, kept))
    wrong = checked.wrong_rows
    others = [draft for draft in checked.drafts if draft.row.number in wrong]
    return replace(
        checked,
        drafts=[*decided.approved, *others],
        skipped=[*checked.skipped, *decided.skipped],
        approved=decided.moments,
    )
