"""Send a post to Taisly, once."""

from prefect.runtime import flow_run

from blocks import TaislyAccount
from reelflow import sending
from reelflow.models import CheckedPost, PostForm
from tasks.progress import ProgressBar
from tasks.record import open_ledger
from tasks.step import step

LEAST_PATIENCE = 60.0
"""Seconds to wait for room in the plan, even where the outcome is not waited for."""


@step("send {post.video.path.name} to {post.short_accounts}")
def send_post(taisly: TaislyAccount, post: CheckedPost, form: PostForm) -> bool:
    """Send the post to every account that it was not sent to before; whether there was one.

    The task is not retried by Prefect. What may be repeated (Taisly was not reached, or is busy) is repeated inside,
    where it is certain that nothing was posted; a lost answer is looked for in the history.

    Raises:
        NothingSent: Taisly did not get the post; starting the run again is safe.
        LedgerUnavailable: the record of what was sent cannot be used.
        InputError: the file changed since it was checked.
    """
    bar = ProgressBar(f"Upload of {post.video.path.name}")
    with taisly.get_metered(open_ledger()) as metered:
        sending.send_post(
            metered,
            post,
            repeat=form.repeat,
            flow_run=flow_run.id,
            patience=max(LEAST_PATIENCE, form.watch_minutes * 60),
            progress=bar,
        )
    return bar.used
