"""Follow posts until every platform has an outcome."""

from prefect import get_run_logger

from blocks import TaislyAccount
from reelflow.models import CheckedPost, Outcome, PostForm, Send
from reelflow.watching import follow
from tasks.announce import announce_outcome
from tasks.record import open_ledger
from tasks.step import step


@step("watch {post.video.path.name}")
def watch_post(taisly: TaislyAccount, post: CheckedPost, form: PostForm) -> None:
    """Wait until the post has an outcome everywhere, for at most `watch_minutes`. Never fails: the post is out."""
    try:
        ledger = open_ledger()
        found = ledger.outcomes(post, service=taisly.service, repeat=form.repeat)
        follow_sends(taisly, sorted({send.id for _, send in found}), minutes=form.watch_minutes)
    except Exception:  # noqa: BLE001 - logged whole; nothing after the send may undo it
        get_run_logger().exception("Watching broke off. The post is not touched by that; finish-open-posts goes on.")


def follow_sends(taisly: TaislyAccount, send_ids: list[str] | None, *, minutes: float) -> list[tuple[Send, Outcome]]:
    """Follow these sends, or all open ones, with a log line for each outcome; the outcomes that were news."""
    log = get_run_logger()

    def tell(send: Send, outcome: Outcome) -> None:
        announce_outcome(send, outcome)
        log.info("%s: %s %s", outcome.account.label, outcome.state, outcome.link or outcome.detail)

    with taisly.get_metered(open_ledger()) as metered:
        followed = follow(
            metered,
            send_ids,
            seconds=minutes * 60,
            first_pause=taisly.first_look_seconds,
            grace=taisly.unclear_after_minutes * 60,
            on_news=tell,
        )
    if followed.trouble is not None:
        log.warning("The last look failed: %s", followed.trouble)
    return followed.news
