"""Signs of life of a run, so that another one takes over only what is really left alone."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from reelflow.errors import ClaimLost, ReelflowError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def heartbeat(renew: Callable[[], object], every: float) -> Iterator[None]:
    """Call `renew` every so many seconds, from a thread of its own: an upload or a wait has no time for it.

    It ends by itself when `renew` raises ClaimLost; whoever works finds that out at its own next step.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            try:
                renew()
            except ClaimLost:
                return
            except ReelflowError as error:
                log.warning("No sign of life could be given: %s", error)

    thread = threading.Thread(target=beat, name="reelflow-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
