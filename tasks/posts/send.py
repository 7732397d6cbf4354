"""Send a post to Taisly, once."""

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.runtime import flow_run

from blocks import TaislyAccount
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger
from reelflow.posts import sending
from reelflow.posts.looking_back import check_found, look_back
from reelflow.posts.reposts import check_rules_of_now
from reelflow.posts.upload_line import UploadLine
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest
from tasks.artifacts import ProgressBar
from tasks.ledger import confirm_ledger, current_ledger
from tasks.posts.watch import fail_step_for
from tasks.posts.wording import explained_duplicates
from tasks.step import Retry, step


@step("send {request.video.name} to {request.short_account_names}", retry=Retry.UNSENT)
def send_post(taisly: TaislyAccount, request: PostRequest) -> sending.SendResult:
    """Send the post to every account that has not received it yet.

    If it is certain that nothing was posted (Taisly was not reached, or is busy), the request is repeated: a few times
    within the engine, which holds the claim meanwhile, so that no other run sends the post in between; then as a retry
    of this task. If an answer is lost, the post is looked for in Taisly's history.

    Raises:
        NothingSent: Taisly did not receive the post. It is safe to start the run again.
        LedgerUnavailable: the ledger cannot be used, or the server uses another one by now. Nothing is sent.
        ServiceError: the ledger has to look into Taisly's history first, and cannot.
        InputError: the file changed since it was checked.
        DuplicatePost: another run has sent the same post meanwhile, with something changed; or a repost rule that was
            made since the check would post it twice.
        PartFailed: Taisly refused it; the report says so.
    """
    ledger = current_ledger()
    if request.video.fit:  # not made right, since all of it had been sent
        return sending.SendResult({send.id for _, send in ledger.outcomes(request, service=taisly.service)})
    with explained_duplicates(), taisly.get_rate_limited(ledger) as client:
        if not request.repeat:  # the ledger may have been found to lack sends since the check
            look_back(client, taisly.duplicate_seconds, patience=request.patience)
            check_found(ledger, request, service=taisly.service)

        def look_again(part: PostRequest) -> None:
            check_rules_of_now(client, part)
            confirm_ledger(ledger)

        sent = sending.send_post(
            client,
            request,
            flow_run=flow_run.id,
            patience=request.patience,
            grace=taisly.resend_after_seconds,
            progress=ProgressBar(f"Upload of {request.video.name}"),
            before_upload=look_again,
            turn=UploadLine(_submitted_at()).turn,
        )
    if sent.sent_now:
        _fail_where_refused(ledger, request, sent)
    return sent


def _submitted_at() -> float | None:
    """When this run was submitted, or due, in Unix seconds; starting its process takes others more or less time."""
    context = FlowRunContext.get()
    due = context.flow_run.expected_start_time if context and context.flow_run else None
    return due.timestamp() if due else None


def _fail_where_refused(ledger: Ledger, request: PostRequest, sent: sending.SendResult) -> None:
    """Fail the step, and only that, where Taisly refused the post; nothing may undo a send that was made."""
    try:
        records = ledger.sends(sent.send_ids)
    except ReelflowError as error:
        get_run_logger().warning("Whether Taisly refused the post cannot be read now: %s", error)
        return
    fail_step_for(request, records, {PostState.REFUSED}, sent)
