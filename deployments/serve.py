"""Serve every deployment from one process, without work pools or workers: ``python -m deployments.serve``.

Use it on one machine that has both the videos and the phones. For several machines, see docs/deployment.md.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from prefect import serve
from prefect.deployments.runner import RunnerDeployment
from prefect.utilities.callables import ParameterSchema

from deployments.prefect_api import checked_client, read_block_ids, read_deployment, read_variable
from deployments.preserve import (
    LOST_CLIENT,
    concurrency_to_serve,
    form_of,
    merge_parameters,
    merge_tags,
    schedules_of_lost_client,
    schedules_to_serve,
    with_client,
)
from deployments.setup.actual import read_record
from deployments.setup.clients import CLIENT_BLOCK_TYPE, default_client
from deployments.spec import MAIN, DeploymentSpec, deployment_specs, with_block_ids, with_block_names
from reelflow.errors import ReelflowError
from reelflow.form_schema import choices_of, for_people
from reelflow.time_zones import machine_zone
from tasks.choices import VIDEOS_VARIABLE, ChoiceReader, ask_taisly, our_deployments, refresh_choices
from tasks.zone import TIME_ZONE_VARIABLE, use_server_zone

RUNS_AT_ONCE = 8
"""Each run is a process of its own of about 160 MB. More than `preserve.SERVED_LIMIT`, so that posts which wait for the
plan leave room for finish-open-posts and for what a person starts meanwhile."""


def serve_flows(*, client: str | None = None, forms: Path | None = None) -> int:
    """Serve until Ctrl-C.

    Parameters
    ----------
    client
        The client to preselect in forms that preselect none yet, while there is only one. Saved blocks "TikMatrix Host"
        and "Posting Slots" of the same name are preselected with it; else those named "main".
    forms
        A JSON file with parameters by flow, to fill in the forms.
    """
    for spec in deployment_specs():
        os.environ.update(spec.job_variables["env"])  # what a worker would give to its runs: heartbeats
    parameters = json.loads(forms.read_text("utf-8")) if forms else {}
    serve(*deployments_to_serve(client, parameters), limit=RUNS_AT_ONCE)
    return 0


def deployments_to_serve(named: str | None, forms: dict[str, dict[str, Any]]) -> list[RunnerDeployment]:
    """Every deployment of prefect.yaml, with what a person has set on the server.

    Args:
        named: The client to preselect.
        forms: Parameters by flow, such as a video to begin with.

    Raises:
        ReelflowError: workers run the deployments already, or the server cannot be used.
    """
    found: list[RunnerDeployment] = []
    with checked_client() as client:
        block_ids, time_zone = read_block_ids(client), read_variable(client, TIME_ZONE_VARIABLE) or machine_zone()
        use_server_zone(client)
        reader = ChoiceReader(ask_taisly, read_variable(client, VIDEOS_VARIABLE))
        refresh_choices(client, our_deployments(client), reader)
        names = _blocks_to_preselect(named, block_ids, read_record(client))
        for spec in deployment_specs():
            actual = read_deployment(client, spec.full_name)
            _refuse_work_pool(actual)
            parameters, missing = with_block_ids(with_block_names(spec.parameters, names), block_ids)
            for slug in missing:
                print(f"{spec.name}: the block {slug} is not saved yet. Choose a block in the form.", file=sys.stderr)
            lost = schedules_of_lost_client(actual, block_ids) if actual else []
            for each in lost:
                print(f"{spec.name}: schedule {each.slug or each.id} is turned off, {LOST_CLIENT}.", file=sys.stderr)
            deployment: Any = spec.load().to_deployment(
                name=spec.deployment,
                description=spec.description,
                version=spec.version,
                tags=merge_tags(spec, actual),
                parameters=merge_parameters(spec, actual, parameters | forms.get(spec.name, {}), block_ids),
                schedules=with_client(
                    schedules_to_serve(spec, actual, time_zone, has_blocks=not missing, lost=lost),
                    form_of(spec, actual, block_ids),
                    {} if actual else parameters,
                ),
                concurrency_limit=concurrency_to_serve(spec, actual),
            )
            # Prefect has no other way to serve a form with titles and lists to choose from.
            deployment._parameter_openapi_schema = ParameterSchema(
                **_form(spec, actual, deployment.parameters, reader, block_ids)
            )
            found.append(deployment)
    return found


def _blocks_to_preselect(named: str | None, block_ids: dict[str, str], record: list[str]) -> dict[str, str]:
    """The name of the block of each type: that of the client where there is one, else "main"."""
    client = named or default_client(block_ids, record)
    others = ("tikmatrix-host", "posting-slots")
    return {CLIENT_BLOCK_TYPE: client} | {kind: client if f"{kind}/{client}" in block_ids else MAIN for kind in others}


def _form(
    spec: DeploymentSpec, actual: Any, parameters: dict[str, Any], reader: ChoiceReader, block_ids: dict[str, str]
) -> dict[str, Any]:
    """The run form, with the lists of now; of what cannot be read now, those that it offered before."""
    made = form_of(spec, actual, block_ids)
    offered = choices_of(made)
    return for_people(made, {**offered, **reader.choices(parameters, offered)})


def _refuse_work_pool(actual: Any) -> None:
    """Raise ReelflowError if workers run a deployment: both would pick up the same runs, and break them."""
    if actual is not None and actual.work_pool_name:
        raise ReelflowError(
            f"{actual.name} belongs to the work pool {actual.work_pool_name}, as `reelflow setup` created it. "
            "Start a worker for that pool. To serve instead, run `reelflow teardown`, then `reelflow setup --serve`."
        )


if __name__ == "__main__":
    from deployments.cli import main

    main(["serve", *sys.argv[1:]])
