"""What can be chosen in the run forms: connected accounts, the user's phones, the videos and plans of a folder.

The lists are in the schema that Prefect stores with each deployment. Every change of a deployment deletes its future
scheduled runs, so a schema is written only if it differs.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.exceptions import PrefectHTTPStatusError

from blocks import TaislyAccount, TikMatrixHost
from blocks.reference import load_referred, load_saved, saved_ids
from reelflow.block_references import saved_block
from reelflow.errors import ReelflowError
from reelflow.fields import ALL
from reelflow.form_schema import TAISLY, accounts_to_choose, asks_for_client, choices_of, for_people
from reelflow.phones.requests import usernames
from reelflow.posts.accounts import account_names
from reelflow.posts.outcomes import account_of
from reelflow.records.clients import shown_client
from reelflow.records.posts import Account
from reelflow.time_zones import shown_zone
from reelflow.video.folder import plan_sources, video_files
from tasks.run_facts import TAG

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
    """The deployments with our tag, however many others the server has."""
    ours, found = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])), list[Any]()
    while page := client.read_deployments(deployment_filter=ours, limit=MOST_DEPLOYMENTS, offset=len(found)):
        found += page
        if len(page) < MOST_DEPLOYMENTS:
            break
    return found


class ChoiceReader:
    """Reads the lists, each block once however many deployments use it.

    Args:
        read_accounts: How to learn of a block's accounts.
        folder: The folder of the user's videos; None if setup was told none.
    """

    def __init__(self, read_accounts: AccountReader, folder: str | None) -> None:
        self._read_accounts = read_accounts
        self._folder = Path(folder).expanduser() if folder else None
        self._phones_of: dict[str, Choices] = {}

    def choices(self, parameters: Mapping[str, Any], before: Mapping[str, list[str]], *, only: bool = False) -> Choices:
        """The lists for a deployment; those that cannot be read now are missing.

        Args:
            parameters: Its default parameters.
            before: The lists that it offers now.
            only: Whether it is only for the client of its parameters.
        """
        found: Choices = {}
        if self.clients is not None:
            mine = self.clients
            if only:
                its = saved_block(parameters.get(TAISLY), self.ids or {})
                mine = {name: accounts for name, accounts in mine.items() if name == its}
            found["accounts"] = accounts_to_choose(mine, before.get("accounts", []))
        found |= self._of_phone_pc(parameters.get("host"))
        if self._folder is not None and self._folder.is_dir():
            found["videos"] = video_files(self._folder)
            found["plans"] = plan_sources(self._folder)
        return found

    @cached_property
    def ids(self) -> dict[str, str] | None:
        """The ids of the clients' blocks by name, the usual one first; None if the server does not tell."""
        try:
            found = saved_ids(TaislyAccount)
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            log.info("The lists of the forms stay as they are: %s", error)
            return None
        return dict(sorted(found.items(), key=lambda each: (bool(shown_client(each[0])), each[0])))

    @cached_property
    def clients(self) -> dict[str, list[str] | None] | None:
        """The names of each client's accounts, None where they cannot be read; None if the server does not tell."""
        return None if self.ids is None else {name: self._accounts(name) for name in self.ids}

    @property
    def asks_for_client(self) -> bool | None:
        """Whether a form preselects no client, since there are several; None if that stays as it is."""
        return len(self.ids) > 1 if self.ids else None

    def _accounts(self, name: str) -> list[str] | None:
        try:
            taisly = load_saved(TaislyAccount, name)
            return account_names(list(self._read_accounts(taisly))) if taisly else None
        except (ReelflowError, RuntimeError, ValueError) as error:
            log.info("The accounts of %s in the forms stay as they are: %s", name, error)
            return None

    def _of_phone_pc(self, value: Any) -> Choices:
        if not isinstance(value, dict) or "$ref" not in value:
            return {}
        key = str(value)
        if key not in self._phones_of:
            try:
                host = load_referred(TikMatrixHost, value)
                self._phones_of[key] = _phones(host) if host else {}
            except (ReelflowError, RuntimeError, ValueError) as error:
                log.info("The lists of the forms stay as they are: %s", error)
                self._phones_of[key] = {}
        return self._phones_of[key]


def _phones(host: TikMatrixHost) -> Choices:
    return {
        "phones": [ALL, *(phone.name for phone in host.guardrails.phones)],
        "usernames": [ALL, *usernames(host.guardrails)],
    }


def refresh_choices(client: SyncPrefectClient, deployments: Iterable[Any], reader: ChoiceReader) -> list[str]:
    """Write the lists into the forms of deployments where they differ; the names of those that were changed.

    As soon as there are several clients, a form that needs one preselects none, so that nobody sends one client's
    video to another by leaving a field as it is; its schedules keep the client that they had. Which client a person
    preselects after that stays.

    A server that refuses is no reason to fail: the forms then stay as they are.
    """
    changed = []
    for deployment in deployments:
        before = deployment.parameter_openapi_schema or {}
        is_own = is_persons_own(deployment)
        offered = choices_of(before)
        choices = {**offered, **reader.choices(deployment.parameters, offered, only=is_own)}
        asks = None if is_own else reader.asks_for_client
        after = for_people(before, choices, shown_zone().key, asks_for_client=asks)
        if after == before:
            continue
        try:
            parameters = _parameters_after(client, deployment, before, after, reader.ids or {})
            update = {} if parameters is None else {"parameters": parameters}
            client.update_deployment(deployment.id, DeploymentUpdate(parameter_openapi_schema=after, **update))
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            log.warning("The form of %s could not be refreshed: %s", deployment.name, error)
            continue
        changed.append(deployment.name)
    return changed


def is_persons_own(deployment: Any) -> bool:
    """Whether a person has deployed a flow of ours under a name of their own, for a client of their choice."""
    flow = (deployment.entrypoint or "").rpartition(":")[2].replace("_", "-")
    return TAISLY in deployment.parameters and bool(flow) and re.sub(r"^\d+-", "", deployment.name) != flow


def _parameters_after(
    client: SyncPrefectClient, deployment: Any, before: dict[str, Any], after: dict[str, Any], ids: dict[str, str]
) -> dict[str, Any] | None:
    """The new defaults; None if they stay, so that what a person changes at this moment stays, too.

    A null goes, as the server checks them and a block that need not be chosen is never null. The client goes once there
    are several, and returns once there is one.
    """
    made = {name: value for name, value in deployment.parameters.items() if value is not None}
    if asks_for_client(after) and not asks_for_client(before) and TAISLY in made:
        _give_to_schedules(client, deployment, made.pop(TAISLY))
    elif asks_for_client(before) and not asks_for_client(after) and TAISLY not in made:
        (only,) = ids.values()
        made[TAISLY] = {"$ref": {"block_document_id": only}}
    return None if made == deployment.parameters else made


def _give_to_schedules(client: SyncPrefectClient, deployment: Any, taisly: Any) -> None:
    """Let the schedules that have relied on the default client keep it."""
    for schedule in deployment.schedules:
        if TAISLY not in schedule.parameters:
            client.update_deployment_schedule(
                deployment.id, schedule.id, parameters={**schedule.parameters, TAISLY: taisly}
            )
