"""The commands ``reelflow setup`` and ``reelflow teardown``.

Setup is safe to run again: it updates what differs and leaves the rest. It records what it created in the Prefect
variable ``reelflow_setup``, so that teardown removes that and nothing else.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter
from prefect.automations import AutomationCore
from prefect.client.orchestration import SyncPrefectClient

from deployments.alarms import ring_test
from deployments.prefect_api import checked_client, is_being_served, read_block_ids, read_deployment, read_variable
from deployments.setup.actual import find_notification_block, read_actual_state, read_record, recorded_phone_pcs
from deployments.setup.apply import (
    apply_automations,
    apply_deployments,
    apply_time_zone,
    apply_time_zone_to_schedules,
    apply_videos_folder,
    apply_work_pools,
    apply_work_queues,
    fill_all_forms,
    fill_forms,
    remove,
    report_existing_automations,
    save_record,
)
from deployments.setup.blocks import KEY_VARIABLE, LEDGER_BLOCK, apply_blocks, apply_ledger, register_block_types
from deployments.setup.changes import Change, Changes
from deployments.setup.clients import (
    CLIENT_BLOCK_TYPE,
    check_name,
    client_names,
    client_to_change,
    default_client,
    delete_client,
)
from deployments.setup.desired import (
    SetupOptions,
    desired_automations,
    desired_blocks,
    desired_deployments,
    desired_work_pools,
    desired_work_queues,
)
from deployments.setup.zone import choose_zone
from deployments.spec import MAIN, deployment_specs
from deployments.workers import start_worker
from reelflow.errors import InputError
from reelflow.phones.limits import read_phones
from reelflow.posts.request_limit import Plan
from reelflow.records.clients import shown_client
from reelflow.time_zones import read_zone, use_zone
from reelflow.wording import count, listed
from tasks.choices import VIDEOS_VARIABLE

STAYS_SERVED = "The flows of this server are being served, for example by `reelflow up`, and stay that way."
"""Moved to a work pool, the process that serves them could not start again."""
TO_USE_WORKERS = "To use workers instead, stop that process, wait a minute, and run setup again."


def setup(
    *,
    sandbox: str | None = None,
    client: str | None = None,
    remove_client: str | None = None,
    plan: Plan | None = None,
    phone: Annotated[list[str] | None, Parameter(negative="")] = None,
    remove_phone: Annotated[list[str] | None, Parameter(negative="")] = None,
    phone_pc: Annotated[list[str] | None, Parameter(negative="")] = None,
    slots: Annotated[list[str] | None, Parameter(negative="")] = None,
    folder: str | None = None,
    time_zone: str | None = None,
    videos: str | None = None,
    notify: str | None = None,
    test: Annotated[bool, Parameter(negative="")] = False,
    ledger_url: str | None = None,
    serve: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Create block types, blocks, work pools, deployments and automations on the server at PREFECT_API_URL.

    Parameters
    ----------
    sandbox
        The address of a sandbox, such as http://127.0.0.1:8099, for the blocks to use instead of the real services.
        Asks before it replaces your own API key or phones.
    client
        Add a client, or change its API key or plan: the name of its block "Taisly Account", such as bakery. On a
        server that has been set up, only the block and the forms change. Without it, the key and the plan are for the
        one client that there is, or for "main".
    remove_client
        Delete this client's block, and turn off the schedules that are for it. The forms no longer offer its accounts.
        Asks first.
    plan
        The Taisly plan of the client.
    phone
        One of your phones, as "SERIAL: username, username (Instagram)". Repeat it for several phones. A phone that the
        block lists already gets these accounts in place of its own; other phones stay.
    remove_phone
        The serial of a phone that the block shall no longer list. Asks first. Repeat it for several phones.
    phone_pc
        A PC with phones; it gets its own block, work pool and deployments. Repeat it for several PCs. The default is
        the PCs of earlier setups.
    slots
        When an account posts what has no time of its own, as "TikTok @mara: Mon-Fri 12:00 and 18:30". Repeat it for
        several rows. They replace the slots of the block.
    folder
        The folder of this project on the machines that run the workers, if it differs from this one. Together with
        --phone-pc, the folder on that PC.
    time_zone
        The time zone of schedules, forms, messages and daily limits, such as Europe/Berlin. The default is that of an
        earlier setup, or this machine's.
    videos
        The folder of your videos on the machine that publishes them: the forms offer its files.
    notify
        The saved notification block for the automations, as slug/name: slack-webhook/main.
    test
        Send a test alarm through the automations.
    ledger_url
        The ledger that all machines share: postgresql://user@host/reelflow. Its password is asked for, and stored with
        it in a block on the server. The default is a file of the machine that runs the first flow.
    serve
        Create no work pools and deployments, because `python -m deployments.serve` does.
    yes
        Without asking, remove a client or phones, replace a key and phones of your own with those of a sandbox, or
        add a client with the API key of another.
    dry_run
        Show what would change, without changing it.
    """
    options = SetupOptions(
        sandbox=sandbox,
        plan=plan,
        phones=tuple(phone or ()),
        removed_phones=tuple(remove_phone or ()),
        slots=tuple(slots or ()),
        client=client,
        phone_pcs=tuple(dict.fromkeys(phone_pc or ())),
        folder=None if phone_pc else folder,
        phones_folder=folder,
        time_zone=time_zone,
        videos=videos,
        ledger_url=ledger_url,
    )
    if remove_client is not None:
        if options != SetupOptions(phone_pcs=()) or notify or test or serve:
            raise InputError("--remove-client goes with --dry-run and --yes only. Run setup again for everything else.")
        return _remove_client(remove_client, yes=yes, dry_run=dry_run)
    return _setup(options, notify=notify, test=test, serve=serve, yes=yes, dry_run=dry_run)


@contextmanager
def _recorded(changes: Changes, *, dry_run: bool) -> Iterator[None]:
    """Store what was created and removed, also if the rest fails."""
    try:
        yield
    finally:
        if not dry_run:
            save_record(changes.record)


def _remove_client(name: str, *, yes: bool, dry_run: bool) -> int:
    with checked_client() as client:
        changes = Changes(read_record(client), dry_run=dry_run)
        with _recorded(changes, dry_run=dry_run):
            delete_client(client, changes, name, yes=yes)
        if not dry_run:
            fill_all_forms(client)
        print(changes.summary)
        if not dry_run:
            _print_clients(client)
            print(f"What was sent for {name} stays in the ledger, so that it is not sent again.")
    return 0


def _print_clients(client: SyncPrefectClient) -> None:
    clients = client_names(read_block_ids(client))
    if not clients:
        print("No client is left, so the forms offer no accounts.")
        return
    print(f"The forms offer the accounts of {count(len(clients), 'client')}: {listed(clients)}.")
    if len(clients) == 1:
        print(f"They preselect {clients[0]}.")


def _is_one_more_client(client: SyncPrefectClient, options: SetupOptions) -> bool:
    """Whether setup is only to add or change a client of a server that has been set up for one."""
    only = SetupOptions(client=options.client, plan=options.plan, sandbox=options.sandbox, phone_pcs=options.phone_pcs)
    is_set_up = any(read_deployment(client, spec.full_name) for spec in deployment_specs()[:1])
    return options.client is not None and options == only and is_set_up


def _set_up_client(client: SyncPrefectClient, options: SetupOptions, *, yes: bool, dry_run: bool) -> int:
    """Make the client's block, and offer its accounts in the forms."""
    changes = Changes(read_record(client), dry_run=dry_run)
    block_ids = read_block_ids(client)
    register_block_types(changes, only=CLIENT_BLOCK_TYPE)
    options = replace(options, api_key=_taisly_key(options, block_ids, ask=not dry_run))
    (desired, *_) = desired_blocks(options)
    if desired.slug not in block_ids and not options.api_key and not options.sandbox:
        raise InputError(
            f"There is no API key for the client {desired.name}. Set {KEY_VARIABLE} to it, or run this in a terminal, "
            "which asks for it."
        )
    with _recorded(changes, dry_run=dry_run):
        apply_blocks(changes, [desired], block_ids, yes=yes)
    if not dry_run:
        fill_all_forms(client)
    print(changes.summary)
    if not dry_run:
        _print_clients(client)
    return 0


def _setup(options: SetupOptions, *, notify: str | None, test: bool, serve: bool, yes: bool, dry_run: bool) -> int:
    read_zone(options.time_zone or "UTC")
    read_phones(options.phones)
    if options.client is not None:
        check_name(options.client)
    with checked_client() as client:
        if not (notify or test or serve) and _is_one_more_client(client, options):
            return _set_up_client(client, options, yes=yes, dry_run=dry_run)
        changes = Changes(read_record(client), dry_run=dry_run)
        phone_pcs = options.phone_pcs or recorded_phone_pcs(changes.record) or (MAIN,)
        if (options.phones or options.removed_phones) and len(phone_pcs) > 1:
            option = "--phone" if options.phones else "--remove-phone"
            raise InputError(
                f"{option} needs a single --phone-pc. Run setup once for each --phone-pc, with its own phones."
            )
        is_served, stays = _is_served(client), STAYS_SERVED
        if is_served and not serve:
            if options.phone_pcs or options.phones_folder:
                option = "--phone-pc" if options.phone_pcs else "--folder"
                raise InputError(f"{STAYS_SERVED} {option} is for workers, so nothing was changed. {TO_USE_WORKERS}")
            stays += f" So setup creates no work pools or deployments. {TO_USE_WORKERS}"
        serve |= is_served
        options = replace(options, phone_pcs=phone_pcs)
        automations = desired_automations(find_notification_block(client, notify), serve=serve) if notify else []
        with _recorded(changes, dry_run=dry_run):
            _apply(client, changes, options, automations, serve=serve, yes=yes)
        print(changes.summary)
        if test and not dry_run:
            print(ring_test(client))
    if is_served:
        print(f"\n{stays}")
    elif not dry_run:
        print(_next_steps(options, serve=serve))
    return 0


def _is_served(client: SyncPrefectClient) -> bool:
    """Whether a process serves any of the flows now."""
    found = (read_deployment(client, spec.full_name) for spec in deployment_specs())
    return any(each is not None and is_being_served(each) for each in found)


def _apply(
    client: SyncPrefectClient,
    changes: Changes,
    options: SetupOptions,
    automations: list[AutomationCore],
    *,
    serve: bool,
    yes: bool,
) -> None:
    """Make the differences, blocks first: deployments refer to them by id."""
    # Served deployments have the names of prefect.yaml, whatever the PCs are called.
    saved = read_block_ids(client)
    key = os.environ.get(KEY_VARIABLE, "").strip() or None
    chosen = client_to_change(options.client, saved, key=key, has_more=bool(options.plan or options.sandbox))
    options = replace(options, client=chosen)
    deployments = desired_deployments(
        replace(options, phone_pcs=(MAIN,)) if serve else options,
        default_client(saved, changes.record, options.client),
    )
    queues = [] if serve else desired_work_queues()
    actual = read_actual_state(client, [d.full_name for d in deployments], [a.name for a in automations], queues)
    register_block_types(changes)
    zone = choose_zone(options.time_zone, actual.time_zone, ask=not changes.dry_run)
    options = replace(options, api_key=_taisly_key(options, actual.block_ids, ask=not changes.dry_run))
    apply_blocks(changes, desired_blocks(options), actual.block_ids, yes=yes)
    apply_ledger(changes, options.ledger_url)
    apply_time_zone(changes, zone, actual)
    use_zone(zone)
    apply_videos_folder(changes, options.videos, read_variable(client, VIDEOS_VARIABLE))
    if serve:
        apply_time_zone_to_schedules(client, changes, deployments, actual, zone)
    else:
        apply_work_pools(client, changes, desired_work_pools(options), actual)
        apply_work_queues(client, changes, queues, actual)
        block_ids = read_block_ids(client)
        apply_deployments(client, changes, deployments, actual, block_ids, zone)
    if not changes.dry_run:
        fill_forms(client, deployments)
    if automations:
        apply_automations(client, changes, automations, actual)
    else:
        report_existing_automations(changes)


def _taisly_key(options: SetupOptions, block_ids: dict[str, str], *, ask: bool) -> str | None:
    """The key in the environment; or one that a person types, if there is no block yet but a terminal."""
    if key := os.environ.get(KEY_VARIABLE, "").strip():
        return key
    exists = f"{CLIENT_BLOCK_TYPE}/{options.client or MAIN}" in block_ids
    if options.sandbox or exists or not ask or not sys.stdin.isatty():
        return None
    whose = f" of {options.client}" if shown_client(options.client or "") else ""
    return getpass.getpass(f"Taisly API key{whose} (hidden; press Enter to skip): ").strip() or None


def _next_steps(options: SetupOptions, *, serve: bool) -> str:
    if serve:
        start = f"\nNext, serve every flow from one process:\n  {sys.executable} -m deployments.serve"
    else:
        pools = desired_work_pools(options)
        workers = [f"{sys.executable} -m {start_worker(name)}" for name in pools]
        start = "\nNext, start a worker for each pool, on the machine that does its work:\n  " + "\n  ".join(workers)
    schedules = "The schedules of upkeep are on; turn the others on in the UI under Deployments."
    return f"{start}\nThen run `reelflow doctor`. {schedules}"


def teardown(*, dry_run: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Remove what setup created on the server at PREFECT_API_URL, newest first.

    Parameters
    ----------
    dry_run
        Show what would be removed, without removing it.
    """
    with checked_client() as client:
        changes = Changes(read_record(client), dry_run=dry_run)
        with _recorded(changes, dry_run=dry_run):
            for thing in reversed(list(changes.record)):
                changes.make(Change.REMOVED, thing, remove, client, thing)
            if LEDGER_BLOCK.removeprefix("block ") in read_block_ids(client):
                changes.keep(LEDGER_BLOCK, "it says which ledger knows what was posted")
    print(changes.summary)
    return 0
