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

from deployments.plan import MAIN, planned, refer, with_block_names
from deployments.programs import end
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
    with get_client(sync_client=True) as client:
        _refuse_pools(client)
        ids, active = block_ids(client), active_schedules(client)
    made: list[RunnerDeployment] = []
    for each in planned():
        names = {"taisly-account": block, "tikmatrix-host": block}
        parameters, missing = refer(with_block_names(each.parameters, names), ids)
        for slug in missing:
            print(f"{each.name}: no block {slug} is saved yet; choose one in the form.", file=sys.stderr)
        deployment: Any = each.load().to_deployment(
            name=each.name,
            description=each.description,
            version=each.version,
            tags=list(each.tags),
            parameters={**parameters, **(forms or {}).get(each.name, {})},
            schedules=[schedule(s, active=f"{each.name}/{s['slug']}" in active) for s in each.schedules],
            concurrency_limit=ConcurrencyLimitConfig(**each.concurrency),
        )
        made.append(deployment)
    return made


def _refuse_pools(client: Any) -> None:
    """Raise ReelflowError if workers run our deployments: both would take the same runs, and break them."""
    ours = {each.name for each in planned()}
    for deployment in client.read_deployments(limit=200):
        if deployment.name in ours and deployment.work_pool_name:
            raise ReelflowError(
                f"{deployment.name} belongs to the work pool {deployment.work_pool_name}, as `reelflow setup` made it. "
                "Start a worker for the pool; or run `reelflow teardown`, then `reelflow setup --serve`."
            )


def schedule(given: dict[str, Any], *, active: bool) -> DeploymentScheduleCreate:
    """A schedule of prefect.yaml, for Prefect; on only where the person has turned it on."""
    cron = CronSchedule(cron=given["cron"], timezone=given["timezone"])
    return DeploymentScheduleCreate(
        schedule=cron,
        active=active or bool(given["active"]),
        slug=given["slug"],
        parameters=given.get("parameters", {}),
    )


def block_ids(client: Any) -> dict[str, str]:
    """The ids of all saved blocks by slug: "taisly-account/main"."""
    found = client.read_block_documents(include_secrets=False)
    return {f"{d.block_type.slug}/{d.name}": str(d.id) for d in found if d.block_type and d.name}


def active_schedules(client: Any) -> set[str]:
    """Schedules that a person has turned on: "deployment/schedule"."""
    return {f"{d.name}/{s.slug}" for d in client.read_deployments(limit=200) for s in d.schedules if s.active}


def run() -> int:
    """Serve until a signal."""
    os.environ.update(HEARTBEAT)
    serve(*deployments(), limit=RUNS_AT_ONCE)
    return 0


if __name__ == "__main__":
    end(run)
