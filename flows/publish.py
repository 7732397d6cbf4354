"""Publish one video through Taisly, and follow it until every platform has an outcome.

When: from the form in the Prefect UI, from ``reelflow publish``, or by a schedule.
Needs: a saved block "Taisly Account", and the video file on the machine that runs the flow.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.runtime import flow_run
from prefect.states import Completed

from blocks import TaislyAccount
from reelflow.models import PostForm, PublishFailed, PublishReport, State
from reelflow.publishing import describe, sentence
from tasks.check import check_post
from tasks.report import show_report
from tasks.send import send_post
from tasks.step import plainly
from tasks.watch import watch_post


def _run_name() -> str:
    post = flow_run.parameters["post"]
    form = post if isinstance(post, PostForm) else PostForm.model_construct(**post)
    what = "dry run: " if form.dry_run else ""
    return f"{what}{form.file_name} to {', '.join(form.accounts)}"


@flow(name="publish-video", flow_run_name=_run_name)
@plainly
def publish_video(taisly: TaislyAccount, post: PostForm) -> RunState[Any]:
    """Publish one video to your accounts and say what each platform made of it.

    Checks the video, the accounts and the caption first; sends the post once; then looks into Taisly's history
    until every platform has an outcome. The run fails if any platform failed, and says which and why.

    Args:
        taisly: The Taisly account to publish with.
        post: What to post, where and when.
    """
    checked = check_post(taisly, post)
    if post.dry_run:
        words = f"Dry run, nothing was sent. This would be: {describe(checked)}."
        report = PublishReport(post=checked, sentence=words)
        show_report(report)
        return Completed(name="Dry run", message=words, data=report)

    sent = send_post(taisly, checked)
    outcomes = watch_post(taisly, checked, sent, post.watch_minutes)

    report = PublishReport(post=checked, sent=sent, outcomes=outcomes)
    report = report.model_copy(update={"sentence": sentence(report)})
    show_report(report)
    if report.having(State.FAILED):
        raise PublishFailed(report.sentence, report)
    name = "Still open" if report.having(State.PENDING) else "Completed"
    return Completed(name=name, message=report.sentence, data=report)
