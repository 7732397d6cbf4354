"""Publish a video, then let your own phones warm up and comment on it: in this run, or in a later one once it is out.

When: from the form, or by schedule.
Needs: saved blocks "Taisly Account" and "TikMatrix Host"; for phones that are connected to another PC, a worker there.
"""

from typing import Any

from prefect.client.schemas.objects import State

from blocks import ChatGPTSettings, TaislyAccount, TikMatrixHost
from reelflow.phones.form import EngageForm
from reelflow.posts.form import PostForm
from tasks.late import skip_if_late
from tasks.phones.cancel import cancel_engagement, cancel_phone_tasks, conclude_engaged_post
from tasks.phones.engage import (
    WATCH_SECONDS,
    check_phones_part,
    check_where,
    engage_phones,
    final_state,
    preview_phones,
)
from tasks.phones.engagements import asked_engagement
from tasks.posts.check import check_post
from tasks.posts.fit import fit_post
from tasks.posts.report import post_run_name, report_dry_run, report_post
from tasks.posts.send import send_post
from tasks.posts.watch import watch_post
from tasks.step import flow


@flow(
    name="publish-and-engage",
    flow_run_name=post_run_name,
    on_cancellation=[cancel_engagement, conclude_engaged_post, cancel_phone_tasks],
)
def publish_and_engage(
    taisly: TaislyAccount,
    post: PostForm,
    engage: EngageForm,
    host: TikMatrixHost | None = None,
    chatgpt: ChatGPTSettings | None = None,
) -> State[Any]:
    """Publish one video exactly once, then warm up your accounts and comment on it from your own phones.

    The phones are checked first: if TikMatrix cannot be reached, nothing is published. Later problems on the phones do
    not affect the post. The run waits for the outcomes for half an hour at least. What the phones cannot do by then is
    left to a later run, engage-when-published, which the outcome starts. For a post that is scheduled for later, that
    is all of it: this run only hands the post over.

    Args:
        taisly: The Taisly account to publish with.
        post: What to post, where and when.
        engage: What the phones do once the video is published.
        host: The PC that runs TikMatrix, if it is the machine that runs this flow.
        chatgpt: Needed only for comments by ChatGPT.
    """
    if skipped := skip_if_late(post.max_lateness_minutes):
        return skipped

    check_phones_part(host, engage, chatgpt)
    request = check_post(taisly, post)
    check_where(engage, request)
    if request.video.fit:
        request = fit_post(taisly, request)
    if post.dry_run:
        return final_state(report_dry_run(taisly, request), preview_phones(host, engage))

    with asked_engagement(taisly, request, engage, host, chatgpt) as asked:
        sent = send_post(taisly, request)
        watch_post(taisly, request, sent, at_least=WATCH_SECONDS)
        report = report_post(taisly, request, sent)
        return final_state(report, engage_phones(asked, is_never_late=True))
