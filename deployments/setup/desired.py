"""The desired state of a Prefect server, computed from prefect.yaml, automations.yaml and the options of setup."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from prefect.automations import AutomationCore

from deployments.spec import MAIN, PHONE_POOL_PREFIX, DeploymentSpec, deployment_specs, with_block_names
from reelflow.sandbox.catalog import API_KEY, PHONES

AUTOMATIONS = Path(__file__).parents[1] / "automations.yaml"
SERVER_POOL = "reelflow"
"""The work pool for everything but phones."""
FIRST_QUEUE = "upkeep"
"""Its work queue whose runs are the next that begin, however many posts wait in the other one."""


@dataclass(frozen=True)
class SetupOptions:
    """What a person asks setup for. None means: as it is, or the default where there is nothing yet.

    Attributes:
        sandbox: The address of a sandbox for the blocks to lead to.
        api_key: The key at Taisly.
        plan: The plan at Taisly.
        phones: Phones of the one PC to add or change, as "SERIAL: username, username".
        removed_phones: Serials of phones of the one PC to remove.
        slots: Posting slots, as "all: daily 12:00 and 18:00"; they replace those that were there.
        client: The client that the key and the plan are for: the name of its Taisly block.
        phone_pcs: Names of the PCs with phones; each has its block, its work pool and its deployments.
        folder: Where the project is on the machines of the pool `reelflow`.
        phones_folder: Where it is on the PCs with phones.
        time_zone: The one time zone of schedules, forms and messages.
        videos: The folder of the user's videos, on the machines of the pool `reelflow`.
        ledger_url: The ledger for every program of this server.
    """

    sandbox: str | None = None
    api_key: str | None = field(default=None, repr=False)
    plan: str | None = None
    phones: tuple[str, ...] = ()
    removed_phones: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    client: str | None = None
    phone_pcs: tuple[str, ...] = (MAIN,)
    folder: str | None = None
    phones_folder: str | None = None
    time_zone: str | None = None
    videos: str | None = None
    ledger_url: str | None = None


@dataclass(frozen=True)
class DesiredBlock:
    """A block, with the fields that the options give.

    Attributes:
        block_type: The slug of its type.
        name: Its name.
        values: Fields to set.
        identity: The field without which it cannot be created: the key, the phones, or the slots.
        for_sandbox: Whether it leads to a sandbox.
        removed_phones: Serials of phones that it shall no longer list.
    """

    block_type: str
    name: str
    values: dict[str, Any] = field(repr=False)
    identity: str
    for_sandbox: bool
    removed_phones: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Type and name: "taisly-account/main"."""
        return f"{self.block_type}/{self.name}"


@dataclass(frozen=True)
class DesiredDeployment:
    """A deployment of prefect.yaml under a name, for a work pool.

    Attributes:
        spec: From prefect.yaml.
        name: Its name; with that of the PC for phone flows on any PC but "main".
        pool: Its work pool.
        parameters: Its defaults, with blocks by slug.
        folder: Where the project is on the machines that run it; None for here, or as it is.
    """

    spec: DeploymentSpec
    name: str
    pool: str
    parameters: dict[str, Any]
    folder: str | None

    @property
    def full_name(self) -> str:
        """Flow and deployment: "warm-up-accounts/21-attic"."""
        return f"{self.spec.name}/{self.name}"


def desired_blocks(options: SetupOptions) -> list[DesiredBlock]:
    """The Taisly block, a TikMatrix block for each PC with phones, and the posting slots."""
    return [
        DesiredBlock(
            "taisly-account", options.client or MAIN, _taisly_values(options), "api_key", bool(options.sandbox)
        ),
        *(
            DesiredBlock(
                "tikmatrix-host", pc, _host_values(options), "phones", bool(options.sandbox), options.removed_phones
            )
            for pc in options.phone_pcs
        ),
        DesiredBlock("posting-slots", MAIN, _slots_values(options), "slots", for_sandbox=False),
    ]


def _slots_values(options: SetupOptions) -> dict[str, Any]:
    return {"slots": list(options.slots)} if options.slots else {}


def _taisly_values(options: SetupOptions) -> dict[str, Any]:
    sandbox = options.sandbox.rstrip("/") if options.sandbox else None
    values = {
        "api_key": _sandbox_key(options.api_key) if sandbox else options.api_key,
        "base_url": f"{sandbox}/api/private" if sandbox else None,
        "plan": options.plan,
    }
    return {name: value for name, value in values.items() if value}


def _sandbox_key(given: str | None) -> str:
    """The key that was given, if it is that of a further client of the sandbox."""
    return given if given and given.startswith(API_KEY) else API_KEY


def _host_values(options: SetupOptions) -> dict[str, Any]:
    sandbox = options.sandbox.rstrip("/") if options.sandbox else None
    values = {
        "phones": list(options.phones) or (PHONES if sandbox else None),
        "base_url": f"{sandbox}/api/v1" if sandbox else None,
        "poll_seconds": 2 if sandbox else None,
    }
    return {name: value for name, value in values.items() if value}


def desired_work_pools(options: SetupOptions) -> list[str]:
    """One for what any machine can do, and one for each PC with phones."""
    return [SERVER_POOL, *(PHONE_POOL_PREFIX + pc for pc in options.phone_pcs)]


def desired_work_queues() -> list[tuple[str, str]]:
    """Work pool and name of each queue beside the one that Prefect makes."""
    return [(SERVER_POOL, FIRST_QUEUE)]


def desired_deployments(options: SetupOptions, client: str) -> list[DesiredDeployment]:
    """Every deployment of prefect.yaml; those of phone flows once for each PC with phones.

    `client` is preselected in those that are new.
    """
    found = []
    for spec in deployment_specs():
        for pc in options.phone_pcs if spec.for_phones else (None,):
            names = {"taisly-account": client, "tikmatrix-host": pc or options.phone_pcs[0]}
            found.append(
                DesiredDeployment(
                    spec=spec,
                    name=spec.number + (spec.name if pc in (None, MAIN) else pc),
                    pool=PHONE_POOL_PREFIX + pc if pc else SERVER_POOL,
                    parameters=with_block_names(spec.parameters, names),
                    folder=options.phones_folder if spec.for_phones else options.folder,
                )
            )
    return found


def desired_automations(
    notification_block_id: str, file: Path = AUTOMATIONS, *, serve: bool = False
) -> list[AutomationCore]:
    """Every automation of automations.yaml for workers, or for serving, sending to a saved notification block."""
    other = "workers" if serve else "serving"
    entries = yaml.safe_load(file.read_text("utf-8"))["automations"]
    entries = [entry for entry in entries if entry.pop("only", None) != other]
    for entry in entries:
        entry["actions"] = [{**action, "block_document_id": notification_block_id} for action in entry["actions"]]
    return [AutomationCore.model_validate(entry) for entry in entries]
