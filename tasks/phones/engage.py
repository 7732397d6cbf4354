"""Run the phones' part for a post that is out: on this machine, or through the worker of their PC."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.errors import ClaimLost, InputError, PhonesFailed, PhonesWait, PublishFailed, ReelflowError
from reelflow.heartbeat import heartbeat
from reelflow.phones.due_parts import Decision, Next, decide, ended_as, result_of
from reelflow.phones.engagement import (
    EngagementJob,
    EngagementPart,
    check_engagement,
    check_platforms,
    engagement_jobs,
    needs_chatgpt,
    sample_forms,
    warm_up_parts,
)
from reelflow.phones.form import EngageForm
from reelflow.phones.requests import make_request
from reelflow.posts.report import PublishReport
from reelflow.records.engagements import OPEN, Engagement, EngagementState
from reelflow.records.posts import PostRequest
from reelflow.tikmatrix.scripts import texts
from reelflow.time_zones import shown
from tasks.ledger import open_ledger
from tasks.phones.engagements import AskedEngagement
from tasks.phones.other_pc import check_deployments, deployment_on, hand_over
from tasks.phones.this_pc import engage_here, quiet_until
from tasks.phones.wording import LATER, NO_PC, NOT_LATER, STARTS_THEN, TRY_AGAIN, ended_before, with_id
from tasks.posts import report as posts_report
from tasks.step import Retry, step

WATCH_SECONDS = 1800.0
"""How long to wait for a post's outcomes at least: comments need its links."""


@step("check the phones' part", retry=Retry.READ)
def check_phones_part(host: TikMatrixHost | None, form: EngageForm, chatgpt: ChatGPTSettings | None = None) -> None:
    """Check that the phones can do their part, before anything is published.

    Raises:
        InputError: they cannot.
        ServiceError: TikMatrix does not answer, or its licence does not include the API.
    """
    check_form(host, form, chatgpt)
    check_deployments(form)
    if host is not None and not form.phone_pc.strip():
        host.check()


@step("check where the phones comment")
def check_where(form: EngageForm, request: PostRequest) -> None:
    """Check that the post goes where the phones are to comment on it.

    Raises:
        InputError: it does not.
    """
    check_platforms(form, {account.platform for account in request.accounts})


def check_form(host: TikMatrixHost | None, form: EngageForm, chatgpt: ChatGPTSettings | None) -> None:
    """Check what can be checked without asking anybody.

    Raises:
        InputError: the form is wrong, or a block is missing.
    """
    check_engagement(form)
    if needs_chatgpt(form) and chatgpt is None:
        raise InputError("Comments by ChatGPT need a block 'ChatGPT Settings'. Choose one, or turn them off.")
    if form.phone_pc.strip():
        if needs_chatgpt(form) and chatgpt is not None and not chatgpt._block_document_name:
            raise InputError("Another PC needs a saved block 'ChatGPT Settings'. Save it, or turn off its comments.")
        return
    if host is None:
        raise InputError("Choose a block 'TikMatrix Host', or enter 'Another phone PC', whose worker does this part.")
    for sample in sample_forms(form):
        make_request(sample, host.guardrails)


@dataclass
class EngagementResult:
    """The result of the phones' part: a line for each part, whether any failed, and what besides phone tasks.

    `state` is how the engagement stands now; None in a dry run.
    """

    lines: list[str] = field(default_factory=list)
    failed: bool = False
    failures: list[str] = field(default_factory=list)
    state: EngagementState | None = None


def engage_phones(asked: AskedEngagement, *, is_never_late: bool) -> EngagementResult:
    """Do what can be done now for a post, each part once, and leave the rest to a later run. Never raises.

    Args:
        asked: The engagement, with the blocks that it needs.
        is_never_late: For the run that a person started.
    """
    try:
        decision, engagement = _decide(asked, is_never_late=is_never_late)
        if engagement.state not in OPEN:
            return EngagementResult(lines=[ended_before(engagement)], state=engagement.state)
        if decision.next is Next.WAIT and engagement.state is EngagementState.WAITING and asked.can_wait:
            return EngagementResult(lines=[*decision.due.skipped, with_id(LATER, asked.id)], state=engagement.state)
        ledger = open_ledger()
        if ledger.claim_engagement(engagement.id, asked.owner, flow_run.id) is None:
            return EngagementResult(lines=["Another run does the phones' part."], state=engagement.state)
        with heartbeat(lambda: ledger.renew_engagement(engagement.id, asked.owner), ledger.lease_seconds / 3):
            # Decided again: the run that had it before may have done a part of it meanwhile.
            return _carry_out(asked, *_decide(asked, is_never_late=is_never_late))
    except ReelflowError as error:
        line = f"The phones' part was not done: {error}"
        return EngagementResult(lines=[line], failed=True, failures=[line])


def _decide(
    asked: AskedEngagement, *, is_never_late: bool, without_failed: bool = False
) -> tuple[Decision, Engagement]:
    """What can be done now, from what is on record by now; `without_failed` as if the failed parts were not."""
    ledger = open_ledger()
    (engagement,) = ledger.engagements(ids=[asked.id])
    if without_failed:
        engagement = replace(engagement, parts=tuple(part for part in engagement.parts if not part.failed))
    found = ledger.engagement_outcomes(engagement)
    return decide(asked.form, engagement, found, ledger.now(), is_never_late=is_never_late), engagement


def _carry_out(asked: AskedEngagement, decision: Decision, engagement: Engagement) -> EngagementResult:
    """Do the parts that are due, and record how far it got."""
    ledger, due, parts = open_ledger(), decision.due, list(engagement.parts)
    result = EngagementResult(lines=list(due.skipped))
    for part in due.parts if decision.next is Next.START else ():
        ledger.renew_engagement(engagement.id, asked.owner)
        try:
            line, failed, troubles = _tried(asked, engagement, part)
        except PhonesWait as wait:
            if asked.can_wait:
                return _waiting(asked, result, wait)
            line, failed, troubles = f"{wait} {NOT_LATER}", True, [str(wait)]
        parts.append(result_of(part, line, failed=failed))
        ledger.record_part(engagement.id, asked.owner, parts[-1])
        result.lines.append(line)
        result.failed |= failed
        result.failures += troubles
    result.state, reason, line = _standing(asked, decision, ended_as(parts))
    result.lines += [line] if line else []
    if result.state is EngagementState.FAILED and asked.can_wait:
        result.lines.append(f"Once the cause is fixed, {TRY_AGAIN} {asked.id}.")
    ledger.settle_engagement(engagement.id, result.state, reason, owner=asked.owner, is_alarm=decision.is_alarm)
    return result


def _waiting(asked: AskedEngagement, result: EngagementResult, wait: PhonesWait) -> EngagementResult:
    """Leave what is not done to a later run, since the phones cannot act now."""
    open_ledger().settle_engagement(
        asked.id, EngagementState.WAITING, str(wait).rstrip("."), owner=asked.owner, due=wait.until
    )
    result.lines.append(f"{wait} They try again {shown(wait.until)}: {with_id(STARTS_THEN, asked.id)}")
    result.state = EngagementState.WAITING
    return result


def _standing(asked: AskedEngagement, decision: Decision, ended: EngagementState) -> tuple[EngagementState, str, str]:
    """How an engagement stands once its due parts are done: its state, why, and what people are told of it."""
    due = decision.due
    if decision.next is Next.END:
        return decision.state, decision.reason, "" if due.skipped else f"The phones did nothing: {decision.reason}."
    if not due.waits_for and decision.next is Next.START:
        return ended, "", ""
    where = f"On {' and '.join(due.waits_for)} the post has no outcome yet. " if decision.next is Next.START else ""
    if asked.can_wait:
        return EngagementState.WAITING, "", where + with_id(LATER, asked.id)
    return (
        ended,
        "the post had no outcome in time",
        f"{where}{NOT_LATER} Once the post is published, run comment-on-posts.",
    )


def preview_phones(host: TikMatrixHost | None, form: EngageForm) -> EngagementResult:
    """Describe what the phones of this machine would do, without sending anything."""
    parts = [] if form.phone_pc.strip() or host is None else warm_up_parts(form, dry_run=True)
    result = EngagementResult(["The phones would start after that."])
    if EngagementJob.COMMENT in engagement_jobs(form):
        number = len(texts(form.comments, "comment"))
        choice = f"each with one of {number} texts" if number > 1 else "all with the same text"
        platforms = " and ".join(dict.fromkeys(form.comment_on))
        result.lines.append(f"They would comment on {platforms}, {choice}.")
    for part in parts:
        with _as_failure(result):
            assert host is not None  # noqa: S101 - there are no parts without it
            result.lines.append(engage_here(host, part).summary)
    return result


def preview_due(asked: AskedEngagement, *, try_again: bool = False) -> EngagementResult:
    """Describe what the phones would do now for a post, without sending anything."""
    decision, engagement = _decide(asked, is_never_late=True, without_failed=try_again)
    can_reopen = try_again and engagement.state in (EngagementState.FAILED, EngagementState.SKIPPED)
    if engagement.state not in OPEN and not can_reopen:
        return EngagementResult(lines=[ended_before(engagement)])
    result = EngagementResult(list(decision.due.skipped))
    for part in decision.due.parts:
        form = part.form.model_copy(update={"dry_run": True})
        with _as_failure(result):
            if pc := asked.form.phone_pc.strip():
                result.lines.append(f"Would start {deployment_on(pc, part.job)}.")
            elif asked.host is None:
                raise InputError(NO_PC)
            else:
                result.lines.append(engage_here(asked.host, EngagementPart(part.job, form)).summary)
    if not result.lines:
        result.lines.append("Dry run: nothing can be done yet.")
    return result


@contextmanager
def _as_failure(result: EngagementResult) -> Iterator[None]:
    """Let an error of one part be a line of the result."""
    try:
        yield
    except ReelflowError as error:
        result.lines.append(str(error))
        result.failures.append(str(error))
        result.failed = True


def final_state(report: PublishReport, engaged: EngagementResult) -> State[Any]:
    """The final state of a run that publishes and engages: that of the post, unless only the phones failed."""
    state = posts_report.final_state(report, *engaged.lines)
    message = str(state.message)
    if engaged.failed and report.failed:
        return Failed(message=message, data=PublishFailed(message, report, engaged.failures))
    if engaged.failed:
        return Failed(message=message, data=PhonesFailed(message, failures=engaged.failures))
    return state


_NAMES = {EngagementState.WAITING: "Waiting", EngagementState.STARTED: "Waiting", EngagementState.DONE: "Completed"}


def later_state(engaged: EngagementResult) -> State[Any]:
    """The final state of a run that only engages."""
    message = " ".join(engaged.lines) or "The phones had nothing left to do."
    if engaged.failed:
        return Failed(message=message, data=PhonesFailed(message, failures=engaged.failures))
    name = "Dry run" if engaged.state is None else _NAMES.get(engaged.state, "Nothing done")
    return Completed(name=name, message=message)


def _tried(asked: AskedEngagement, engagement: Engagement, part: EngagementPart) -> tuple[str, bool, list[str]]:
    """Run one part and wait until it ends; a one-line summary, whether it failed, and the troubles of requests."""
    try:
        if pc := asked.form.phone_pc.strip():
            return hand_over(pc, part, engagement, asked.chatgpt_name), False, []
        if asked.host is None:
            raise InputError(NO_PC)
        if (until := asked.host.guardrails.quiet_end(datetime.fromtimestamp(open_ledger().now(), UTC))) is not None:
            raise quiet_until(until.timestamp())
        report = engage_here(asked.host, part, asked.chatgpt, engagement.id)
    except (ClaimLost, PhonesWait):
        raise
    except ReelflowError as error:
        return str(error), True, [str(error)]
    return report.summary, report.failed, report.troubles
