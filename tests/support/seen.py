"""What a person sees of a run: its log and its artifacts, as the server has them."""

from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, LogFilter, LogFilterFlowRunId
from prefect.logging.handlers import APILogWorker


def logs_of(state: Any) -> str:
    """The log of a run."""
    APILogWorker.drain_all(timeout=20)  # they are sent in batches
    with get_client(sync_client=True) as client:
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[state.state_details.flow_run_id])))
    text = "\n".join(log.message for log in logs)
    assert "Beginning flow run" in text  # they have come: what is not in them was not logged
    return text


def artifacts_of(state: Any) -> dict[str, Any]:
    """The artifacts of a run, by type."""
    by_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return {artifact.type: artifact for artifact in client.read_artifacts(artifact_filter=by_run)}
