"""Requests to the Prefect server from within a step or a hook: its errors become ours, so a step can be retried."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from reelflow.errors import NotFound, OutcomeUnknown, Refused
from reelflow.wording import one_line


def read_variable(name: str) -> Any:
    """The value of a Prefect variable; None if there is none.

    Raises:
        OutcomeUnknown: the server cannot be asked.
    """
    with asking_prefect(), get_client(sync_client=True) as client:
        variable = client.read_variable_by_name(name)
    return variable.value if variable else None


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
