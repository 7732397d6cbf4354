"""Publish one video through Taisly, exactly once, and follow it until every platform has an outcome.

When: from the form in the Prefect UI, from ``reelflow publish``, or by a schedule.
Needs: a saved block "Taisly Account", and the video file on the machine that runs the flow.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed

from blocks import TaislyAccount
from reelflow.models import ENDED_BADLY, PostForm, PublishFailed, PublishReport, State
from reelflow.publishing import describe
from tasks.check import check_post
from tasks.late import too_late_now
from tasks.record import report_on
from tasks.report import post_run_name, show_report
from tasks.send import send_post
from tasks.step import plainly
from tasks.watch import watch_post
from tasks.withdraw import withdraw


@flow(name="publish-video", flow_run_name=post_run_name, on_cancellation=[withdraw])
@plainly
def publish_video(taisly: TaislyAccount, post: PostForm) -> RunState[Any]:
    """Publish one video to your accounts, exactly once, and say what each platform made of it.

    Checks the video, the accounts and the caption first; sends the post to each account that it was not sent to
    before; then looks into Taisly's history until every platform has an outcome. The run fails if any platform failed,
    and says which and why. Starting it again with the same parameters never posts twice: it reports.

    Args:
        taisly: The Taisly account to publish with.
        post: What to post, where and when.
    """
    if late := too_late_now(post.max_lateness_minutes):
        return Completed(name="Skipped", message=late)

    checked = check_post(taisly, post)
    if post.dry_run:
        words = f"Dry run, nothing was sent. This would be: {describe(checked)}."
        report = PublishReport(post=checked, dry_run=True, sentence=words)
        show_report(report)
        return Completed(name="Dry run", message=words, data=report)

    sent_now = send_post(taisly, checked, post)
    watch_post(taisly, checked, post)

    report = report_on(taisly, checked, post, sent_now=sent_now)
    show_report(report)
    if report.having(*ENDED_BADLY):
        raise PublishFailed(report.sentence, report)
    name = "Still open" if report.having(State.PENDING) else "Completed"
    return Completed(name=name, message=report.sentence, data=report)
