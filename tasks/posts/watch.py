"""Watch posts until every platform has an outcome."""

from prefect import get_run_logger

from blocks import TaislyAccount
from reelflow.posts.sending import SendResult
from reelflow.posts.watching import watch_posts
from reelflow.records.posts import Outcome, PostRequest, Send
from tasks.events import emit_outcome
from tasks.ledger import open_ledger
from tasks.posts.wording import FINISH_OPEN_POSTS, detail_of
from tasks.progress import tell_progress
from tasks.step import step

AWAITED = "Outcomes at the accounts"
"""What is counted while a run watches its post."""


@step("watch {request.video.path.name}")
def watch_post(taisly: TaislyAccount, request: PostRequest, sent: SendResult) -> None:
    """Wait until the post has an outcome everywhere, for at most `watch_seconds`. Never fails: the post is sent."""
    log, told, total = get_run_logger(), set[str](), len(request.accounts)

    def on_news(send: Send, outcome: Outcome) -> None:
        if send.id in sent.send_ids:  # one run reads the history for all
            told.add(outcome.account.id)
            tell_progress(AWAITED, len(told), total)
        tell_outcome(send, outcome)

    tell_progress(AWAITED, 0, total)
    try:
        with taisly.get_rate_limited(open_ledger()) as client:
            watched = watch_posts(
                client,
                sent.send_ids,
                seconds=request.watch_seconds,
                first_pause=taisly.first_look_seconds,
                grace=taisly.grace_seconds,
                on_news=on_news,
            )
        if watched.trouble is not None:
            log.warning("The last check failed: %s", watched.trouble)
    except Exception:  # logged whole; nothing after the send may undo it
        log.exception("Stopped watching. The post itself is unaffected. %s", FINISH_OPEN_POSTS)


def tell_outcome(send: Send, outcome: Outcome) -> None:
    """Report a new outcome: as an event, and in the run's log."""
    detail = detail_of(send, outcome)
    emit_outcome(send, outcome, detail)
    get_run_logger().info("%s: %s %s", outcome.account.label, outcome.state, outcome.link or detail)
