"""Whether something runs the deployments: a worker for each work pool, or the one process that serves them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType, WorkerStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from deployments.prefect_api import is_being_served
from deployments.spec import PHONE_POOL_PREFIX
from reelflow.time_zones import shown
from reelflow.wording import count, listed
from tasks.upkeep.health import Finding

RUNS_OF_A_WORKER = 8
"""How many runs a worker of a machine may have at once, unless its owner chooses: each takes about 160 MB."""
SEVERAL = (
    ". If they are on two PCs, the ledger confuses the tasks of one TikMatrix with those of the other: give each PC a "
    "name of its own with reelflow setup --phone-pc. A worker that was killed counts as online for a minute or two"
)
"""Of workers for one PC with phones."""
MOST_RUNS = 200
"""How many of the runs that wait are counted."""


def check_workers(client: SyncPrefectClient, deployed: Sequence[Any]) -> Iterator[Finding]:
    """Check each work pool of these deployments, and whether those without one are served."""
    pools = sorted({d.work_pool_name for d in deployed if d.work_pool_name})
    for pool in pools:
        yield _check_pool(client, pool, [d for d in deployed if d.work_pool_name == pool])
    if served := [d for d in deployed if not d.work_pool_name]:
        yield _check_serving(client, served)


def _check_pool(client: SyncPrefectClient, name: str, deployed: Sequence[Any]) -> Finding:
    what = f"Work pool {name}"
    try:
        pool, workers = client.read_work_pool(name), client.read_workers_for_work_pool(name)
    except ObjectNotFound:
        return Finding(what, False, "was removed, so its deployments cannot run. Run reelflow setup.")
    waiting = _waiting(client, deployed)
    if pool.is_paused:
        found = f"is paused{_words(waiting)}. Resume it: prefect work-pool resume {name}"
        return Finding(what, not waiting, found, is_warning=not waiting)
    if online := sorted(worker.name for worker in workers if worker.status == WorkerStatus.ONLINE):
        several = SEVERAL if len(online) > 1 and name.startswith(PHONE_POOL_PREFIX) else ""
        found = f"{count(len(online), 'worker')} online: {listed(online)}{several}"
        return Finding(what, True, found, is_warning=bool(several))
    found = f"no worker is running{_words(waiting)}. {_start_worker(name)}"
    return Finding(what, not waiting, found, is_warning=not waiting)


def start_worker(pool: str) -> str:
    """The command of a worker; a pool of phones has few runs at once, by its deployments' own limits."""
    limit = "" if pool.startswith(PHONE_POOL_PREFIX) else f" --limit {RUNS_OF_A_WORKER}"
    return f"prefect worker start --pool {pool}{limit}"


def _start_worker(pool: str) -> str:
    return f"Start one on the machine that does its work: python -m {start_worker(pool)}"


def _check_serving(client: SyncPrefectClient, served: Sequence[Any]) -> Finding:
    what = "Served flows"
    away = [d for d in served if not is_being_served(d)]
    if not away:
        return Finding(what, True, f"all {len(served)} are being served")
    waiting = _waiting(client, away)
    names = listed(sorted(d.name for d in away))
    found = (
        f"nothing serves {names}{_words(waiting)}. Start it on the machine with the videos: python -m deployments.serve"
    )
    return Finding(what, not waiting, found, is_warning=not waiting)


def _waiting(client: SyncPrefectClient, deployed: Sequence[Any]) -> list[datetime]:
    """When each run of these deployments that should have begun was due, the oldest first."""
    states = FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING])
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[d.id for d in deployed])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=states),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=MOST_RUNS,
    )
    return [run.expected_start_time for run in runs if run.expected_start_time]


def _words(waiting: Sequence[datetime]) -> str:
    if not waiting:
        return ""
    more = " or more" if len(waiting) == MOST_RUNS else ""
    return f", with {count(len(waiting), 'run')}{more} waiting, the oldest since {shown(waiting[0])}"
