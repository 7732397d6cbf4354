"""Connect to a Prefect server, check it and read from it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import prefect
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import DeploymentStatus
from prefect.events import Event
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from reelflow.errors import ReelflowError

EVENT_SECONDS = 10.0
"""Seconds to wait for the answer to a test event, which is sent twice at most."""


@contextmanager
def checked_client() -> Iterator[SyncPrefectClient]:
    """A client of the server that PREFECT_API_URL names, once it has answered and has the right version.

    Raises:
        ReelflowError: as `connected_client`, or the server has another version.
    """
    with connected_client() as client:
        if problem := version_problem(read_version(client)):
            raise ReelflowError(f"{PREFECT_API_URL.value()} {problem}")
        yield client


@contextmanager
def connected_client() -> Iterator[SyncPrefectClient]:
    """A client of the server that PREFECT_API_URL names, once it has answered.

    Raises:
        ReelflowError: no server is set, it does not answer, or it refuses a request; one sentence.
    """
    url = PREFECT_API_URL.value()
    if not url:
        raise ReelflowError(
            "No Prefect server is set. Start one (prefect server start) and "
            "export PREFECT_API_URL=http://127.0.0.1:4200/api, or log in to Prefect Cloud (prefect cloud login)."
        )
    with server_errors(url), get_client(sync_client=True) as client:
        if error := client.api_healthcheck():
            if isinstance(error, httpx.HTTPError):
                raise error
            raise ReelflowError(
                f"{url} reports that it is unhealthy: {error}. Look at the server's log, or restart it."
            )
        yield client


@contextmanager
def server_errors(server: str) -> Iterator[None]:
    """Turn the errors of requests to a Prefect server into one sentence each.

    Raises:
        ReelflowError: `server` does not answer, or refuses a request.
    """
    try:
        yield
    except PrefectHTTPStatusError as error:
        status, path = error.response.status_code, error.request.url.path
        if status in (401, 403):
            raise ReelflowError(
                f"{server} does not allow this ({status} at {path}). Use an API key or an account that may read and "
                "change blocks, work pools, deployments and automations."
            ) from None
        raise ReelflowError(f"{server} refused {path} ({status}): {error.response.text[:300]}") from None
    except httpx.HTTPError as error:
        raise ReelflowError(
            f"{server} does not answer ({error or type(error).__name__}). Start the server, or correct PREFECT_API_URL."
        ) from None


def read_version(client: SyncPrefectClient) -> str | None:
    """The version of the server's Prefect; None for Prefect Cloud, which runs what any version deploys."""
    return None if "api.prefect.cloud" in str(client.api_url) else client.api_version()


def clock_ahead(client: SyncPrefectClient) -> float | None:
    """Seconds by which the server's clock is ahead of this machine's, to a second; None if it does not tell."""
    before = time.time()
    said = client.request("GET", "/health").headers.get("date", "")
    try:
        theirs = parsedate_to_datetime(said).timestamp()
    except ValueError:
        return None
    now = time.time()
    return theirs - before if theirs < before - 1 else theirs - now if theirs > now else 0.0


def version_problem(version: str | None) -> str | None:
    """Why a server of this version cannot run what this Prefect deploys; None if its minor version is the same."""
    if version is None or version.split(".")[:2] == prefect.__version__.split(".")[:2]:
        return None
    return (
        f"runs Prefect {version}, but {prefect.__version__} is installed here. Use the same minor version for both: "
        "a server of another version accepts deployments that it cannot run."
    )


def events_problem() -> str | None:
    """Why a server that answers starts no runs: it does not accept events; None if it does.

    Without its Redis, or with one that is full, it answers with an error; with one that it cannot reach, not at all.
    """
    event = Event(event="reelflow.doctor.asked", resource={"prefect.resource.id": "reelflow.doctor"})
    soon = {PREFECT_API_REQUEST_TIMEOUT: EVENT_SECONDS, PREFECT_CLIENT_MAX_RETRIES: 1}  # else it takes seven minutes
    with temporary_settings(soon), get_client(sync_client=True) as client:
        try:
            client.request("POST", "/events", json=[event.model_dump(mode="json")])
        except httpx.TimeoutException:
            why = f"no answer within {EVENT_SECONDS:g} s"
        except PrefectHTTPStatusError as error:
            if not error.response.is_server_error:
                return None
            why = str(error.response.status_code)
        else:
            return None
    return (
        f"answers but does not accept events ({why}), so runs cannot start or report their state. Posts already sent "
        "are on record. If the server uses Redis, check that Redis runs, that the server reaches it, and that its disk "
        "and memory are not full."
    )


def read_deployment(client: SyncPrefectClient, name: str) -> Any:
    """The deployment "flow/name" as the server has it; None if there is none."""
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def is_being_served(deployment: Any) -> bool:
    """Whether a process serves this deployment now: it has no work pool, and its process has asked for runs lately."""
    return not deployment.work_pool_name and deployment.status == DeploymentStatus.READY


def read_variable(client: SyncPrefectClient, name: str) -> Any:
    """The value of a Prefect variable; None if there is none."""
    variable = client.read_variable_by_name(name)
    return variable.value if variable else None


def read_block_ids(client: SyncPrefectClient) -> dict[str, str]:
    """The ids of all saved blocks by slug: "taisly-account/main"."""
    documents = client.read_block_documents(include_secrets=False)
    return {f"{d.block_type.slug}/{d.name}": str(d.id) for d in documents if d.block_type and d.name}
