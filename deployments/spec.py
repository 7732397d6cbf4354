"""The deployments of prefect.yaml as values, for serving, for setup and for the tests."""

from __future__ import annotations

import copy
import importlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from reelflow.block_references import block_slug
from reelflow.errors import ReelflowError

if TYPE_CHECKING:
    from prefect import Flow

ROOT = Path(__file__).parents[1]
FILE = ROOT / "prefect.yaml"
"""In the root, where `prefect deploy` looks for it."""
MAIN = "main"
"""The name of the blocks, and of the phone PC, in prefect.yaml."""
PHONE_POOL_PREFIX = "phones-"
"""Names of the work pools of phone PCs begin with it."""
DEFAULT_QUEUE = "default"
"""The work queue that Prefect makes with each work pool."""


@dataclass(frozen=True)
class DeploymentSpec:
    """One deployment of prefect.yaml. `parameters` refer to blocks by slug.

    Attributes:
        name: That of its flow.
        number: What its own name has before that, to sort the list in the UI: "01-", or nothing.
        queue: The work queue of its pool in which its runs wait.
        concurrency: How many of its runs may be active at once, as Prefect takes it; empty for any number.
    """

    name: str
    number: str
    entrypoint: str
    description: str
    version: str
    tags: tuple[str, ...]
    pool: str
    queue: str
    job_variables: dict[str, Any]
    parameters: dict[str, Any]
    concurrency: dict[str, Any]
    schedules: tuple[dict[str, Any], ...] = field(default=())

    @property
    def deployment(self) -> str:
        """Its own name: "01-publish-video"."""
        return self.number + self.name

    @property
    def full_name(self) -> str:
        """Flow and deployment, as Prefect's commands take it: "publish-video/01-publish-video"."""
        return f"{self.name}/{self.deployment}"

    @property
    def for_phones(self) -> bool:
        """Whether it runs on the PC that has the phones."""
        return self.pool.startswith(PHONE_POOL_PREFIX)

    def load(self) -> Flow[Any, Any]:
        """Import the flow.

        Raises:
            ReelflowError: its file cannot be imported, or has no such flow. Prefect itself deploys such a flow and
                reports success.
        """
        path, _, name = self.entrypoint.partition(":")
        try:
            found: Flow[Any, Any] = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
        except Exception as error:
            raise ReelflowError(
                f"Cannot load the flow {self.entrypoint} of the deployment {self.name} "
                f"({type(error).__name__}: {error}). It was not deployed."
            ) from error
        return found


def deployment_specs(file: Path = FILE) -> list[DeploymentSpec]:
    """Every deployment of prefect.yaml, in its order."""
    entries = yaml.safe_load(file.read_text("utf-8"))["deployments"]
    return [
        DeploymentSpec(
            name=name,
            number=number,
            entrypoint=entry["entrypoint"],
            description=entry["description"],
            version=entry["version"],
            tags=tuple(entry["tags"]),
            pool=entry["work_pool"]["name"],
            queue=entry["work_pool"].get("work_queue_name", DEFAULT_QUEUE),
            job_variables=copy.deepcopy(entry["work_pool"]["job_variables"]),
            parameters=copy.deepcopy(entry.get("parameters", {})),
            concurrency=dict(entry.get("concurrency_limit", {})),
            schedules=tuple(dict(schedule) for schedule in entry.get("schedules", [])),
        )
        for entry in entries
        for number, name in [split_number(entry["name"])]
    ]


def spec_of(flow: str) -> DeploymentSpec:
    """The deployment of a flow, by the flow's name."""
    (found,) = [spec for spec in deployment_specs() if spec.name == flow]
    return found


def split_number(name: str) -> tuple[str, str]:
    """The number that sorts a deployment in the list, and the rest of its name: ("01-", "publish-video")."""
    rest = re.sub(r"^\d+-", "", name)
    return name[: len(name) - len(rest)], rest


def with_block_names(parameters: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Parameters that refer to other blocks of the same types: `names` has a block name for each block type's slug."""
    changed = dict(parameters)
    for key, value in parameters.items():
        if (slug := block_slug(value)) is not None:
            block_type = slug.partition("/")[0]
            changed[key] = {"$ref": {"block_document_slug": f"{block_type}/{names.get(block_type, MAIN)}"}}
    return changed


def with_block_ids(parameters: dict[str, Any], ids: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Parameters with references by id where the block is saved, and the slugs of the blocks that are not.

    The run form preselects a block by its id only. A block that is not saved yet is omitted.

    Args:
        parameters: With references by slug.
        ids: Block ids by slug.
    """
    found, missing = {}, []
    for name, value in parameters.items():
        slug = block_slug(value)
        if slug is None:
            found[name] = value
        elif slug in ids:
            found[name] = {"$ref": {"block_document_id": ids[slug]}}
        else:
            missing.append(slug)
    return found, missing
