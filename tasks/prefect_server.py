"""Requests to the Prefect server: its errors become ours, and reads outside of steps wait for a server that is away."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from reelflow.countdown import Countdown
from reelflow.errors import NotFound, OutcomeUnknown, Refused
from reelflow.wording import duration, one_line

log = logging.getLogger("reelflow.prefect")
T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for which a read waits for a server that is away or fails: it, or its PostgreSQL, may be restarting."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two tries; doubled each time."""


def read_variable(name: str) -> Any:
    """The value of a Prefect variable; None if there is none.

    Raises:
        OutcomeUnknown: the server cannot be asked.
    """
    with asking_prefect(), get_client(sync_client=True) as client:
        variable = client.read_variable_by_name(name)
    return variable.value if variable else None


def read_patiently(
    read: Callable[[], T], *, patience: float = PATIENCE, sleep: Callable[[float], None] = time.sleep
) -> T:
    """Call `read`, again and again while the server is away or fails. In a step, leave that to Prefect's retries.

    Prefect's own client waits for a server that it has reached before, but takes its answer 500 for final.

    Args:
        read: What only reads.
        patience: Seconds.
        sleep: For tests.

    Raises:
        OutcomeUnknown: the server did not answer in time.
        NotFound, Refused: as `asking_prefect`.
    """
    waiting, pause = Countdown(patience, sleep), FIRST_PAUSE
    while True:
        try:
            with asking_prefect():
                return read()
        except OutcomeUnknown as error:
            if not waiting.left:
                raise OutcomeUnknown(f"{error} Start the run again once it answers.", service=error.service) from None
            if pause == FIRST_PAUSE:
                log.warning("%s Trying again for up to %s.", error, duration(waiting.left))
        waiting.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


@contextmanager
def asking_prefect() -> Iterator[None]:
    """Raise errors of ours in place of those of Prefect's client; OutcomeUnknown if its server is away, or fails."""
    try:
        yield
    except httpx.TransportError as error:
        why = one_line(str(error)) or type(error).__name__
        raise OutcomeUnknown(f"The Prefect server cannot be reached ({why}).", service="Prefect") from None
    except ObjectNotFound:
        raise NotFound("The Prefect server no longer has what this run needs there.", service="Prefect") from None
    except PrefectHTTPStatusError as error:
        status = error.response.status_code
        if status < 500:
            why = one_line(_detail(error)) or str(status)
            raise Refused(f"The Prefect server refused a request ({why}).", service="Prefect") from None
        raise OutcomeUnknown(f"The Prefect server failed ({status}).", service="Prefect") from None


def _detail(error: PrefectHTTPStatusError) -> str:
    """What the server says is wrong; empty if it says nothing."""
    with suppress(ValueError):
        body = error.response.json()
        if isinstance(body, dict):
            return str(body.get("detail") or "")
    return ""
