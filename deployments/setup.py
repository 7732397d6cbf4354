"""``reelflow setup`` and ``teardown``: make everything that reelflow needs on a Prefect server, and take it back.

Safe to run again: what is there and right is left, what differs is changed. What was made is remembered in the
Prefect variable ``reelflow_setup``, so that teardown takes back that and nothing else.
"""

from __future__ import annotations

import getpass
import os
import sys
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from pydantic import ValidationError

from deployments.plan import MAIN, ROOT
from deployments.programs import end, say
from deployments.server import Changes, What, delete, prefect_server, remember, remembered
from reelflow.errors import InputError

KEY_VARIABLE = "TAISLY_API_KEY"

app = App(name="reelflow setup", help="Make everything that reelflow needs on a Prefect server; safe to run again.")


@app.default
def setup(
    *,
    sandbox: str | None = None,
    block: str = MAIN,
    plan: Literal["STARTER", "INFLUENCER", "PRO"] | None = None,
    phone: Annotated[list[str] | None, Parameter(negative="")] = None,
    phone_pc: Annotated[list[str] | None, Parameter(negative="")] = None,
    folder: str = str(ROOT),
    time_zone: str = "UTC",
    notify: str | None = None,
    ledger_url: str | None = None,
    serve: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Make block types, blocks, work pools, deployments and alarms on the server that PREFECT_API_URL names.

    The Taisly key is taken from the variable TAISLY_API_KEY, or asked for, and never shown. Schedules are off until you
    turn them on in the UI.

    Parameters
    ----------
    sandbox
        The address of a sandbox, such as http://127.0.0.1:8099: the blocks lead there.
    block
        The name of the Taisly block.
    plan
        Your plan at Taisly; for a new block.
    phone
        A phone of yours, as "SERIAL: username, username (Instagram)"; may be given several times.
    phone_pc
        The name of a PC with phones, for its block, its work pool and its deployments; several times for several.
    folder
        Where this project is on the machines whose workers run the flows.
    time_zone
        Of the schedules, such as Europe/Berlin.
    notify
        The saved notification block for the alarms, as slug/name: slack-webhook/main.
    ledger_url
        For the workers, where they are on several machines: postgresql://user@host/reelflow.
    serve
        Make no work pools and deployments: `python -m deployments.serve` makes them itself.
    dry_run
        Only say what would be done.
    """
    from deployments.wanted import Wish
    from reelflow.phones.engagement import read_phones, read_zone

    read_zone(time_zone)
    read_phones(phone or [])
    pcs = tuple(phone_pc or [MAIN])
    if phone and len(pcs) > 1:
        raise InputError("--phone says whose phones? Run setup once for each --phone-pc, with its own phones.")
    wish = Wish(block, pcs, folder, time_zone, notify, ledger_url)
    with prefect_server() as client:
        changes = Changes(dry_run, remembered(client))
        try:
            _register(changes)
            _blocks(client, changes, wish, sandbox, plan, phone or [])
            if not serve:
                _pools(client, changes, wish)
                _deployments(client, changes, wish)
            _alarms(client, changes, wish)
        finally:
            if not dry_run:
                remember(changes.made)
    say(changes.sentence)
    if serve and not dry_run:
        say("\nNow serve every flow from one process:\n  " + f"{sys.executable} -m deployments.serve")
    elif not dry_run:
        pools = [f"{sys.executable} -m prefect worker start --pool {name}" for name in _pool_names(wish)]
        say("\nNow start a worker for each pool, on the machine that shall do its work:\n  " + "\n  ".join(pools))
    if not dry_run:
        say("Then `reelflow doctor`. Schedules are off: turn them on in the UI under Deployments.")
    return 0


@app.command
def teardown(*, dry_run: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Take back what setup made on this server; what was there before, and the ledger, are left.

    Parameters
    ----------
    dry_run
        Only say what would be done.
    """
    with prefect_server() as client:
        changes = Changes(dry_run, remembered(client))
        try:
            for thing in reversed(list(changes.made)):
                kind, _, name = thing.partition(" ")
                changes.do("taken back", thing, delete, client, kind, name)
        finally:
            if not dry_run:
                remember(changes.made)
    say(changes.sentence)
    return 0


# Block types and blocks


def _register(changes: Changes) -> None:
    import blocks

    for name in blocks.__all__:
        kind: Any = getattr(blocks, name)
        if not changes.dry_run:
            kind.register_type_and_schema()
        changes.do("left", f"block-type {kind.get_block_type_slug()}")


def _blocks(client: Any, changes: Changes, wish: Any, sandbox: str | None, plan: str | None, phones: list[str]) -> None:
    from blocks import TaislyAccount, TikMatrixHost
    from deployments.serve import block_ids

    there = block_ids(client)
    key = os.environ.get(KEY_VARIABLE, "").strip()
    wanted: list[tuple[Any, str, bool]] = [(TaislyAccount, wish.block, bool(sandbox or key or plan))]
    wanted += [(TikMatrixHost, pc, bool(sandbox or phones)) for pc in wish.phone_pcs]
    for kind, name, asked in wanted:
        slug = kind.get_block_type_slug()
        thing, is_there = f"block {slug}/{name}", f"{slug}/{name}" in there
        if is_there and not asked:
            changes.do("left", thing)
            continue
        is_taisly = kind is TaislyAccount
        ask = not is_there and not changes.dry_run
        before: dict[str, Any] = kind.load(name).model_dump() if is_there else {}
        values = _taisly(sandbox, key, plan, ask=ask) if is_taisly else _host(sandbox, phones)
        if values and not sandbox and _is_sandbox(before):
            values = {"base_url": kind.model_fields["base_url"].default, **values}  # from trying to the real thing
        if not values or (is_taisly and not is_there and "api_key" not in values):
            say(f"  not made {thing}: {_how(slug)}")
            continue
        try:
            block: Any = kind(**{**before, **values})
        except ValidationError as error:
            raise InputError(f"The block {slug}/{name} cannot be made: {error.errors()[0]['msg']}.") from None
        what: What = "made" if not is_there else "left" if block.model_dump() == before else "changed"
        changes.do(what, thing, _save, block, name)


def _is_sandbox(values: dict[str, Any]) -> bool:
    """Whether a block leads to a sandbox, by its key or its phones."""
    from reelflow.sandbox.world import API_KEY, DEVICES

    if "api_key" in values:
        return bool(values["api_key"].get_secret_value() == API_KEY)
    return bool(values) and all(phone.partition(":")[0] in DEVICES for phone in values["phones"])


def _save(block: Any, name: str) -> None:
    block.save(name, overwrite=True)


def _how(slug: str) -> str:
    if slug == "taisly-account":
        return f"give the key in {KEY_VARIABLE}, or save the block in the UI under Blocks"
    return 'give --phone "SERIAL: username" for each phone of yours, or save the block in the UI under Blocks'


def _taisly(sandbox: str | None, key: str, plan: str | None, *, ask: bool) -> dict[str, Any]:
    from reelflow.sandbox.world import API_KEY

    if sandbox:
        key = API_KEY
    elif not key and ask and sys.stdin.isatty():
        key = getpass.getpass("Taisly API key (not shown; Enter for later): ").strip()
    address = {"base_url": f"{sandbox.rstrip('/')}/api/private"} if sandbox else {}
    return {**({"api_key": key} if key else {}), **address, **({"plan": plan} if plan else {})}


def _host(sandbox: str | None, phones: list[str]) -> dict[str, Any] | None:
    from reelflow.sandbox.world import DEVICES

    if sandbox:
        phones = phones or [f"{serial}: {', '.join(users)}" for serial, users in DEVICES.items()]
        return {"phones": phones, "base_url": f"{sandbox.rstrip('/')}/api/v1", "poll_seconds": 2}
    return {"phones": phones} if phones else None


# Work pools, deployments, alarms


def _pool_names(wish: Any) -> list[str]:
    from deployments.wanted import pools

    return pools(wish)


def _pools(client: Any, changes: Changes, wish: Any) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate

    there = {pool.name for pool in client.read_work_pools()}
    for name in _pool_names(wish):
        pool = WorkPoolCreate(name=name, type="process", description="Made by reelflow setup.")
        changes.do("left" if name in there else "made", f"work-pool {name}", client.create_work_pool, pool)


def _deployments(client: Any, changes: Changes, wish: Any) -> None:
    from prefect.utilities.callables import parameter_schema

    from deployments.serve import block_ids
    from deployments.wanted import deployments, fields

    ids = block_ids(client)
    there = {(d.name, d.entrypoint): d for d in client.read_deployments(limit=200)}
    for each, name, pool, parameters in deployments(wish):
        flow = each.load()
        before = there.get((name, each.entrypoint))
        active = {s.slug for s in before.schedules if s.active and s.slug} if before else set()
        wanted = fields(each, pool, parameters, ids, wish, active)
        schema = parameter_schema(flow).model_dump()
        what: What = "made" if before is None else "changed"
        if before is not None and _seen(before) == {**wanted, "schema": schema}:
            what = "left"
        changes.do(what, f"deployment {flow.name}/{name}", _deploy, client, flow, name, wanted, schema)


def _seen(deployment: Any) -> dict[str, Any]:
    """A deployment as `wanted.fields` has it."""
    limit, options = deployment.global_concurrency_limit, deployment.concurrency_options
    return {
        "description": deployment.description,
        "version": deployment.version,
        "tags": list(deployment.tags),
        "entrypoint": deployment.entrypoint,
        "path": deployment.path,
        "paused": deployment.paused,
        "work_pool_name": deployment.work_pool_name,
        "job_variables": deployment.job_variables,
        "parameters": deployment.parameters,
        "pull_steps": deployment.pull_steps,
        "concurrency_limit": limit.limit if limit else None,
        "collision_strategy": str(options.collision_strategy.value) if options else None,
        "schedules": sorted(
            (
                {"cron": getattr(s.schedule, "cron", ""), "timezone": getattr(s.schedule, "timezone", ""),
                 "slug": s.slug, "active": s.active}
                for s in deployment.schedules
            ),
            key=lambda s: s["slug"] or "",
        ),
        "schema": deployment.parameter_openapi_schema,
    }  # fmt: skip


def _deploy(client: Any, flow: Any, name: str, wanted: dict[str, Any], schema: dict[str, Any]) -> None:
    from prefect.client.schemas.objects import ConcurrencyOptions

    from deployments.wanted import schedules

    plain = {k: v for k, v in wanted.items() if k not in ("schedules", "collision_strategy")}
    client.create_deployment(
        flow_id=client.create_flow(flow),
        name=name,
        schedules=schedules(wanted["schedules"]),
        concurrency_options=ConcurrencyOptions(collision_strategy=wanted["collision_strategy"]),
        parameter_openapi_schema=schema,
        enforce_parameter_schema=True,
        **plain,
    )


def _alarms(client: Any, changes: Changes, wish: Any) -> None:
    from deployments.serve import block_ids
    from deployments.wanted import alarms

    if wish.notify is None:
        say("  not made the alarms: name your notification block with --notify slug/name (docs/operations.md)")
        return
    ids = block_ids(client)
    if wish.notify not in ids:
        known = ", ".join(sorted(slug for slug in ids if not slug.startswith(("taisly-", "tikmatrix-")))) or "none"
        raise InputError(f"There is no block {wish.notify!r}. Saved are: {known}. Save one in the UI under Blocks.")
    for alarm in alarms(ids[wish.notify]):
        found = client.request("POST", "/automations/filter", json={"automations": {"name": {"any_": [alarm.name]}}})
        there = found.json()
        fresh = alarm.model_dump(mode="json")
        if not there:
            changes.do("made", f"automation {alarm.name}", _ask, client, "POST", "/automations/", fresh)
            continue
        same = all(_like(there[0].get(key), fresh[key]) for key in ("description", "trigger", "actions"))
        path = f"/automations/{there[0]['id']}"
        changes.do("left" if same else "changed", f"automation {alarm.name}", _ask, client, "PUT", path, fresh)


def _ask(client: Any, method: str, path: str, body: dict[str, Any]) -> None:
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


if __name__ == "__main__":
    end(lambda: int(app(result_action="return_value") or 0))
