"""What setup makes, beside the deployments: blocks, work pools, automations; each compared with what is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prefect.automations import AutomationCore
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from deployments.plan import MAIN, PHONES, ROOT, Planned, kept, planned, refer, tags, with_block_names
from deployments.serve import schedule

ALARM = "reelflow: "
"""Names of our automations begin with it."""
SERVER_POOL = "reelflow"


@dataclass(frozen=True)
class Wish:
    """What a person asks setup for.

    Attributes:
        block: The name of the Taisly block that the deployments use; None for "main", or what a person has chosen.
        phone_pcs: Names of the PCs with phones; each has its block, its pool and its deployments.
        folder: Where the project is on the machines of the pool `reelflow`; None for here, or as it was.
        phones_folder: Where it is on these PCs with phones.
        time_zone: Of our schedules; None for UTC, or as it was.
        ledger_url: For the workers; None for each machine's own.
    """

    block: str | None = None
    phone_pcs: tuple[str, ...] = (MAIN,)
    folder: str | None = None
    phones_folder: str | None = None
    time_zone: str | None = None
    ledger_url: str | None = None


def pools(wish: Wish) -> list[str]:
    """The work pools: one for what any machine can do, one for each PC with phones."""
    return [SERVER_POOL, *(PHONES + pc for pc in wish.phone_pcs)]


def deployments(wish: Wish) -> Iterator[tuple[Planned, str, str, dict[str, Any]]]:
    """Each deployment with its name, its pool, and its parameters by slug: phone flows once for each PC."""
    for each in planned():
        for pc in wish.phone_pcs if each.for_phones else (None,):
            names = {"taisly-account": wish.block or MAIN, "tikmatrix-host": pc or wish.phone_pcs[0]}
            pool = PHONES + pc if pc else SERVER_POOL
            name = each.name if pc in (None, MAIN) else pc
            yield each, name, pool, with_block_names(each.parameters, names)


def fields(
    each: Planned, pool: str, parameters: dict[str, Any], ids: dict[str, str], wish: Wish, before: Any = None
) -> dict[str, Any]:
    """What a deployment is, as the API takes it and gives it back, without its schedules.

    What a person has set on one that is there stays: default parameters, tags, variables of the environment, and the
    folder and the ledger of an earlier setup.

    Args:
        each: From prefect.yaml.
        pool: Its work pool.
        parameters: Its defaults, with blocks by slug.
        ids: Block ids by slug.
        wish: What was asked for.
        before: The deployment as the server has it; None for a new one.
    """
    variables = dict(before.job_variables or {}) if before else {}
    environment = {**variables.get("env", {}), **each.job_variables.get("env", {})}
    if wish.ledger_url:
        environment["REELFLOW_LEDGER_URL"] = wish.ledger_url
    folder = wish.phones_folder if each.for_phones else wish.folder
    steps = before.pull_steps if before and folder is None else None
    return {
        "description": each.description,
        "version": each.version,
        "tags": tags(each, before),
        "entrypoint": each.entrypoint,
        "path": ".",
        "work_pool_name": pool,
        "job_variables": {**variables, **each.job_variables, "env": environment},
        "parameters": kept(each, before, refer(parameters, ids)[0], ids, blocks=wish.block is None),
        "pull_steps": steps
        or [{"prefect.deployments.steps.set_working_directory": {"directory": folder or str(ROOT)}}],
    }


def schedules(each: Planned, wish: Wish, before: Any = None) -> list[DeploymentScheduleCreate]:
    """The schedules of prefect.yaml that a deployment does not have yet. They are off."""
    there = {s.slug for s in before.schedules} if before else set()
    return [schedule(given, wish.time_zone) for given in each.schedules if given["slug"] not in there]


def moved(each: Planned, wish: Wish, before: Any) -> list[Any]:
    """Our schedules on a deployment that are in another time zone than the one asked for."""
    ours = {given["slug"] for given in each.schedules}
    zoned = [s for s in before.schedules if s.slug in ours and hasattr(s.schedule, "timezone")]
    return [s for s in zoned if wish.time_zone and s.schedule.timezone != wish.time_zone]


def alarms(block_id: Any) -> list[AutomationCore]:
    """The alarms, sent to a notification block."""

    def send(subject: str, body: str) -> list[Any]:
        return [SendNotification(block_document_id=block_id, subject=subject, body=body)]

    def on(expect: set[str], resource: str, flow: str | None = None) -> EventTrigger:
        related = {"prefect.resource.role": "tag", "prefect.resource.id": ["prefect.tag.reelflow"]}
        if flow:
            related = {"prefect.resource.role": "flow", "prefect.resource.name": [flow]}
        ours = resource.startswith("prefect.flow-run") and expect != {"reelflow.run.stuck"}
        return EventTrigger(
            expect=expect,
            match=ResourceSpecification({"prefect.resource.id": [resource]}),
            match_related=ResourceSpecification(related) if ours else ResourceSpecification({}),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        )

    what = "{{ event.resource.name }}"
    message = "{{ flow_run.name }}: {{ flow_run.state.message }}\n{{ (flow_run|ui_url) or '' }}"
    return [
        AutomationCore(
            name=f"{ALARM}a post failed or is unconfirmed",
            description="Says which post at which account, and why.",
            trigger=on({"reelflow.post.failed", "reelflow.post.unconfirmed"}, "reelflow.post.*"),
            actions=send(f"reelflow: {what}", "{{ event.payload.state }}: {{ event.payload.detail }}"),
        ),
        AutomationCore(
            name=f"{ALARM}a phone task failed",
            description="Says which phone, and TikMatrix's own words.",
            trigger=on({"reelflow.phone-task.failed"}, "reelflow.phone-task.*"),
            actions=send(f"reelflow: {what} failed", "{{ event.payload.remark }}"),
        ),
        AutomationCore(
            name=f"{ALARM}the connection check failed",
            description="Says what does not work.",
            trigger=on({"prefect.flow-run.Failed"}, "prefect.flow-run.*", flow="check-connections"),
            actions=send("reelflow: something does not work", message),
        ),
        AutomationCore(
            name=f"{ALARM}a run is late or stuck",
            description="From the flow watch-runs; turn its schedule on.",
            trigger=on({"reelflow.run.stuck"}, "prefect.flow-run.*"),
            actions=send(f"reelflow: {what} is late or stuck", "{{ event.payload.words }}"),
        ),
        AutomationCore(
            name=f"{ALARM}a run's process died",
            description="From the worker, or from the flow watch-runs. Starting the run again is safe.",
            trigger=on({"prefect.flow-run.Crashed"}, "prefect.flow-run.*"),
            actions=send("reelflow: a run's process died", message),
        ),
    ]
