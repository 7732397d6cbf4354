"""Serve every deployment from one process, without a worker: ``python -m deployments.serve``."""

from typing import Any

from prefect import Flow, serve
from prefect.deployments.runner import RunnerDeployment

from flows.finish import finish_open_posts
from flows.publish import publish_video
from flows.resolve import resolve_post
from flows.withdraw import cancel_scheduled_post

RUNS_AT_ONCE = 4
"""Each run is a process of its own with some 150 MB."""


FLOWS: tuple[Flow[Any, Any], ...] = (publish_video, finish_open_posts, cancel_scheduled_post, resolve_post)


def deployments(defaults: dict[str, dict[str, Any]] | None = None) -> list[RunnerDeployment]:
    """One deployment for each flow, with `defaults` (by the flow's name) as its preselected parameters."""
    return [
        each.to_deployment(  # type: ignore[misc] # awaitable only inside an event loop
            name=each.name,
            description=each.description,
            tags=["reelflow"],
            parameters=(defaults or {}).get(each.name, {}),
        )
        for each in FLOWS
    ]


if __name__ == "__main__":
    serve(*deployments(), limit=RUNS_AT_ONCE)
