"""Requests to the Prefect server from within a step: its errors become ours, so that the step can be retried."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.exceptions import PrefectHTTPStatusError

from reelflow.errors import OutcomeUnknown
from reelflow.wording import one_line


@contextmanager
def asking_prefect() -> Iterator[None]:
    """Raise OutcomeUnknown in place of what Prefect's client raises when its server is away, or fails."""
    try:
        yield
    except httpx.TransportError as error:
        why = one_line(str(error)) or type(error).__name__
        raise OutcomeUnknown(f"The Prefect server cannot be reached ({why}).", service="Prefect") from None
    except PrefectHTTPStatusError as error:
        if error.response.status_code < 500:
            raise
        raise OutcomeUnknown(f"The Prefect server failed ({error.response.status_code}).", service="Prefect") from None
