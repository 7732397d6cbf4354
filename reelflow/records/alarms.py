"""What went wrong and a person has to know, and when they are told: one message for each cause."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from reelflow.records.clients import for_client
from reelflow.time_zones import DAY

QUIET_SECONDS = 900.0
"""How long a cause is not told again after a message: what else it breaks meanwhile comes in the next message."""
LONGEST_QUIET = 4 * 3600.0
"""The pause doubles with each message of a day, up to this: an outage of a night is not a message every 15 minutes."""


@dataclass(frozen=True)
class Alarm:
    """One thing that went wrong.

    Attributes:
        key: Nothing is recorded twice under one key.
        kind: "post", "hold", "phone task", "phone request", "engagement" or "run".
        state: How it ended: FAILED, REFUSED, UNCONFIRMED, NOT SENT, NOT STARTED, ON HOLD, GONE, CRASHED, SKIPPED,
            LATE or NO KEY; or WAITING for a person.
        subject: What it is about: the video's file, the account on hold, the job on phones, or the run's name.
        who: The account, or the phone, with the client in front; for a run and an account on hold only the client.
        reason: Why, as people read it.
        cause: What messages are made for: alarms with the same one are told together.
        flow_run: Whose work it was.
        ref: What a person enters to settle it: a send ID, or the ID of a request or of a task.
        at: Unix seconds.
        id: Its number in the ledger; 0 before it is there.
    """

    key: str
    kind: str
    state: str
    subject: str
    who: str
    reason: str
    cause: str
    flow_run: str | None = None
    ref: str = ""
    at: float = 0.0
    id: int = 0


@dataclass(frozen=True)
class AlarmGroup:
    """Alarms with one cause, to be told in one message; `is_more` if a message of today told of the cause before."""

    alarms: tuple[Alarm, ...]
    is_more: bool


def cause_of(kind: str, state: str, reason: str, client: str = "") -> str:
    """The cause of an alarm: its reason without numbers, so that two waits of different lengths are one cause.

    Each client has causes of its own: what one of them was told keeps no other waiting.
    """
    what = for_client(client, f"{kind} {state}")
    return f"{what}: {re.sub(r'[0-9]+', '#', reason).rstrip('.')}"


def quiet_until(told: Iterable[float], now: float) -> float:
    """Until when a cause that was told at these times is not told again; all in Unix seconds.

    Times to come are from before this machine's clock was set back: they do not count.
    """
    times = sorted({at for at in told if now - DAY < at <= now})
    if not times:
        return 0.0
    return times[-1] + min(QUIET_SECONDS * 2.0 ** (len(times) - 1), LONGEST_QUIET)
