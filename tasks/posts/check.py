"""Check a post before anything is sent."""

from datetime import UTC, datetime

from prefect import get_run_logger
from prefect.runtime import flow_run

from blocks import TaislyAccount
from reelflow.posts.duplicates import check_duplicates
from reelflow.posts.form import PostForm
from reelflow.posts.looking_back import check_found, look_back
from reelflow.posts.of_client import check_same_client
from reelflow.posts.reposts import CopiedBefore, check_reposts
from reelflow.posts.requests import check_form, is_whole_path, make_request, read_video
from reelflow.records.posts import PostRequest
from tasks.choices import VIDEOS_VARIABLE
from tasks.ledger import open_ledger
from tasks.posts.wording import explained_duplicates
from tasks.prefect_server import read_variable
from tasks.progress import tell_warning
from tasks.step import Retry, step
from tasks.storages import open_storages


@step("check {form.file_name}", retry=Retry.READ)
def check_post(taisly: TaislyAccount, form: PostForm) -> PostRequest:
    """Check the video, the time, the accounts and the caption, and that the post is not a duplicate. Sends nothing.

    Asks Taisly for its accounts and repost rules, at most once in ten minutes for all runs.

    Raises:
        InputError: the post cannot be published like this.
        DuplicatePost: it would be, or may be, published twice.
        ServiceError: Taisly does not answer, or does not accept this key.
    """
    log = get_run_logger()
    folder = None if is_whole_path(form.video) else read_variable(VIDEOS_VARIABLE)
    video = read_video(form.video, folder, open_storages(), fit=form.fit_settings)
    scheduled_for = check_form(form, video, datetime.now(UTC))
    ledger = open_ledger()
    with taisly.get_rate_limited(ledger) as client:
        accounts = client.choose_accounts(form.accounts, patience=form.patience)
        connected = client.connected_accounts()
        check_same_client(ledger, str(flow_run.id), connected, taisly.client)
        copied = client.copied_accounts(patience=form.patience)
        split = check_reposts(accounts, copied, form.copied_by_rule, connected=connected)
        if not form.repeat:
            look_back(client, taisly.duplicate_seconds, patience=form.patience)
        request = make_request(
            form, video, scheduled_for, split.accounts, duplicate_seconds=taisly.duplicate_seconds, left=split.left
        )
        CopiedBefore(client, connected, patience=form.patience).check(request)
    check_found(ledger, request, service=taisly.service)
    with explained_duplicates():
        similar = check_duplicates(ledger.duplicates(request, service=taisly.service), ledger.now())
    request = request.with_warnings(similar)
    for sentence in request.left_to_rules:
        log.warning("%s.", sentence)
    for warning in request.warnings:
        log.warning("%s: %s", video.name, warning)
        tell_warning(warning)
    return request
