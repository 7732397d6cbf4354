"""Serve every deployment from one process, without a worker: ``python -m deployments.serve``."""

from typing import Any

from prefect import serve
from prefect.deployments.runner import RunnerDeployment

from flows.publish import publish_video

RUNS_AT_ONCE = 4
"""Each run is a process of its own with some 150 MB."""


def deployments(defaults: dict[str, Any] | None = None) -> list[RunnerDeployment]:
    """The deployments, each with `defaults` as its preselected parameters."""
    return [
        publish_video.to_deployment(  # type: ignore[list-item] # awaitable only inside an event loop
            name="publish-video",
            description=publish_video.description,
            tags=["reelflow"],
            parameters=defaults or {},
        )
    ]


if __name__ == "__main__":
    serve(*deployments(), limit=RUNS_AT_ONCE)
