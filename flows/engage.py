"""Publish a video, wait for its outcome, then let your own phones warm up and comment on it.

When: from the form, or by schedule.
Needs: saved blocks "Taisly Account" and "TikMatrix Host"; or, where the phones hang on another PC, a worker there.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed

from blocks import TaislyAccount, TikMatrixHost
from reelflow.errors import ReelflowError
from reelflow.models import ENDED_BADLY, PostForm, PublishFailed
from reelflow.phones.campaign import comment_parts, warm_up_parts
from reelflow.phones.forms import EngageForm, PhonesFailed
from reelflow.publishing import describe
from tasks.check import check_post
from tasks.engage import check_phones, do_part
from tasks.late import too_late_now
from tasks.phone_tidying import take_back
from tasks.record import report_on
from tasks.report import post_run_name, show_report
from tasks.send import send_post
from tasks.step import plainly
from tasks.watch import watch_post
from tasks.withdraw import withdraw


@flow(name="publish-and-engage", flow_run_name=post_run_name, on_cancellation=[withdraw, take_back])
@plainly
def publish_and_engage(
    taisly: TaislyAccount, post: PostForm, engage: EngageForm, host: TikMatrixHost | None = None
) -> RunState[Any]:
    """Publish one video exactly once; when it is out, warm your accounts up and comment on it from your own phones.

    What depends on a platform that failed is skipped and said; nothing the phones do can undo the post.

    Args:
        taisly: The Taisly account to publish with.
        post: What to post, where and when.
        engage: What the phones do then.
        host: The PC with TikMatrix, if it is this machine.
    """
    if late := too_late_now(post.max_lateness_minutes):
        return Completed(name="Skipped", message=late)

    check_phones(host, engage)
    checked = check_post(taisly, post)
    if post.dry_run:
        said = [do_part(host, engage, part) for part in warm_up_parts(engage, dry_run=True) if not engage.phone_pc]
        words = f"Dry run, nothing was sent. This would be: {describe(checked)}. Then the phones. {' '.join(said)}"
        return Completed(name="Dry run", message=words.strip())

    sent_now = send_post(taisly, checked, post)
    watch_post(taisly, checked, post)
    report = report_on(taisly, checked, post, sent_now=sent_now)
    show_report(report)

    comments, skipped = comment_parts(engage, report.outcomes)
    said, failed = [report.sentence, *skipped], bool(report.having(*ENDED_BADLY))
    for part in (*(warm_up_parts(engage, dry_run=False) if report.is_out else []), *comments):
        try:
            said.append(do_part(host, engage, part))
        except ReelflowError as error:
            said.append(str(error))
            failed = True
    if failed:
        kind = PublishFailed if report.having(*ENDED_BADLY) else PhonesFailed
        raise kind(" ".join(said))
    return Completed(message=" ".join(said), data=report)
