"""Serve every deployment from one process, without a worker: ``python -m deployments.serve``.

For one machine that has the videos and the phones. More machines: docs/deployment.md.
"""

import os
import sys
from typing import Any

from prefect import serve
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

from deployments.plan import MAIN, Planned, kept, planned, refer, tags, with_block_names
from deployments.programs import end
from deployments.server import ZONE, deployment, variable
from reelflow.errors import ReelflowError

RUNS_AT_ONCE = 4
"""Each run is a process of its own with some 150 MB."""
HEARTBEAT = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


def deployments(block: str = MAIN, forms: dict[str, dict[str, Any]] | None = None) -> list[RunnerDeployment]:
    """Every deployment of prefect.yaml, with the blocks named `block` preselected.

    Args:
        block: The name of the saved blocks.
        forms: Filled-in forms by deployment, such as a video to begin with.

    Raises:
        ReelflowError: workers run them already.
    """
    made: list[RunnerDeployment] = []
    with get_client(sync_client=True) as client:
        ids, zone = block_ids(client), variable(client, ZONE)
        for each in planned():
            before = deployment(client, f"{each.name}/{each.name}")
            _refuse_pool(before)
            names = {"taisly-account": block, "tikmatrix-host": block}
            parameters, missing = refer(with_block_names(each.parameters, names), ids)
            parameters |= (forms or {}).get(each.name, {})
            for slug in missing:
                print(f"{each.name}: no block {slug} is saved yet; choose one in the form.", file=sys.stderr)
            served: Any = each.load().to_deployment(
                name=each.name,
                description=each.description,
                version=each.version,
                tags=tags(each, before),
                parameters=kept(each, before, parameters, ids),
                schedules=_same(before.schedules) if before else [schedule(given, zone) for given in each.schedules],
                concurrency_limit=_limit(each, before),
            )
            made.append(served)
    return made


def _refuse_pool(before: Any) -> None:
    """Raise ReelflowError if workers run a deployment: both would take the same runs, and break them."""
    if before is not None and before.work_pool_name:
        raise ReelflowError(
            f"{before.name} belongs to the work pool {before.work_pool_name}, as `reelflow setup` made it. "
            "Start a worker for the pool; or run `reelflow teardown`, then `reelflow setup --serve`."
        )


def _limit(each: Planned, before: Any) -> ConcurrencyLimitConfig:
    """How many runs at once; as a person has set it."""
    limit = before.global_concurrency_limit if before else None
    return ConcurrencyLimitConfig(**{**each.concurrency, **({"limit": limit.limit} if limit else {})})


def _same(schedules: list[Any]) -> list[DeploymentScheduleCreate]:
    """The schedules that are there, a person's own too: Prefect deletes what is not served along."""
    return [
        DeploymentScheduleCreate.model_validate(
            s.model_dump(include={"schedule", "active", "max_scheduled_runs", "parameters", "slug"})
        )
        for s in schedules
    ]


def schedule(given: dict[str, Any], zone: str | None) -> DeploymentScheduleCreate:
    """A schedule of prefect.yaml, for Prefect; off, and in the time zone that setup was told."""
    cron = CronSchedule(cron=given["cron"], timezone=zone or given["timezone"])
    return DeploymentScheduleCreate(schedule=cron, active=given["active"], slug=given["slug"])


def block_ids(client: Any) -> dict[str, str]:
    """The ids of all saved blocks by slug: "taisly-account/main"."""
    found = client.read_block_documents(include_secrets=False)
    return {f"{d.block_type.slug}/{d.name}": str(d.id) for d in found if d.block_type and d.name}


def run() -> int:
    """Serve until a signal."""
    os.environ.update(HEARTBEAT)
    serve(*deployments(), limit=RUNS_AT_ONCE)
    return 0


if __name__ == "__main__":
    end(run)
