"""A Prefect server to set up: reached, checked, and told by one line each what was done to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import httpx

from deployments.plan import PHONES
from deployments.programs import QUIET, say
from reelflow.errors import ReelflowError

RECORD = "reelflow_setup"
"""The Prefect variable that remembers what was made."""
ZONE = "reelflow_time_zone"
"""The Prefect variable with the time zone of the schedules, for serving."""
OLDEST = "3.8"
What = Literal["made", "changed", "left", "taken back"]


class Changes:
    """Says what was made, changed and left, and remembers what was made; a dry run only says."""

    def __init__(self, dry_run: bool, made: list[str]) -> None:
        self.dry_run = dry_run
        self.made = list(made)
        self.count = {"made": 0, "changed": 0, "left": 0, "taken back": 0}

    def do(self, what: What, thing: str, act: Callable[..., object] | None = None, *args: Any) -> None:
        """Do one thing, unless it is left or this is a dry run."""
        if act is not None and what != "left" and not self.dry_run:
            act(*args)
        if what == "made":
            self.made.append(thing)
        elif what == "taken back":
            self.made.remove(thing)
        self.count[what] += 1
        say(f"  {'would be ' * (self.dry_run and what != 'left')}{what:8} {thing}")

    @property
    def phone_pcs(self) -> list[str]:
        """The PCs with phones that setup has made a work pool for."""
        pools = [thing.removeprefix("work-pool ") for thing in self.made if thing.startswith("work-pool ")]
        return [pool.removeprefix(PHONES) for pool in pools if pool.startswith(PHONES)]

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        counts = ", ".join(f"{number} {word}" for word, number in self.count.items() if number)
        return f"{'Dry run, nothing was done: ' if self.dry_run else ''}{counts or 'nothing to do'}."


@contextmanager
def prefect_server() -> Iterator[Any]:
    """A client of the server, which is checked first; what the server refuses is one plain sentence.

    Raises:
        ReelflowError: there is none, it is of another version, or it refuses.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        raise ReelflowError(
            "No Prefect server is set. Start one (prefect server start) and "
            "export PREFECT_API_URL=http://127.0.0.1:4200/api, or log in to Prefect Cloud (prefect cloud login)."
        )
    try:
        with get_client(sync_client=True) as client:
            _check_version(client, url)
            yield client
    except PrefectHTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ReelflowError(
                f"{url} does not permit this ({status} at {error.request.url.path}). Use an API key or an account "
                "that may change blocks, work pools, deployments and automations."
            ) from None
        raise ReelflowError(f"{url} refused {error.request.url.path} ({status}): {error.response.text[:300]}") from None
    except httpx.HTTPError as error:
        raise ReelflowError(
            f"{url} does not answer ({error or type(error).__name__}). Start the server, or correct PREFECT_API_URL."
        ) from None


def _check_version(client: Any, url: str) -> None:
    import prefect

    if error := client.api_healthcheck():
        if isinstance(error, httpx.HTTPError):
            raise error
        raise ReelflowError(f"{url} is not well: {error}")
    if "api.prefect.cloud" in url:
        return
    there = client.api_version()
    if not same_version(there):
        raise ReelflowError(
            f"{url} runs Prefect {there}, and this is {prefect.__version__}. Use {OLDEST} for both: a server of "
            "another version takes deployments that it cannot run."
        )


def same_version(there: str) -> bool:
    """Whether a server of this version can run what this Prefect deploys."""
    import prefect

    return there.split(".")[:2] == prefect.__version__.split(".")[:2]


def deployment(client: Any, name: str) -> Any:
    """The deployment "flow/name" as the server has it; None if there is none."""
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def remembered(client: Any) -> list[str]:
    """What setup has made on this server before: "deployment publish-video/publish-video"."""
    found = variable(client, RECORD)
    return [str(thing) for thing in found] if isinstance(found, list) else []


def variable(client: Any, name: str) -> Any:
    """The value of a Prefect variable; None if there is none."""
    found = client.request("POST", "/variables/filter", json={"variables": {"name": {"any_": [name]}}}).json()
    return found[0]["value"] if found else None


def remember(made: list[str]) -> None:
    """Remember what setup has made; nothing made, nothing left behind."""
    from prefect.variables import Variable

    if made:
        Variable.set(RECORD, made, overwrite=True, tags=["reelflow"])
    else:
        Variable.unset(RECORD)


def delete(client: Any, kind: str, name: str) -> None:
    """Delete one thing; one that has gone already is no error."""
    from prefect.exceptions import ObjectNotFound

    try:
        if kind == "deployment":
            client.delete_deployment(client.read_deployment_by_name(name).id)
        elif kind == "work-pool":
            client.delete_work_pool(name)
        elif kind == "block":
            slug, _, document = name.partition("/")
            client.delete_block_document(client.read_block_document_by_name(document, slug).id)
        elif kind == "variable":
            client.delete_variable_by_name(name)
        elif kind == "automation":
            body = {"automations": {"name": {"any_": [name]}}}
            for found in client.request("POST", "/automations/filter", json=body).json():
                client.request("DELETE", f"/automations/{found['id']}")
    except ObjectNotFound:
        return
