"""Send a post to Taisly, once."""

from prefect.runtime import flow_run

from blocks import TaislyAccount
from reelflow.posts import sending
from reelflow.records.posts import PostRequest
from tasks.artifacts import ProgressBar
from tasks.ledger import open_ledger, remember_sends
from tasks.posts.wording import explained_duplicates
from tasks.step import Retry, step


@step("send {request.video.path.name} to {request.short_account_names}", retry=Retry.UNSENT)
def send_post(taisly: TaislyAccount, request: PostRequest) -> sending.SendResult:
    """Send the post to every account that has not received it yet.

    If it is certain that nothing was posted (Taisly was not reached, or is busy), the request is repeated: a few times
    within the engine, which holds the claim meanwhile, so that no other run sends the post in between; then as a retry
    of this task. If an answer is lost, the post is looked for in Taisly's history.

    Raises:
        NothingSent: Taisly did not receive the post. It is safe to start the run again.
        LedgerUnavailable: the ledger cannot be used. Nothing is sent.
        InputError: the file changed since it was checked.
        DuplicatePost: another run has sent the same post meanwhile, with something changed.
    """
    ledger = open_ledger()
    with explained_duplicates(), taisly.get_rate_limited(ledger) as client:
        sent = sending.send_post(
            client,
            request,
            flow_run=flow_run.id,
            patience=request.patience,
            grace=taisly.repeat_seconds,
            progress=ProgressBar(f"Upload of {request.video.path.name}"),
        )
    remember_sends(ledger)
    return sent
