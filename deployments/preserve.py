"""Preserve what a person has set on a deployment, in both setup and serving.

Prefect's own methods do not: creating a deployment again deletes its schedules, and so does serving it. Each function
takes the spec from prefect.yaml and the deployment on the server (None if it is new), and returns what to send.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any, get_type_hints

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.callables import parameter_schema
from pydantic import TypeAdapter, ValidationError

from deployments.spec import DeploymentSpec
from reelflow.block_references import block_reference, saved_block
from reelflow.form_schema import TAISLY, asks_for_client, choices_of, for_people, is_client_needed
from reelflow.time_zones import shown_zone

WAITING = "-waiting-for-block"
"""Ends the slug of a schedule that we created paused because a block was missing; not of one that a person paused."""
LOST_CLIENT = "since the block of its client was deleted. Choose a client in it, and turn it on again"
"""Why `schedules_of_lost_client` are turned off, and what to do."""


def merge_tags(spec: DeploymentSpec, actual: Any) -> list[str]:
    """The tags that the deployment has, followed by ours."""
    return list(dict.fromkeys([*(actual.tags if actual else ()), *spec.tags]))


def merge_parameters(
    spec: DeploymentSpec, actual: Any, desired: dict[str, Any], block_ids: dict[str, str]
) -> dict[str, Any]:
    """Default parameters: those set on the server win, as long as the flow still takes them.

    Args:
        spec: From prefect.yaml.
        actual: The deployment as the server has it; None if it is new.
        desired: Ours, with blocks by id.
        block_ids: Block ids by slug. A reference to a block that is gone is replaced; see `schedules_of_lost_client`.
    """
    merged = dict(desired)
    if asks_for_client(form_of(spec, actual, block_ids)):
        merged.pop(TAISLY, None)
    if actual is None:
        return merged
    hints = get_type_hints(spec.load().fn)
    for name, value in actual.parameters.items():
        if name not in hints or value is None:  # null: a block that need not be chosen
            continue
        if name == TAISLY and FORMER_CLIENTS.get(spec.name) == actual.version != spec.version:
            continue
        if block_reference(value) is not None:
            if (saved := saved_block(value, block_ids)) is not None:
                merged[name] = {"$ref": {"block_document_id": block_ids[saved]}}
            continue
        with contextlib.suppress(ValidationError):
            TypeAdapter(hints[name]).validate_python(value)
            merged[name] = value
    return merged


def schedules_of_lost_client(actual: Any, block_ids: dict[str, str]) -> list[Any]:
    """The active schedules that rely on a default client whose block is gone: they would publish for another one.

    They are to be turned off, since who replaces that client as the default is a guess.
    """
    default = actual.parameters.get(TAISLY)
    if block_reference(default) is None or saved_block(default, block_ids) is not None:
        return []
    if not is_client_needed(actual.parameter_openapi_schema or {}):
        return []  # they then look after all clients
    return [schedule for schedule in actual.schedules if schedule.active and schedule.parameters.get(TAISLY) is None]


def new_schedules(
    spec: DeploymentSpec, actual: Any, time_zone: str, *, has_blocks: bool = True
) -> list[DeploymentScheduleCreate]:
    """The schedules of prefect.yaml that the deployment does not have yet, active or paused as they are there.

    Those that are active there are paused, and marked, while a block that their runs need is not saved: each run would
    fail.
    """
    present = {plain_slug(schedule.slug) for schedule in actual.schedules} if actual else set()
    return [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=given["cron"], timezone=time_zone),
            active=given["active"] and has_blocks,
            slug=given["slug"] + (WAITING if given["active"] and not has_blocks else ""),
        )
        for given in spec.schedules
        if given["slug"] not in present
    ]


def with_client(
    schedules: list[DeploymentScheduleCreate], schema: dict[str, Any], parameters: dict[str, Any]
) -> list[DeploymentScheduleCreate]:
    """New schedules with the client of `parameters` as their own, where the deployment itself has none.

    Without one their runs could not even begin.
    """
    if asks_for_client(schema) and TAISLY in parameters:
        for schedule in schedules:
            schedule.parameters = {TAISLY: parameters[TAISLY], **(schedule.parameters or {})}
    return schedules


def plain_slug(slug: str | None) -> str | None:
    """The slug of a schedule as it is in prefect.yaml: without our mark."""
    return slug.removesuffix(WAITING) if slug else None


def waiting_schedules(actual: Any, *, has_blocks: bool) -> list[Any]:
    """The schedules that bear our mark and need it no longer: their blocks are saved, or a person turned them on.

    They are to be active, under their plain slug. A schedule without the mark is paused only if a person paused it.
    """
    return [s for s in actual.schedules if plain_slug(s.slug) != s.slug and (has_blocks or s.active)]


def schedules_to_serve(
    spec: DeploymentSpec, actual: Any, time_zone: str, *, has_blocks: bool = True, lost: Collection[Any] = ()
) -> list[DeploymentScheduleCreate]:
    """The schedules that the deployment has, a person's own included: Prefect deletes those not served along.

    Those that are `lost` are turned off.
    """
    if actual is None:
        return new_schedules(spec, None, time_zone, has_blocks=has_blocks)
    kept = {"schedule", "active", "max_scheduled_runs", "parameters", "slug"}
    waited = [schedule.id for schedule in waiting_schedules(actual, has_blocks=has_blocks)]
    off = [schedule.id for schedule in lost]
    return [
        DeploymentScheduleCreate.model_validate(
            s.model_dump(include=kept)
            | ({"active": True, "slug": plain_slug(s.slug), "replaces": s.slug} if s.id in waited else {})
            | ({"active": False} if s.id in off else {})
        )
        for s in actual.schedules
    ]


FORMER_CLIENTS = {"finish-open-posts": "1", "list-accounts": "1"}
"""Up to which version setup preselected a client where none means all of them: other clients would be nobody's."""
FORMER_LIMITS = {"publish-video": (4, 6), "publish-and-engage": (4,), "publish-campaign": (4,)}
"""What setup and serving set as limits before version "2" of these deployments, which have none."""
SERVED_LIMIT = 6
"""How many runs of what sends posts are served at once: the rest of `serve.RUNS_AT_ONCE` is for upkeep and people."""
GRACE_SECONDS = 60
"""For which upkeep that was taken keeps its slot before it begins: for Prefect's five minutes nothing follows it."""


def concurrency_to_serve(spec: DeploymentSpec, actual: Any) -> ConcurrencyLimitConfig:
    """How many runs may be active at once in the one process that serves: the number set on the server wins.

    It has no work queue that goes first, so what sends posts has a limit that leaves room for upkeep.
    """
    own = spec.concurrency or {"limit": SERVED_LIMIT, "collision_strategy": "ENQUEUE"}
    limit = actual.global_concurrency_limit if actual else None
    is_set = limit is not None and (spec.concurrency or not has_our_limit(spec, actual))
    return ConcurrencyLimitConfig(**{**own, **({"limit": limit.limit} if limit is not None and is_set else {})})


def has_our_limit(spec: DeploymentSpec, actual: Any) -> bool:
    """Whether a deployment that needs no limit has one that setup or serving gave it, not a person."""
    limit, options = actual.global_concurrency_limit, actual.concurrency_options
    if limit is None or spec.concurrency:
        return False
    if options is not None and options.collision_strategy != ConcurrencyLimitStrategy.ENQUEUE:
        return False
    if not actual.work_pool_name and limit.limit == SERVED_LIMIT:
        return True
    return actual.version == "1" and limit.limit in FORMER_LIMITS.get(spec.name, ())


def merge_limit(spec: DeploymentSpec, actual: Any) -> dict[str, Any]:
    """What to send of a limit: ours, for a new deployment; else only what is to change of it, as the API takes it."""
    if actual is None:
        limit = dict(spec.concurrency)
        return {"concurrency_limit": limit.pop("limit"), "concurrency_options": limit} if limit else {}
    if has_our_limit(spec, actual):
        return {"concurrency_limit": None}
    options = actual.concurrency_options
    if actual.global_concurrency_limit is None or options is None:
        return {}
    grace = wanted = options.grace_period_seconds
    if options.collision_strategy == ConcurrencyLimitStrategy.ENQUEUE:
        wanted = None if grace == GRACE_SECONDS else grace  # which setup set for a while
    elif grace is None:
        wanted = spec.concurrency.get("grace_period_seconds")
    if wanted == grace:
        return {}
    more = {"grace_period_seconds": wanted} if wanted else {}
    return {"concurrency_options": {"collision_strategy": options.collision_strategy, **more}}


def form_of(spec: DeploymentSpec, actual: Any, block_ids: dict[str, str]) -> dict[str, Any]:
    """The schema of the run form, with the lists to choose from that the deployment offers now."""
    offered = (actual.parameter_openapi_schema or {}) if actual else {}
    clients = sum(slug.startswith("taisly-account/") for slug in block_ids)
    asks = asks_for_client(offered) if actual else clients > 1
    return for_people(
        parameter_schema(spec.load()).model_dump(), choices_of(offered), shown_zone().key, asks_for_client=asks
    )
