"""Make the video of a post right, if it does not fit."""

from prefect import get_run_logger

from blocks import TaislyAccount
from reelflow.posts.requests import fit_post_video
from reelflow.records.posts import PostRequest, Video
from reelflow.wording import listed
from tasks.artifacts import ProgressBar
from tasks.ledger import open_ledger
from tasks.progress import tell_warning
from tasks.step import Retry, step

WAITING = "Another fit is being made on this machine. This one waits for it."
"""Encoding takes every core: two at once would both take twice as long."""


def fit_post(taisly: TaislyAccount, request: PostRequest) -> PostRequest:
    """The post with its video made right, if anything of it will be sent.

    What is out may have been fitted in another way: a fit that is not sent must not look like it.

    Raises:
        InputError: it cannot be made right, or there is no room for the copy.
        LedgerUnavailable: the ledger cannot tell what has been sent.
    """
    return request if _is_all_sent(taisly, request) else _fit(request)


@step("look what of {request.video.name} was sent", retry=Retry.LEDGER)
def _is_all_sent(taisly: TaislyAccount, request: PostRequest) -> bool:
    is_all_sent = open_ledger().all_sent(request, service=taisly.service)
    if is_all_sent:
        get_run_logger().info("%s is not fitted: it was sent before, so nothing is sent now.", request.video.name)
    return is_all_sent


@step("fit {request.video.name}")
def _fit(request: PostRequest) -> PostRequest:
    """Make a copy of the video that is right for publishing; the post is sent with it. The original stays as it is.

    A copy that was made before, by this or another run, is used again.

    Raises:
        InputError: it cannot be made right, or there is no room for the copy.
    """
    log = get_run_logger()
    video = fit_post_video(
        request.video, progress=ProgressBar(f"Fit of {request.video.name}"), waiting=lambda: log.info("%s", WAITING)
    )
    if video.changes:
        log.info("%s", fitted_sentence(video))
    for warning in video.warnings[len(request.video.warnings) :]:
        log.warning("%s: %s", video.name, warning)
        tell_warning(warning)
    return request.model_copy(update={"video": video})


def fitted_sentence(video: Video) -> str:
    """What is logged of a video that was made right."""
    return f"{video.name} was fitted: {listed(video.changes)}."
