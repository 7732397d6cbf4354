"""Runs as Prefect's scheduler creates them, and a worker executes them."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.flow_engine import run_flow
from prefect.states import Pending


def scheduled_run(flow: Any, due: datetime) -> Any:
    """The run that Prefect's scheduler creates for a schedule whose time is `due`."""
    schedule = IntervalSchedule(interval=timedelta(days=1), anchor_date=due)
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(flow)
        deployment = client.create_deployment(
            flow_id, f"due {uuid.uuid4()}", schedules=[DeploymentScheduleCreate(schedule=schedule)]
        )
        body = {
            "start_time": str(due - timedelta(minutes=1)),
            "end_time": str(due + timedelta(minutes=1)),
            "max_runs": 1,
        }
        client.request("POST", f"/deployments/{deployment}/schedule", json=body)
        wanted = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
        runs = client.read_flow_runs(flow_run_filter=wanted)
    (run,) = [run for run in runs if abs(run.expected_start_time - due) < timedelta(seconds=1)]
    return run


def execute(flow: Any, run: Any, parameters: dict[str, Any]) -> Any:
    """Execute a run as a worker does it; its final state."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Pending())
        run = client.read_flow_run(run.id)
    return run_flow(flow, run, parameters, return_type="state")
