"""Watch posts until every platform has an outcome, or the time is over."""

from collections.abc import Sequence, Set
from typing import Any

from prefect import get_run_logger

from blocks import TaislyAccount
from reelflow.errors import PartFailed, ReelflowError
from reelflow.posts.report import describe_failures
from reelflow.posts.sending import SendResult
from reelflow.posts.watching import watch_posts
from reelflow.records.clients import for_client
from reelflow.records.post_states import PostState
from reelflow.records.posts import Outcome, PostRequest, Send, SendRecord
from tasks.events import emit_outcome
from tasks.ledger import open_ledger
from tasks.posts.wording import FINISH_OPEN_POSTS, detail_of
from tasks.progress import tell_progress
from tasks.room import others_wait
from tasks.step import step

AWAITED = "Outcomes at the accounts"
"""What is counted while a run watches its post."""
HANDED_OVER = f"Other runs wait for room, so this one ends its watch. {FINISH_OPEN_POSTS}"


@step("watch {request.video.name}")
def watch_post(taisly: TaislyAccount, request: PostRequest, sent: SendResult, *, at_least: float = 0.0) -> None:
    """Wait until the post has an outcome everywhere, for at most `watch_seconds`, or `at_least` if that is more.

    Returns at once if Taisly publishes it later, and early if other runs wait for the room that this one takes. Never
    fails the run, since the post is sent.

    Raises:
        PartFailed: a platform did not publish it, or the watch stopped.
    """
    log, told, total = get_run_logger(), set[str](), len(request.accounts)

    def on_news(send: Send, outcome: Outcome) -> None:
        if send.id in sent.send_ids:  # one run reads the history for all
            told.add(outcome.account.id)
            tell_progress(AWAITED, len(told), total)
        tell_outcome(send, outcome)

    if request.scheduled_for is None:
        tell_progress(AWAITED, 0, total)
    try:
        ledger = open_ledger()
        with taisly.get_rate_limited(ledger) as client:
            watched = watch_posts(
                client,
                sent.send_ids,
                seconds=max(request.watch_seconds, at_least),
                first_pause=taisly.first_look_seconds,
                grace=taisly.grace_seconds,
                on_news=on_news,
                stop_early=others_wait(),
            )
        if watched.stopped_early:
            log.info("%s", HANDED_OVER)
        if watched.trouble is not None:
            log.warning("The last check failed: %s", watched.trouble)
        records = ledger.sends(sent.send_ids)
    except ReelflowError as error:
        raise PartFailed(f"Stopped watching: {error} The post itself is unaffected. {FINISH_OPEN_POSTS}") from None
    except Exception:  # logged whole; nothing after the send may undo it
        log.exception("Stopped watching. The post itself is unaffected. %s", FINISH_OPEN_POSTS)
        return
    fail_step_for(request, records, {PostState.FAILED, PostState.UNCONFIRMED, PostState.CLAIMED})


def fail_step_for(
    request: PostRequest, records: Sequence[SendRecord], states: Set[PostState], value: Any = None
) -> None:
    """Fail the step, but not its run, where an account of the post is in one of `states`.

    Raises:
        PartFailed: with the reasons, and with `value` to go on with.
    """
    ids = {account.id for account in request.accounts}
    found = [(send, o) for send, outcomes in records for o in outcomes if o.account.id in ids and o.state in states]
    if found:
        failures = describe_failures([o.model_copy(update={"detail": detail_of(send, o)}) for send, o in found])
        raise PartFailed(f"{'. '.join(failures)}.", value)


def tell_outcome(send: Send, outcome: Outcome) -> None:
    """Report a new outcome: as an event, and in the run's log."""
    detail = detail_of(send, outcome)
    emit_outcome(send, outcome, detail)
    who = for_client(send.client, outcome.account.label)
    get_run_logger().info("%s: %s %s", who, outcome.state, outcome.link or detail)
