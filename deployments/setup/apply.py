"""Apply the desired state to a Prefect server, and remove it again. Anything already correct is left unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect.automations import AutomationCore
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.variables import Variable

from deployments.prefect_api import read_deployment, read_variable
from deployments.preserve import (
    LOST_CLIENT,
    form_of,
    merge_limit,
    merge_parameters,
    merge_tags,
    new_schedules,
    plain_slug,
    schedules_of_lost_client,
    waiting_schedules,
    with_client,
)
from deployments.setup.actual import RECORD_VARIABLE, ActualState
from deployments.setup.changes import Change, Changes
from deployments.setup.clients import turn_off
from deployments.setup.desired import DesiredDeployment
from deployments.spec import DEFAULT_QUEUE, ROOT, DeploymentSpec, with_block_ids
from reelflow.errors import InputError
from reelflow.ledger import URL_VARIABLE
from reelflow.posts.requests import is_whole_path
from reelflow.records.posts import without_quotes
from tasks.choices import VIDEOS_VARIABLE, ChoiceReader, ask_taisly, our_deployments, refresh_choices
from tasks.run_facts import TAG
from tasks.zone import TIME_ZONE_VARIABLE, use_server_zone


def apply_work_pools(client: SyncPrefectClient, changes: Changes, desired: list[str], actual: ActualState) -> None:
    """Create the work pools that are missing."""
    for name in desired:
        pool = WorkPoolCreate(name=name, type="process", description="Created by reelflow setup.")
        change = Change.UNCHANGED if name in actual.work_pools else Change.CREATED
        changes.make(change, f"work-pool {name}", client.create_work_pool, pool)


def apply_work_queues(
    client: SyncPrefectClient, changes: Changes, desired: list[tuple[str, str]], actual: ActualState
) -> None:
    """Create the work queues that are missing, each as the first of its pool; a person may order them otherwise."""
    for pool, name in desired:
        priority = actual.work_queues.get((pool, name))
        change = Change.CREATED if priority is None else Change.UNCHANGED
        changes.make(change, f"work-queue {pool}/{name}", _create_first_queue, client, pool, name)
        changes.note(f"Priority {priority or 1}. A worker takes runs from the queue with the lowest number first.")


def _create_first_queue(client: SyncPrefectClient, pool: str, name: str) -> None:
    client.create_work_queue(name, description="Created by reelflow setup.", priority=1, work_pool_name=pool)


def apply_deployments(
    client: SyncPrefectClient,
    changes: Changes,
    desired: list[DesiredDeployment],
    actual: ActualState,
    block_ids: dict[str, str],
    time_zone: str,
) -> None:
    """Create the deployments that are missing, and update what is ours of the others.

    Args:
        client: Of the server.
        changes: The report.
        desired: All of them.
        actual: The server as it was.
        block_ids: Block ids by slug, those of blocks just created included.
        time_zone: Of our schedules, unless a person has given one another.
    """
    for each in desired:
        thing, before = f"deployment {each.full_name}", actual.deployments.get(each.full_name)
        fields = deployment_fields(each, before, block_ids)
        has_blocks = not with_block_ids(each.parameters, block_ids)[1]
        missing = with_client(
            new_schedules(each.spec, before, time_zone, has_blocks=has_blocks),
            fields["parameter_openapi_schema"],
            with_block_ids(each.parameters, block_ids)[0],
        )
        if before is None:
            changes.make(Change.CREATED, thing, _create_deployment, client, each, fields, missing)
            continue
        for schedule in schedules_of_lost_client(before, block_ids):
            turn_off(client, changes, before, schedule, LOST_CLIENT)
        misplaced = misplaced_schedules(each.spec, before, actual.time_zone, time_zone)
        waiting = waiting_schedules(before, has_blocks=has_blocks)
        limit = merge_limit(each.spec, before)
        same = not limit and all(getattr(before, name) == value for name, value in fields.items())
        change = Change.UPDATED if missing or misplaced or waiting or not same else Change.UNCHANGED
        made = fields | limit
        changes.make(change, thing, _update_deployment, client, before, made, missing, misplaced, time_zone, waiting)


def deployment_fields(desired: DesiredDeployment, actual: Any, block_ids: dict[str, str]) -> dict[str, Any]:
    """A deployment as the API takes it and returns it, without its schedules.

    What a person has set on the server stays: default parameters, tags, variables of the environment, and the folder
    of an earlier setup.

    Args:
        desired: What it should be.
        actual: The deployment as the server has it; None if it is new.
        block_ids: Block ids by slug.
    """
    spec = desired.spec
    variables = dict(actual.job_variables or {}) if actual else {}
    environment = {**variables.get("env", {}), **spec.job_variables.get("env", {})}
    environment.pop(URL_VARIABLE, None)  # the server's ledger is in its block, where a password is a secret
    directory = {"directory": desired.folder or str(ROOT)}
    pull_steps = actual.pull_steps if actual and desired.folder is None else None
    parameters = with_block_ids(desired.parameters, block_ids)[0]
    return {
        "description": spec.description,
        "version": spec.version,
        "tags": merge_tags(spec, actual),
        "entrypoint": spec.entrypoint,
        "path": ".",
        "work_pool_name": desired.pool,
        "work_queue_name": _queue_of(spec, actual),
        "job_variables": {**variables, **spec.job_variables, "env": environment},
        "parameters": merge_parameters(spec, actual, parameters, block_ids),
        "pull_steps": pull_steps or [{"prefect.deployments.steps.set_working_directory": directory}],
        "parameter_openapi_schema": form_of(spec, actual, block_ids),
    }


def _queue_of(spec: DeploymentSpec, actual: Any) -> str:
    """The work queue of a deployment: ours, unless a person chose one beside the one that Prefect makes."""
    chosen = actual.work_queue_name if actual else None
    return spec.queue if chosen in (None, DEFAULT_QUEUE) else str(chosen)


def _create_deployment(
    client: SyncPrefectClient,
    desired: DesiredDeployment,
    fields: dict[str, Any],
    schedules: list[DeploymentScheduleCreate],
) -> None:
    client.create_deployment(
        flow_id=client.create_flow(desired.spec.load()),
        name=desired.name,
        paused=False,
        schedules=schedules,
        enforce_parameter_schema=True,
        **fields,
        **merge_limit(desired.spec, None),
    )


def _update_deployment(
    client: SyncPrefectClient,
    actual: Any,
    fields: dict[str, Any],
    missing: list[DeploymentScheduleCreate],
    misplaced: list[Any],
    time_zone: str,
    waiting: list[Any],
) -> None:
    """Update without sending schedules along: Prefect would delete those that a person made."""
    client.update_deployment(actual.id, DeploymentUpdate(**fields))
    if missing:
        client.create_deployment_schedules(actual.id, missing)
    _move_schedules(client, actual, misplaced, time_zone)
    for each in waiting:
        client.update_deployment_schedule(
            actual.id, each.id, active=True, slug=plain_slug(each.slug), parameters=each.parameters
        )


def misplaced_schedules(spec: DeploymentSpec, actual: Any, before: str | None, time_zone: str) -> list[Any]:
    """Our schedules on a deployment that are still in the zone of an earlier setup; one set by a person stays.

    Args:
        spec: From prefect.yaml, with the zone in which they are where setup has not stored one yet.
        actual: The deployment as the server has it.
        before: The zone of the earlier setup.
        time_zone: The new one.
    """
    ours = {given["slug"]: before or given["timezone"] for given in spec.schedules}
    zoned = [s for s in actual.schedules if plain_slug(s.slug) in ours and hasattr(s.schedule, "timezone")]
    return [s for s in zoned if s.schedule.timezone != time_zone and s.schedule.timezone == ours[plain_slug(s.slug)]]


def _move_schedules(client: SyncPrefectClient, actual: Any, misplaced: list[Any], time_zone: str) -> None:
    for each in misplaced:
        moved = each.schedule.model_copy(update={"timezone": time_zone})
        # Prefect forgets the parameters of a schedule that are not sent along.
        client.update_deployment_schedule(actual.id, each.id, schedule=moved, parameters=each.parameters)


def apply_time_zone_to_schedules(
    client: SyncPrefectClient,
    changes: Changes,
    desired: list[DesiredDeployment],
    actual: ActualState,
    time_zone: str,
) -> None:
    """Move our schedules on deployments that are served; the rest of those deployments belongs to serving."""
    for each in desired:
        before = actual.deployments.get(each.full_name)
        if before is not None and (misplaced := misplaced_schedules(each.spec, before, actual.time_zone, time_zone)):
            thing = f"schedules of {each.full_name}"
            changes.make(Change.UPDATED, thing, _move_schedules, client, before, misplaced, time_zone)


def apply_time_zone(changes: Changes, desired: str, actual: ActualState) -> None:
    """Store the server's time zone in a Prefect variable, for runs, for serving and for the command line."""
    _apply_variable(changes, TIME_ZONE_VARIABLE, desired, actual.time_zone)
    changes.note(f"Times are in {desired}. To change that: reelflow setup --time-zone NAME")


def apply_videos_folder(changes: Changes, desired: str | None, before: Any) -> None:
    """Store the folder of the user's videos: runs find files there by their names, and the forms offer them."""
    if desired:
        folder = without_quotes(desired)
        if not is_whole_path(folder):
            if not Path(folder).is_dir():
                raise InputError(f"There is no folder {folder!r} here. Name the whole path of your videos.")
            folder = str(Path(folder).absolute())
        _apply_variable(changes, VIDEOS_VARIABLE, folder, before)
        if not Path(folder).expanduser().is_dir():
            print(
                f"  WARNING: there is no folder {folder} on this machine. If it is where publish-video runs, "
                "check-connections lists its videos there; else name another with --videos."
            )


def fill_forms(client: SyncPrefectClient, desired: list[DesiredDeployment]) -> None:
    """Offer in the forms of deployments what the saved blocks connect to, and the videos, if they are on this machine.

    What cannot be read from here now, the next check-connections adds.
    """
    deployments = [read_deployment(client, each.full_name) for each in desired]
    reader = ChoiceReader(ask_taisly, read_variable(client, VIDEOS_VARIABLE))
    refresh_choices(client, [each for each in deployments if each is not None], reader)


def fill_all_forms(client: SyncPrefectClient) -> None:
    """The same for every deployment of ours, those of people included. Their times are in the server's zone."""
    use_server_zone(client)
    refresh_choices(client, our_deployments(client), ChoiceReader(ask_taisly, read_variable(client, VIDEOS_VARIABLE)))


def apply_automations(
    client: SyncPrefectClient, changes: Changes, desired: list[AutomationCore], actual: ActualState
) -> None:
    """Create the automations that are missing, update those that differ, and remove those that are no longer ours.

    One that is turned off stays off.
    """
    for each in desired:
        thing, before = f"automation {each.name}", actual.automations.get(each.name)
        if before is None:
            changes.make(Change.CREATED, thing, client.create_automation, each)
            continue
        same = all(getattr(before, name) == getattr(each, name) for name in ("description", "trigger", "actions"))
        after = each.model_copy(update={"enabled": before.enabled})
        changes.make(Change.UNCHANGED if same else Change.UPDATED, thing, client.update_automation, before.id, after)
    names = {f"automation {each.name}" for each in desired}
    for thing in [thing for thing in changes.record if thing.startswith("automation ") and thing not in names]:
        changes.make(Change.REMOVED, thing, remove, client, thing)  # of an earlier setup: they would tell things twice


def report_existing_automations(changes: Changes) -> None:
    """Report the automations of an earlier setup, or how to have them: no notification block was named."""
    present = [thing for thing in changes.record if thing.startswith("automation ")]
    for thing in present:
        changes.make(Change.UNCHANGED, thing)
    if not present:
        changes.skip("automations", "name a notification block with --notify slug/name (docs/howto/alarms.md)")


def remove(client: SyncPrefectClient, thing: str) -> None:
    """Delete one thing that setup created, such as "work-pool reelflow". If it is gone already, nothing happens."""
    kind, _, name = thing.partition(" ")
    try:
        match kind:
            case "deployment":
                client.delete_deployment(client.read_deployment_by_name(name).id)
            case "work-queue":
                pool, _, queue = name.partition("/")
                path = {"work_pool_name": pool, "name": queue}
                client.request("DELETE", "/work_pools/{work_pool_name}/queues/{name}", path_params=path)
            case "work-pool":
                client.delete_work_pool(name)
            case "block":
                slug, _, document = name.partition("/")
                client.delete_block_document(client.read_block_document_by_name(document, slug).id)
            case "variable":
                client.delete_variable_by_name(name)
            case "automation":
                for automation in client.read_automations_by_name(name):
                    client.delete_automation(automation.id)
    except ObjectNotFound:
        return


def save_record(record: list[str]) -> None:
    """Store what setup has created; if that is nothing, leave no variable behind."""
    if record:
        _set_variable(RECORD_VARIABLE, record)
    else:
        Variable.unset(RECORD_VARIABLE)


def _apply_variable(changes: Changes, name: str, desired: str, before: Any) -> None:
    change = Change.CREATED if before is None else Change.UNCHANGED if before == desired else Change.UPDATED
    changes.make(change, f"variable {name}", _set_variable, name, desired)


def _set_variable(name: str, value: Any) -> None:
    Variable.set(name, value, overwrite=True, tags=[TAG])
