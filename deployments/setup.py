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

from deployments.plan import MAIN
from deployments.programs import end, say
from deployments.server import Changes, What, delete, prefect_server, remember, remembered
from reelflow.errors import InputError

KEY_VARIABLE = "TAISLY_API_KEY"

app = App(name="reelflow setup", help="Make everything that reelflow needs on a Prefect server; safe to run again.")


@app.default
def setup(
    *,
    sandbox: str | None = None,
    block: str | None = None,
    plan: Literal["STARTER", "INFLUENCER", "PRO"] | None = None,
    phone: Annotated[list[str] | None, Parameter(negative="")] = None,
    phone_pc: Annotated[list[str] | None, Parameter(negative="")] = None,
    folder: str | None = None,
    time_zone: str | None = None,
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
        The name of the Taisly block; "main", if you do not say.
    plan
        Your plan at Taisly; for a new block.
    phone
        A phone of yours, as "SERIAL: username, username (Instagram)"; may be given several times.
    phone_pc
        The name of a PC with phones, for its block, its work pool and its deployments; several times for several. If
        you do not say, those that setup has made.
    folder
        Where this project is on the machines whose workers run the flows, if it is not where it is here; together
        with --phone-pc, where it is on that PC.
    time_zone
        Of the schedules, of quiet hours and of the days that limits are for, such as Europe/Berlin; else UTC.
    notify
        The saved notification block for the alarms, as slug/name: slack-webhook/main.
    ledger_url
        For the workers, where they are on several machines: postgresql://user@host/reelflow.
    serve
        Make no work pools and deployments: `python -m deployments.serve` makes them itself.
    dry_run
        Only say what would be done.
    """
    from deployments.making import (
        keep_time_zone,
        make_alarms,
        make_deployments,
        make_pools,
        move_schedules,
        notifier,
    )
    from deployments.wanted import Wish, pools
    from reelflow.phones.engagement import read_phones, read_zone

    read_zone(time_zone or "UTC")
    read_phones(phone or [])
    with prefect_server() as client:
        changes = Changes(dry_run, remembered(client))
        pcs = tuple(phone_pc or changes.phone_pcs or [MAIN])
        if phone and len(pcs) > 1:
            raise InputError("--phone says whose phones? Run setup once for each --phone-pc, with its own phones.")
        wish = Wish(block, pcs, None if phone_pc else folder, folder, time_zone, ledger_url)
        told = notifier(client, notify) if notify else None
        try:
            _register(changes)
            _blocks(client, changes, wish, sandbox, plan, phone or [])
            keep_time_zone(client, changes, time_zone)
            if serve:
                move_schedules(client, changes, wish)
            else:
                make_pools(client, changes, wish)
                make_deployments(client, changes, wish)
            make_alarms(client, changes, told)
        finally:
            if not dry_run:
                remember(changes.made)
    say(changes.sentence)
    if serve and not dry_run:
        say("\nNow serve every flow from one process:\n  " + f"{sys.executable} -m deployments.serve")
    elif not dry_run:
        workers = [f"{sys.executable} -m prefect worker start --pool {name}" for name in pools(wish)]
        say("\nNow start a worker for each pool, on the machine that shall do its work:\n  " + "\n  ".join(workers))
    if not dry_run:
        say("Then `reelflow doctor`. Schedules are off until you turn them on in the UI under Deployments.")
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
    wanted: list[tuple[Any, str, bool]] = [(TaislyAccount, wish.block or MAIN, bool(sandbox or key or plan))]
    wanted += [(TikMatrixHost, pc, bool(sandbox or phones or wish.time_zone)) for pc in wish.phone_pcs]
    for kind, name, asked in wanted:
        slug = kind.get_block_type_slug()
        thing, is_there = f"block {slug}/{name}", f"{slug}/{name}" in there
        if is_there and not asked:
            changes.do("left", thing)
            continue
        is_taisly = kind is TaislyAccount
        ask = not is_there and not changes.dry_run
        before: dict[str, Any] = kind.load(name).model_dump() if is_there else {}
        values = _taisly(sandbox, key, plan, ask=ask) if is_taisly else _host(sandbox, phones, wish.time_zone)
        if ("api_key" in values or "phones" in values) and not sandbox and _is_sandbox(before):
            values = {"base_url": kind.model_fields["base_url"].default, **values}  # from trying to the real thing
        if not is_there and ("api_key" if is_taisly else "phones") not in values:
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


def _host(sandbox: str | None, phones: list[str], time_zone: str | None) -> dict[str, Any]:
    from reelflow.sandbox.world import PHONES

    address: dict[str, Any] = {}
    if sandbox:
        phones = phones or PHONES
        address = {"base_url": f"{sandbox.rstrip('/')}/api/v1", "poll_seconds": 2}
    zone = {"time_zone": time_zone} if time_zone else {}
    return {**({"phones": phones} if phones else {}), **address, **zone}


if __name__ == "__main__":
    end(lambda: int(app(result_action="return_value") or 0))
