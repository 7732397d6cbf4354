"""This process as a client of one Prefect server after another."""

import contextlib
from collections.abc import Iterator
from typing import Any

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings


@contextlib.contextmanager
def client_of(api: str, settings: dict[Any, Any] | None = None) -> Iterator[None]:
    """Prefect's settings lead to the server at `api`.

    Prefect's workers for events and logs keep to the server they began with, also when it is gone. So they are ended,
    with all that they have, on the way in and on the way out; new ones begin with the settings of the moment.
    """
    _send_everything()
    with temporary_settings({PREFECT_API_URL: api, **(settings or {})}):
        try:
            yield
        finally:
            _send_everything()


def _send_everything() -> None:
    APILogWorker.drain_all(timeout=20)
    EventsWorker.drain_all(timeout=20)
