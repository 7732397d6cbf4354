"""Which clients' open posts a schedule of finish-open-posts finishes."""

from collections.abc import Mapping

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName

from reelflow.block_references import saved_block
from reelflow.form_schema import TAISLY

FINISHER = "finish-open-posts"
"""The flow that reports the outcomes of posts which no run watches, and its deployment."""


def clients_of_finishers(client: SyncPrefectClient, ids: Mapping[str, str]) -> list[str | None]:
    """For each active schedule of finish-open-posts, in any of its deployments: the client whose posts it finishes.

    Args:
        client: Of the Prefect server.
        ids: The ids of the saved Taisly accounts, by name.

    Returns:
        The names of Taisly accounts; None for a schedule that finishes the posts of all, empty for one whose account is
        no longer saved.
    """
    finishers = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[FINISHER])))
    chosen = [
        {**deployment.parameters, **schedule.parameters}.get(TAISLY)
        for deployment in finishers
        if not deployment.paused
        for schedule in deployment.schedules
        if schedule.active
    ]
    return [None if value is None else saved_block(value, ids) or "" for value in chosen]
