"""Check a post before anything is sent."""

from datetime import UTC, datetime

from prefect import get_run_logger

from blocks import TaislyAccount
from reelflow.posts.form import PostForm
from reelflow.posts.requests import check_form, make_request, read_video
from reelflow.records.posts import PostRequest
from tasks.ledger import open_ledger
from tasks.step import step


@step("check {form.file_name}")
def check_post(taisly: TaislyAccount, form: PostForm) -> PostRequest:
    """Check the video, the time, the accounts and the caption. Sends nothing, and makes at most one request to Taisly.

    Raises:
        InputError: the post cannot be published like this.
        ServiceError: Taisly does not answer, or does not accept this key.
    """
    log = get_run_logger()
    video = read_video(form.video)
    scheduled_for = check_form(form, video, datetime.now(UTC))
    with taisly.get_rate_limited(open_ledger()) as client:
        accounts = client.choose_accounts(form.accounts)
    request = make_request(form, video, scheduled_for, accounts)
    for warning in request.warnings:
        log.warning("%s: %s", video.path.name, warning)
    return request
