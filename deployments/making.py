"""What setup makes on a Prefect server, each compared with what is there: work pools, deployments, alarms."""

from __future__ import annotations

from functools import partial
from typing import Any

from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.utilities.callables import parameter_schema
from prefect.variables import Variable

from deployments.plan import planned
from deployments.programs import say
from deployments.serve import block_ids
from deployments.server import ZONE, Changes, What, deployment, variable
from deployments.wanted import Wish, alarms, deployments, fields, moved, pools, schedules
from reelflow.errors import InputError


def make_pools(client: Any, changes: Changes, wish: Wish) -> None:
    """Make the work pools that are missing."""
    there = {pool.name for pool in client.read_work_pools()}
    for name in pools(wish):
        pool = WorkPoolCreate(name=name, type="process", description="Made by reelflow setup.")
        changes.do("left" if name in there else "made", f"work-pool {name}", client.create_work_pool, pool)


def make_deployments(client: Any, changes: Changes, wish: Wish) -> None:
    """Make every deployment, or change what is ours of one that is there."""
    ids = block_ids(client)
    for each, name, pool, parameters in deployments(wish):
        flow = each.load()
        before = deployment(client, f"{flow.name}/{name}")
        wanted = fields(each, pool, parameters, ids, wish, before)
        wanted["parameter_openapi_schema"] = parameter_schema(flow).model_dump()
        thing, fresh = f"deployment {flow.name}/{name}", schedules(each, wish, before)
        if before is None:
            changes.do("made", thing, _make, client, flow, name, each.concurrency, wanted, fresh)
            continue
        late = moved(each, wish, before)
        same = all(getattr(before, key) == value for key, value in wanted.items()) and not fresh and not late
        changes.do("left" if same else "changed", thing, _change, client, before, wanted, fresh, late, wish.time_zone)


def _make(client: Any, flow: Any, name: str, limit: dict[str, Any], wanted: dict[str, Any], schedules: Any) -> None:
    client.create_deployment(
        flow_id=client.create_flow(flow),
        name=name,
        paused=False,
        schedules=schedules,
        concurrency_limit=limit["limit"],
        concurrency_options=ConcurrencyOptions(collision_strategy=limit["collision_strategy"]),
        enforce_parameter_schema=True,
        **wanted,
    )


def _change(client: Any, before: Any, wanted: dict[str, Any], fresh: Any, late: Any, zone: str | None) -> None:
    """Change a deployment that is there. Its schedules are not sent along: Prefect would delete a person's own."""
    client.update_deployment(before.id, DeploymentUpdate(**wanted))
    if fresh:
        _ask(client, "POST", f"/deployments/{before.id}/schedules", [s.model_dump(mode="json") for s in fresh])
    _move(client, before, late, zone)


def _move(client: Any, before: Any, late: Any, zone: str | None) -> None:
    for schedule in late:
        there = {**schedule.schedule.model_dump(mode="json"), "timezone": zone}
        _ask(client, "PATCH", f"/deployments/{before.id}/schedules/{schedule.id}", {"schedule": there})


def move_schedules(client: Any, changes: Changes, wish: Wish) -> None:
    """Move our schedules on deployments that are served into the time zone that was asked for."""
    for each in planned():
        name = f"{each.name}/{each.name}"
        before = deployment(client, name)
        if before is not None and (late := moved(each, wish, before)):
            changes.do("changed", f"schedules of {name}", _move, client, before, late, wish.time_zone)


def keep_time_zone(client: Any, changes: Changes, zone: str | None) -> None:
    """Keep the time zone of the schedules in a Prefect variable, for `python -m deployments.serve`."""
    if zone:
        before = variable(client, ZONE)
        what: What = "made" if before is None else "left" if before == zone else "changed"
        changes.do(what, f"variable {ZONE}", partial(Variable.set, ZONE, zone, overwrite=True, tags=["reelflow"]))


def make_alarms(client: Any, changes: Changes, block: str | None) -> None:
    """Make the automations that tell a person through the notification block with the id `block`."""
    if block is None:
        there = [thing for thing in changes.made if thing.startswith("automation ")]
        for thing in there:
            changes.do("left", thing)
        if not there:
            say("  not made the alarms: name your notification block with --notify slug/name (docs/operations.md)")
        return
    for alarm in alarms(block):
        found = client.request("POST", "/automations/filter", json={"automations": {"name": {"any_": [alarm.name]}}})
        same_name = found.json()
        fresh = alarm.model_dump(mode="json")
        if not same_name:
            changes.do("made", f"automation {alarm.name}", _ask, client, "POST", "/automations/", fresh)
            continue
        same = all(_like(same_name[0].get(key), fresh[key]) for key in ("description", "trigger", "actions"))
        path = f"/automations/{same_name[0]['id']}"
        changes.do("left" if same else "changed", f"automation {alarm.name}", _ask, client, "PUT", path, fresh)


def notifier(client: Any, slug: str) -> str:
    """The id of the notification block "slack-webhook/main".

    Raises:
        InputError: it is not saved, or cannot send notifications.
    """
    saved = client.read_block_documents(include_secrets=False)
    able = [d for d in saved if d.block_schema and "notify" in d.block_schema.capabilities and d.block_type]
    ids = {f"{d.block_type.slug}/{d.name}": str(d.id) for d in able}
    if slug not in ids:
        raise InputError(
            f"There is no notification block {slug!r}. Saved are: {', '.join(sorted(ids)) or 'none'}. "
            "Save one in the UI under Blocks: Slack, e-mail, Telegram, … ."
        )
    return ids[slug]


def _ask(client: Any, method: str, path: str, body: Any) -> None:
    client.request(method, path, json=body)


def _like(there: Any, wanted: Any) -> bool:
    """Whether the server's copy says what we want; it adds ids and defaults of its own."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_like(there.get(k), v) for k, v in wanted.items() if k != "id")
    if isinstance(wanted, list):
        if not isinstance(there, list) or len(there) != len(wanted):
            return False
        if all(isinstance(value, str) for value in wanted):
            return sorted(there) == sorted(wanted)
        return all(_like(a, b) for a, b in zip(there, wanted, strict=True))
    return bool(there == wanted)
