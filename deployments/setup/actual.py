"""The actual state of a Prefect server: which of the things that setup creates exist there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.schemas.automations import Automation
from prefect.exceptions import ObjectNotFound

from deployments.prefect_api import read_block_ids, read_deployment, read_variable
from deployments.spec import PHONE_POOL_PREFIX
from reelflow.errors import InputError
from tasks.zone import TIME_ZONE_VARIABLE

RECORD_VARIABLE = "reelflow_setup"
"""The Prefect variable that remembers what setup created: "deployment publish-video/01-publish-video"."""


@dataclass(frozen=True)
class ActualState:
    """What is on the server before setup changes anything.

    Attributes:
        work_pools: Names of all work pools.
        work_queues: Work pool and name of those that are asked for, with the priority of each.
        deployments: Those that are asked for, by "flow/deployment".
        automations: Those that are asked for, by name.
        block_ids: Ids of all saved blocks by slug.
        time_zone: The time zone that an earlier setup was told.
    """

    work_pools: frozenset[str]
    work_queues: dict[tuple[str, str], int]
    deployments: dict[str, DeploymentResponse]
    automations: dict[str, Automation]
    block_ids: dict[str, str]
    time_zone: str | None


def read_actual_state(
    client: SyncPrefectClient,
    deployments: Iterable[str],
    automations: Iterable[str],
    work_queues: Iterable[tuple[str, str]] = (),
) -> ActualState:
    """Read what setup compares with; deployments and automations by name, so that a large server costs no more."""
    found = {name: read_deployment(client, name) for name in deployments}
    same_name = {name: client.read_automations_by_name(name) for name in automations}
    return ActualState(
        work_pools=frozenset(pool.name for pool in client.read_work_pools()),
        work_queues={queue: priority for queue in work_queues if (priority := _priority(client, *queue)) is not None},
        deployments={name: deployment for name, deployment in found.items() if deployment is not None},
        automations={name: automations[0] for name, automations in same_name.items() if automations},
        block_ids=read_block_ids(client),
        time_zone=read_variable(client, TIME_ZONE_VARIABLE),
    )


def _priority(client: SyncPrefectClient, pool: str, queue: str) -> int | None:
    """The priority of a work queue, from 1 for the first; None if there is none."""
    try:
        return client.read_work_queue_by_name(queue, work_pool_name=pool).priority
    except ObjectNotFound:
        return None


def read_record(client: SyncPrefectClient) -> list[str]:
    """What setup has created on this server, each as kind and name, in the order of creation."""
    found = read_variable(client, RECORD_VARIABLE)
    return [str(thing) for thing in found] if isinstance(found, list) else []


def recorded_phone_pcs(record: Iterable[str]) -> tuple[str, ...]:
    """The PCs with phones that setup has created a work pool for."""
    prefix = f"work-pool {PHONE_POOL_PREFIX}"
    return tuple(thing.removeprefix(prefix) for thing in record if thing.startswith(prefix))


def find_notification_block(client: SyncPrefectClient, slug: str) -> str:
    """The id of a saved notification block, such as "slack-webhook/main".

    Raises:
        InputError: it is not saved, or cannot send notifications.
    """
    documents: list[Any] = client.read_block_documents(include_secrets=False)
    able = [d for d in documents if d.block_schema and "notify" in d.block_schema.capabilities and d.block_type]
    ids = {f"{d.block_type.slug}/{d.name}": str(d.id) for d in able}
    if slug not in ids:
        raise InputError(
            f"There is no notification block {slug!r}. Saved notification blocks: {', '.join(sorted(ids)) or 'none'}. "
            "Create one in the UI under Blocks: Slack, e-mail, Telegram, …"
        )
    return ids[slug]
