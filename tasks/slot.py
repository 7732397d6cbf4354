"""The slot that a run has of its deployment's limit: if the run dies, it is free for the next one within a minute."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import FlowRunContext

from reelflow.errors import ClaimLost
from reelflow.heartbeat import heartbeat

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
"""The least that Prefect allows. Its own engine renews for 300 s, so a killed run kept those behind it waiting for five
minutes, whatever the grace period of its deployment: that counts only until a run begins."""
RENEW_SECONDS = 15.0
"""Between two renewals: the engine's own, every 225 s, is shortened within this time."""


@contextmanager
def short_slot() -> Iterator[None]:
    """Keep this run's slot for a minute at a time; without a limit there is none, and nothing to do.

    Only for upkeep: if the Prefect server is away for longer than a minute, the slot is lost, and Prefect cancels the
    run.
    """
    context = FlowRunContext.get()
    state = context.flow_run.state if context and context.flow_run else None
    lease = state.state_details.deployment_concurrency_lease_id if state else None
    if lease is None:
        yield
        return
    with get_client(sync_client=True) as client:
        with suppress(ClaimLost):
            _renew(client, lease)
        with heartbeat(lambda: _renew(client, lease), RENEW_SECONDS):
            yield


def _renew(client: SyncPrefectClient, lease: object) -> None:
    try:
        client.renew_concurrency_lease(lease_id=lease, lease_duration=LEASE_SECONDS)  # type: ignore[arg-type]
    except httpx.HTTPStatusError as error:
        if error.response.status_code == HTTPStatus.GONE:
            raise ClaimLost("The slot of this run is gone.") from None
        log.debug("The slot could not be renewed: %s", error)
    except httpx.HTTPError as error:
        log.debug("The slot could not be renewed: %s", error)
