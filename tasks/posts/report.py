"""Report the outcome of a post: as an artifact of the run, and as the run's state."""

import base64
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks import TaislyAccount
from reelflow.errors import PublishFailed, ReelflowError, VideoUnreadable
from reelflow.posts.form import PostForm
from reelflow.posts.report import PublishReport, Unanswered, summarize, summarize_dry_run, unanswered_of
from reelflow.posts.sending import SendResult
from reelflow.records.clients import for_client
from reelflow.records.post_states import PostState, may_be_claimed
from reelflow.records.posts import Outcome, PostRequest, Send
from reelflow.video.before_after import before_after
from reelflow.video.poster import poster
from reelflow.wording import one_line
from tasks.artifacts import bullets, link, plain_text, show_markdown, table
from tasks.events import emit_outcome
from tasks.ledger import open_ledger
from tasks.posts.wording import FINISH_OPEN_POSTS, FINISH_SCHEDULED, OUTCOME_WORDS, detail_of, how_to_cancel
from tasks.run_names import name_for_client

POSTER_HEIGHT = 240
"""Pixels."""


def post_run_name() -> str:
    """A name for runs whose form is a post: "bread.mp4 to TikTok, Instagram"."""
    post = flow_run.parameters["post"]
    form = post if isinstance(post, PostForm) else PostForm.model_construct(**post)
    prefix = "dry run: " if form.dry_run else ""
    return one_line(name_for_client(f"{prefix}{form.file_name} to {', '.join(form.accounts)}"))


def report_dry_run(taisly: TaislyAccount, request: PostRequest) -> PublishReport:
    """What would be sent, and which accounts have it already, shown as an artifact of the run.

    Raises:
        LedgerUnavailable: the ledger cannot tell what has been sent.
    """
    ledger = open_ledger()
    now = ledger.now()
    found = [
        (outcome, send)
        for outcome, send in ledger.outcomes(request, service=taisly.service)
        if not may_be_claimed(outcome.state, lease_until=send.lease_until, sealed_at=send.sealed_at, now=now)
    ]
    before = [_shown(send, outcome) for outcome, send in found]
    done = {outcome.account.id for outcome in before}
    left = request.model_copy(update={"accounts": [a for a in request.accounts if a.id not in done]})
    report = PublishReport(
        client=taisly.client,
        request=request,
        dry_run=True,
        outcomes=before,
        unanswered=unanswered_of(found, grace=taisly.grace_seconds, now=now),
        summary=" ".join([summarize_dry_run(left, [o.account for o in before]), *_left(request)]),
    )
    show_markdown(_markdown(report), report.summary)
    return report


def report_post(taisly: TaislyAccount, request: PostRequest, sent: SendResult) -> PublishReport:
    """The post's outcomes in the ledger, shown as an artifact. Never raises: by now the post has been sent."""
    ids, unanswered, is_due = list[str](), list[Unanswered](), False
    try:
        ledger = open_ledger()
        found = ledger.outcomes(request, service=taisly.service)
        if sent.sent_now:  # every other outcome is told by whoever reads it in Taisly's history
            for outcome, send in found:
                if outcome.state is PostState.REFUSED:
                    emit_outcome(send, outcome, detail_of(send, outcome))
        outcomes = [_shown(send, outcome) for outcome, send in found]
        unanswered = unanswered_of(found, grace=taisly.grace_seconds, now=ledger.now())
        ids = sorted({send.history_id for _, send in found if send.history_id})
        is_due = any(send.scheduled_ms <= ledger.now() * 1000 for _, send in found)
    except ReelflowError as error:
        get_run_logger().warning("The outcomes of the post cannot be read: %s", error)
        outcomes = [Outcome(account=a, state=PostState.PENDING) for a in request.accounts]
    report = PublishReport(
        client=taisly.client,
        request=request,
        outcomes=outcomes,
        history_ids=ids,
        unanswered=unanswered,
        sent_before=not sent.sent_now,
        is_due=is_due,
    )
    report = report.model_copy(update={"summary": " ".join([summarize(report), *_what_comes(report), *_left(request)])})
    show_markdown(_markdown(report), report.summary)
    return report


def _what_comes(report: PublishReport) -> list[str]:
    """Who reports the outcomes that are not known yet, and how a scheduled post is cancelled."""
    if report.scheduled and not report.unanswered:
        return [FINISH_SCHEDULED, how_to_cancel(report.history_ids)]
    return [FINISH_OPEN_POSTS] if report.in_state(PostState.PENDING) else []


def _left(request: PostRequest) -> list[str]:
    """What is said of accounts that a repost rule takes care of."""
    return [f"{sentence}." for sentence in request.left_to_rules]


def final_state(report: PublishReport, *more: str) -> State[Any]:
    """The final state of a run with this report; `more` follows its summary in the message."""
    message = " ".join([report.summary, *more])
    if report.failed and not report.dry_run:
        return Failed(message=message, data=PublishFailed(message, report))
    return Completed(name=_state_name(report), message=message, data=report)


def _state_name(report: PublishReport) -> str:
    if report.dry_run:
        return "Dry run"
    if not report.in_state(PostState.PENDING):
        return "Completed"
    return "Scheduled" if report.scheduled and not report.unanswered else "Still open"


def _shown(send: Send, outcome: Outcome) -> Outcome:
    """An outcome as people see it: a send that still waits for Taisly's answer has no outcome yet."""
    if outcome.state.in_flight:
        return outcome.model_copy(update={"state": PostState.PENDING})
    return outcome.model_copy(update={"detail": detail_of(send, outcome)})


def _markdown(report: PublishReport) -> list[str]:
    """The report as Markdown: picture, caption and one row for each account."""
    request = report.request
    lines = [f"# {plain_text(for_client(report.client, request.video.name))}", "", plain_text(report.summary), ""]
    if not _is_other_fit(report):
        if picture := _picture(request):
            lines += [picture, ""]
        lines += bullets("Fitted: the original is on the left, what is published on the right.", request.video.changes)
    if request.caption:
        lines += [*(f"> {plain_text(line)}" for line in request.caption.splitlines()), ""]
    if report.outcomes:
        words = {a.id: OUTCOME_WORDS[PostState.SENDING] for each in report.unanswered for a in each.accounts}
        lines += table(
            {
                "Account": [plain_text(o.account.label) for o in report.outcomes],
                "Outcome": [words.get(o.account.id) or OUTCOME_WORDS[o.state] for o in report.outcomes],
                "Details": [link(o.link, "open the post") if o.link else plain_text(o.detail) for o in report.outcomes],
            }
        )
        lines.append("")
    lines += bullets("Please check:", request.warnings)
    if report.history_ids:
        ids = ", ".join(f"`{plain_text(i)}`" for i in report.history_ids)
        lines += [f"History ID at Taisly: {ids}. File SHA-256: `{request.video.sha256[:16]}…`"]
    return lines


def _is_other_fit(report: PublishReport) -> bool:
    """Whether nothing is sent of a video that does not fit: what is out may have been fitted in another way."""
    video = report.request.video
    return video.fit is not None or (report.sent_before and bool(video.changes))


def _picture(request: PostRequest) -> str | None:
    """What is published, or how it was before and is now; None if it cannot be decoded."""
    path, at = request.video.path, request.preview_second
    try:
        if request.video.original:
            jpeg = before_after(request.video.original, path, at=at, height=POSTER_HEIGHT)
        else:
            jpeg = poster(path, at=at, height=POSTER_HEIGHT)
    except (VideoUnreadable, OSError):
        return None
    return f"![preview](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})"
