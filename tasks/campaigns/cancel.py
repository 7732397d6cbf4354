"""Say what became of the posts of a campaign whose run was cancelled."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from prefect.logging.loggers import flow_run_logger

from reelflow.campaigns.report import NOT_SENT, OPEN, WORST_FIRST, outcome_word
from reelflow.errors import ReelflowError
from reelflow.records.posts import SendRecord
from tasks.cancelled import tell_cancelled
from tasks.ledger import reopen_ledger
from tasks.posts.wording import FINISH_OPEN_POSTS
from tasks.zone import use_server_zone


def conclude_cancelled_campaign(flow: Any, flow_run: Any, state: Any) -> None:  # Prefect passes these by name
    """Say what became of the posts of a cancelled run. What Taisly has stays there.

    A hook that runs in another process.
    """
    use_server_zone()
    try:
        ledger = reopen_ledger()
        message = cancelled_message(ledger.sends_of_flow_run(str(flow_run.id)), ledger.now())
    except ReelflowError as error:
        flow_run_logger(flow_run).warning("%s", error)
        message = (
            "The run was cancelled. What became of its posts cannot be told, because the ledger cannot be read; the "
            "run's log says why."
        )
    tell_cancelled(flow_run, message)


def cancelled_message(records: Sequence[SendRecord], now: float) -> str:
    """What the ledger knows of the posts of a cancelled run.

    Args:
        records: The sends of the run.
        now: Unix seconds.
    """
    numbers = Counter(outcome_word(send, outcome, now) for send, outcomes in records for outcome in outcomes)
    parts = [f"{numbers[word]} {word}" for word in WORST_FIRST if numbers[word] and word != NOT_SENT]
    if not parts:
        return "The run was cancelled. It posted nothing."
    comes = f" {FINISH_OPEN_POSTS}" if numbers[OPEN] else ""
    return (
        f"The run was cancelled. Of its posts {', '.join(parts)}; scheduled ones stay scheduled. Start it again to "
        f"send the rest; to cancel scheduled posts, run cancel-scheduled-post.{comes}"
    )
