"""Say what became of the posts of a campaign whose run was cancelled."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from reelflow.campaigns.report import NOT_SENT, OPEN, WORST_FIRST, outcome_word
from reelflow.records.post_states import SCHEDULED
from reelflow.records.posts import SendRecord
from tasks.cancelled import conclude
from tasks.posts.wording import FINISH_OPEN_POSTS


def conclude_cancelled_campaign(flow: Any, flow_run: Any, state: Any) -> None:  # Prefect passes these by name
    """Say what became of the posts of a cancelled run. What Taisly has stays there."""
    conclude(flow_run, cancelled_message, what="posts")


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
    message = (
        f"The run was cancelled. Posts by account: {', '.join(parts)}. To send any remaining posts, start it again."
    )
    if numbers[SCHEDULED]:
        message += " Scheduled posts stay scheduled: cancel-scheduled-post cancels one."
    return f"{message} {FINISH_OPEN_POSTS}" if numbers[OPEN] else message
