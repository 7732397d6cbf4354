"""What can be chosen in the run forms: connected accounts, the user's phones, the videos and plans of a folder.

The lists are in the schema that Prefect stores with each deployment. Every change of a deployment deletes its future
scheduled runs, so a schema is written only if it differs.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.exceptions import PrefectHTTPStatusError

from blocks import TaislyAccount, TikMatrixHost
from blocks.reference import load_referred
from reelflow.errors import ReelflowError
from reelflow.fields import ALL
from reelflow.form_schema import choices_of, for_people
from reelflow.phones.requests import usernames
from reelflow.posts.accounts import account_names
from reelflow.posts.outcomes import account_of
from reelflow.records.posts import Account
from reelflow.time_zones import shown_zone
from reelflow.video.folder import plan_sources, video_files
from tasks.upkeep.watchdog import TAG

log = logging.getLogger("reelflow.choices")

VIDEOS_VARIABLE = "reelflow_videos"
"""The Prefect variable with the folder of the user's videos, as the machine knows it that runs publish-video."""
MOST_DEPLOYMENTS = 200
"""Read with one request: Prefect's API returns no more."""

Choices = dict[str, list[str]]
AccountReader = Callable[[TaislyAccount], Iterable[Account]]


def ask_taisly(taisly: TaislyAccount) -> list[Account]:
    """The connected accounts of a block, with one request that no ledger counts: for setup, which opens none."""
    with taisly.get_client() as client:
        return [account_of(each) for each in client.platforms()]


def our_deployments(client: SyncPrefectClient) -> list[Any]:
    """The deployments with our tag."""
    return [deployment for deployment in client.read_deployments(limit=MOST_DEPLOYMENTS) if TAG in deployment.tags]


class ChoiceReader:
    """Reads the lists, each block once however many deployments use it.

    Args:
        read_accounts: How to learn of a block's accounts.
        folder: The folder of the user's videos; None if setup was told none.
    """

    def __init__(self, read_accounts: AccountReader, folder: str | None) -> None:
        self._read_accounts = read_accounts
        self._folder = Path(folder).expanduser() if folder else None
        self._known: dict[str, Choices] = {}

    def choices(self, parameters: Mapping[str, Any]) -> Choices:
        """The lists for a deployment with these default parameters; those that cannot be read now are missing."""
        found: Choices = {}
        found |= self._of_block(TaislyAccount, parameters.get("taisly"), self._accounts)
        found |= self._of_block(TikMatrixHost, parameters.get("host"), self._phones)
        if self._folder is not None and self._folder.is_dir():
            found["videos"] = video_files(self._folder)
            found["plans"] = plan_sources(self._folder)
        return found

    def _of_block(self, kind: type[Any], value: Any, read: Callable[[Any], Choices]) -> Choices:
        if not isinstance(value, dict) or "$ref" not in value:
            return {}
        key = f"{kind.__name__} {value}"
        if key not in self._known:
            try:
                block = load_referred(kind, value)
                self._known[key] = read(block) if isinstance(block, kind) else {}
            except (ReelflowError, RuntimeError, ValueError) as error:
                log.info("The lists of the forms stay as they are: %s", error)
                self._known[key] = {}
        return self._known[key]

    def _accounts(self, taisly: TaislyAccount) -> Choices:
        return {"accounts": [ALL, *account_names(list(self._read_accounts(taisly)))]}

    def _phones(self, host: TikMatrixHost) -> Choices:
        return {
            "phones": [ALL, *(phone.name for phone in host.guardrails.phones)],
            "usernames": [ALL, *usernames(host.guardrails)],
        }


def refresh_choices(client: SyncPrefectClient, deployments: Iterable[Any], reader: ChoiceReader) -> list[str]:
    """Write the lists into the forms of deployments where they differ; the names of those that were changed.

    A server that refuses is no reason to fail: the forms then stay as they are.
    """
    changed = []
    for deployment in deployments:
        before = deployment.parameter_openapi_schema or {}
        choices = {**choices_of(before), **reader.choices(deployment.parameters)}
        after = for_people(before, choices, shown_zone().key)
        if after == before:
            continue
        try:
            client.update_deployment(
                deployment.id, DeploymentUpdate(parameter_openapi_schema=after, **_without_null(deployment.parameters))
            )
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            log.warning("The form of %s could not be refreshed: %s", deployment.name, error)
            continue
        changed.append(deployment.name)
    return changed


def _without_null(parameters: dict[str, Any]) -> dict[str, Any]:
    """The new defaults, if one is null: the server checks them, and a block that need not be chosen is never null.

    Otherwise none are sent, so that what a person changes at this moment stays.
    """
    if None not in parameters.values():
        return {}
    return {"parameters": {name: value for name, value in parameters.items() if value is not None}}
