"""The deployments of prefect.yaml as values: what there should be, for serving, for setup and for the tests."""

from __future__ import annotations

import contextlib
import copy
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from reelflow.errors import ReelflowError

if TYPE_CHECKING:
    from prefect import Flow

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("prefect.yaml")
MAIN = "main"
"""The name of the blocks, and of the phone PC, in prefect.yaml."""
PHONES = "phones-"
"""Work pools of phone PCs begin with it."""


@dataclass(frozen=True)
class Planned:
    """One deployment as it should be. `parameters` refer to blocks by slug."""

    name: str
    entrypoint: str
    description: str
    version: str
    tags: tuple[str, ...]
    pool: str
    job_variables: dict[str, Any]
    parameters: dict[str, Any]
    concurrency: dict[str, Any]
    schedules: tuple[dict[str, Any], ...] = field(default=())

    @property
    def for_phones(self) -> bool:
        """Whether it runs on the PC that has the phones."""
        return self.pool.startswith(PHONES)

    def load(self) -> Flow[Any, Any]:
        """The flow itself.

        Raises:
            ReelflowError: its file cannot be imported, or has no such flow.
        """
        path, _, name = self.entrypoint.partition(":")
        try:
            found: Flow[Any, Any] = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
        except Exception as error:
            raise ReelflowError(
                f"The flow {self.entrypoint} of the deployment {self.name} cannot be loaded "
                f"({type(error).__name__}: {error}). Nothing was deployed for it."
            ) from error
        return found


def planned(file: Path = FILE) -> list[Planned]:
    """Every deployment of prefect.yaml, in its order."""
    entries = yaml.safe_load(file.read_text("utf-8"))["deployments"]
    return [
        Planned(
            name=entry["name"],
            entrypoint=entry["entrypoint"],
            description=entry["description"],
            version=entry["version"],
            tags=tuple(entry["tags"]),
            pool=entry["work_pool"]["name"],
            job_variables=copy.deepcopy(entry["work_pool"]["job_variables"]),
            parameters=copy.deepcopy(entry.get("parameters", {})),
            concurrency=dict(entry["concurrency_limit"]),
            schedules=tuple(dict(schedule) for schedule in entry.get("schedules", [])),
        )
        for entry in entries
    ]


def refer(parameters: dict[str, Any], ids: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Parameters with references by id where the block is saved, and the slugs of those that are not.

    The run form preselects a block by its id only. One that is not saved yet is left out, so that it can be chosen.

    Args:
        parameters: With references by slug.
        ids: Block ids by slug.
    """
    found, missing = {}, []
    for name, value in parameters.items():
        slug = slug_of(value)
        if slug is None:
            found[name] = value
        elif slug in ids:
            found[name] = {"$ref": {"block_document_id": ids[slug]}}
        else:
            missing.append(slug)
    return found, missing


def tags(each: Planned, before: Any) -> list[str]:
    """Ours, behind those that the deployment has on the server; `before` is None for a new one."""
    return list(dict.fromkeys([*(before.tags if before else ()), *each.tags]))


def kept(
    each: Planned, before: Any, wanted: dict[str, Any], ids: dict[str, str], *, blocks: bool = True
) -> dict[str, Any]:
    """Default parameters: what a person has set on a deployment that is there stays, where the flow still takes it.

    Args:
        each: From prefect.yaml.
        before: The deployment as the server has it; None for a new one.
        wanted: Ours, as `refer` gives them.
        ids: Block ids by slug.
        blocks: Whether the blocks that are chosen stay too; one that is gone never does.
    """
    found = dict(wanted)
    if before is None:
        return found
    hints = get_type_hints(each.load().fn)
    for name, value in before.parameters.items():
        if name not in hints:
            continue
        if (ref := _reference(value)) is not None:
            if blocks and ref.get("block_document_id") in ids.values():
                found[name] = value
            continue
        with contextlib.suppress(ValidationError):
            TypeAdapter(hints[name]).validate_python(value)
            found[name] = value
    return found


def slug_of(value: Any) -> str | None:
    """The slug that a parameter refers to, if it refers to a block by slug."""
    ref = _reference(value) or {}
    return str(ref["block_document_slug"]) if "block_document_slug" in ref else None


def _reference(value: Any) -> dict[str, Any] | None:
    """What a parameter says of the block that it refers to, if it refers to one."""
    ref = value.get("$ref") if isinstance(value, dict) else None
    return ref if isinstance(ref, dict) else None


def with_block_names(parameters: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Parameters with other blocks: `names` has the name for each block type's slug."""
    changed = dict(parameters)
    for key, value in parameters.items():
        if (slug := slug_of(value)) is not None:
            kind = slug.partition("/")[0]
            changed[key] = {"$ref": {"block_document_slug": f"{kind}/{names.get(kind, MAIN)}"}}
    return changed
