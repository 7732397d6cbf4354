"""Heartbeats of a run, so that another run takes over only abandoned work."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from reelflow.errors import ClaimLost, ReelflowError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def heartbeat(renew: Callable[[], object], every: float) -> Iterator[None]:
    """Call `renew` every `every` seconds, in a separate thread, so that uploads and waits need not do it.

    It stops when `renew` raises ClaimLost. The code in the body notices the loss at its own next step.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            try:
                renew()
            except ClaimLost:
                return
            except ReelflowError as error:
                log.warning("The heartbeat could not be recorded: %s", error)

    thread = threading.Thread(target=beat, name="reelflow-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
