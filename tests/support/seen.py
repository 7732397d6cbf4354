"""What a person sees of a run: its log and its artifacts, as the server has them."""

from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from support.waiting import until


def logs_of(state: Any) -> str:
    """The log of a run."""
    APILogWorker.drain_all(timeout=20)  # they are sent in batches
    with get_client(sync_client=True) as client:
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[state.state_details.flow_run_id])))
    text = "\n".join(log.message for log in logs)
    assert "Beginning flow run" in text  # they have come: what is not in them was not logged
    return text


def steps_of(state: Any) -> dict[str, tuple[str, str]]:
    """The task runs of a run, by name: the type of the state, and what it says."""
    EventsWorker.instance().drain()  # Prefect's clients report task runs as events
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))

    def ended() -> dict[str, tuple[str, str]]:
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=wanted)
        done = {run.name: (run.state.type.value, run.state.message or "") for run in runs if run.state}
        return done if all(kind in ("COMPLETED", "FAILED") for kind, _ in done.values()) else {}

    until("the ends of the steps", ended)
    return ended()


def artifacts_of(state: Any) -> dict[str, Any]:
    """The artifacts of a run, by type."""
    by_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return {artifact.type: artifact for artifact in client.read_artifacts(artifact_filter=by_run)}
