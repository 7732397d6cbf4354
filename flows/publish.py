"""Publish one video through Taisly, exactly once, and watch it for some minutes for its outcomes.

When: from the form in the Prefect UI, from ``reelflow publish``, or by a schedule.
Needs: a saved block "Taisly Account", and the video file on the machine that runs the flow.
"""

from typing import Any

from prefect.client.schemas.objects import State

from blocks import TaislyAccount
from reelflow.posts.form import PostForm
from tasks.late import skip_if_late
from tasks.posts.cancel import conclude_cancelled_post
from tasks.posts.check import check_post
from tasks.posts.fit import fit_post
from tasks.posts.report import final_state, post_run_name, report_dry_run, report_post
from tasks.posts.send import send_post
from tasks.posts.watch import watch_post
from tasks.step import flow


@flow(name="publish-video", flow_run_name=post_run_name, on_cancellation=[conclude_cancelled_post])
def publish_video(taisly: TaislyAccount, post: PostForm) -> State[Any]:
    """Publish one video to your accounts, exactly once, and report the outcome on each platform.

    Checks the video, the accounts and the caption first, and makes a copy of the video that fits, if you choose so.
    Then sends the post to each account that has not received it yet, and reads Taisly's history for some minutes. If a
    platform fails, the run fails and tells you which one and why. What has no outcome by then, and what is scheduled
    for later, is reported by finish-open-posts. Starting it again with the same parameters never posts twice; it
    reports the outcomes.

    Args:
        taisly: The Taisly account to publish with.
        post: What to post, where and when.
    """
    if skipped := skip_if_late(post.max_lateness_minutes):
        return skipped

    request = check_post(taisly, post)
    if request.video.fit:
        request = fit_post(taisly, request)
    if post.dry_run:
        return final_state(report_dry_run(taisly, request))

    sent = send_post(taisly, request)
    watch_post(taisly, request, sent)

    return final_state(report_post(taisly, request, sent))
