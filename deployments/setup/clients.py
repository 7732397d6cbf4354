"""The clients of a server: each is a saved block "Taisly Account", and one set of deployments serves them all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate

from blocks import TaislyAccount
from blocks.reference import load_saved
from deployments.prefect_api import read_block_ids
from deployments.setup.changes import Change, Changes
from deployments.setup.confirm import confirm_client_removal
from deployments.spec import MAIN
from reelflow.block_references import saved_block
from reelflow.errors import InputError, ReelflowError
from reelflow.form_schema import TAISLY, is_client_needed
from reelflow.posts.cleanup import open_sends_of_client
from reelflow.records.post_states import SendStatus
from reelflow.wording import count, listed
from tasks.choices import is_persons_own, our_deployments
from tasks.ledger import open_ledger, read_stored

CLIENT_BLOCK_TYPE = TaislyAccount.get_block_type_slug()


def client_names(block_ids: Iterable[str]) -> list[str]:
    """The names of the saved clients, sorted."""
    return sorted(slug.partition("/")[2] for slug in block_ids if slug.startswith(f"{CLIENT_BLOCK_TYPE}/"))


def default_client(block_ids: Iterable[str], record: Iterable[str], named: str | None = None) -> str:
    """The client of deployments that have none yet: `main`, else the first that setup made, else any that is saved.

    Args:
        block_ids: Slugs of the saved blocks.
        record: What setup has created, in its order.
        named: The one that setup is about; only if no other is saved.
    """
    saved = client_names(block_ids)
    recorded = f"block {CLIENT_BLOCK_TYPE}/"
    made = [thing.removeprefix(recorded) for thing in record if thing.startswith(recorded)]
    return next((name for name in (MAIN, *made, *saved) if name in saved), named or MAIN)


def client_to_change(named: str | None, block_ids: Iterable[str], *, key: str | None, has_more: bool) -> str:
    """The client that setup's key and plan are for.

    Args:
        named: With --client.
        block_ids: Slugs of the saved blocks.
        key: The API key that was given.
        has_more: Whether anything else about a client was given.

    Raises:
        InputError: the name cannot be one, or it is not clear which client is meant.
    """
    saved = client_names(block_ids)
    if named is not None:
        check_name(named)
        return named
    if MAIN in saved or not saved:
        name = MAIN
    elif len(saved) == 1:
        name = saved[0]
    elif key or has_more:
        raise InputError(f"There are several clients: {listed(saved)}. Name the one that is meant with --client.")
    else:
        return saved[0]  # any: nothing of a client is to change
    if key and name in saved and (owners := [owner for owner in owners_of_key(key, saved) if owner != name]):
        raise InputError(
            f"The API key in the environment is that of the client {owners[0]}, so it was not saved for {name}. To "
            f"change that client, add --client {owners[0]}; else unset TAISLY_API_KEY."
        )
    return name


def check_name(name: str) -> None:
    """Raise InputError if a block cannot have this name."""
    if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        return
    letters = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    hint = f" For example: {plain}." if plain else ""
    raise InputError(f"A client's name has only the letters a to z, digits and dashes, not {name!r}.{hint}")


def owners_of_key(key: str, clients: Iterable[str]) -> list[str]:
    """Those saved clients that have this API key."""
    found = []
    for name in clients:
        try:
            block = load_saved(TaislyAccount, name)
        except InputError:
            continue
        if block is not None and block.api_key.get_secret_value() == key:
            found.append(name)
    return found


def delete_client(client: SyncPrefectClient, changes: Changes, name: str, *, yes: bool) -> None:
    """Delete a client's block, and what setup recorded for it. What was sent for it stays in the ledger.

    Deployments of ours that preselect it preselect the one that is left, or none; one that a person made for it stays
    as it is, and its runs fail. Schedules that are for it are turned off.

    Raises:
        InputError: there is no such client, or a person does not agree.
    """
    ids = read_block_ids(client)
    saved, slug = client_names(ids), f"{CLIENT_BLOCK_TYPE}/{name}"
    if slug not in ids:
        raise InputError(f"There is no client {name!r}. Clients: {listed(saved) or 'none'}.")
    open_posts = _open_posts(client, name)
    if not changes.dry_run:
        confirm_client_removal(name, open_posts, yes=yes)
    elif open_posts:
        print(f"  WARNING: {open_posts}")
    left = {ids[f"{CLIENT_BLOCK_TYPE}/{other}"]: other for other in saved if other != name}
    for deployment in our_deployments(client):
        _turn_off_schedules(client, changes, deployment, name, ids[slug])
        _preselect_another(client, changes, deployment, name, ids[slug], left)
    changes.make(Change.REMOVED, f"block {slug}", client.delete_block_document, UUID(ids[slug]))


def _open_posts(client: SyncPrefectClient, name: str) -> str:
    """What is said of a client's posts that have no outcome yet; empty if there are none."""
    try:
        if read_stored(client) is None:
            return ""
        ledger = open_ledger()
        block = load_saved(TaislyAccount, name)
        key = block.fingerprint() if block else ""
        sends = open_sends_of_client(ledger, name, key)
        now = ledger.now()
    except ReelflowError as error:
        return f"Cannot check whether {name} has open posts: {error}"
    if not sends:
        return ""
    later = sum(send.status(now) is SendStatus.SCHEDULED for send in sends)
    waits = f"; {later} {'is' if later == 1 else 'are'} scheduled, and will still be published" if later else ""
    return (
        f"{count(len(sends), 'post')} of {name} {'has' if len(sends) == 1 else 'have'} no outcome yet{waits}. Without "
        f"the API key, outcomes cannot be read. Before you remove it, `reelflow posts --block {name}` "
        "lists them, and says how to cancel those that are scheduled."
    )


def _refers_to(value: Any, name: str, id_: str) -> bool:
    return saved_block(value, {f"{CLIENT_BLOCK_TYPE}/{name}": id_}) is not None


def _turn_off_schedules(client: SyncPrefectClient, changes: Changes, deployment: Any, name: str, id_: str) -> None:
    """Turn off the schedules that are for a client, or for none: their runs would fail, or be for another client."""
    default = deployment.parameters.get(TAISLY)
    for schedule in deployment.schedules:
        own = schedule.parameters.get(TAISLY)
        meant = own or default
        if not schedule.active or (meant and not _refers_to(meant, name, id_)):
            continue
        if own is None and not is_client_needed(deployment.parameter_openapi_schema or {}):
            continue  # it then looks after all clients
        why = f"since it is for {name}" if meant else "since it names no client"
        turn_off(client, changes, deployment, schedule, why)


def turn_off(client: SyncPrefectClient, changes: Changes, deployment: Any, schedule: Any, why: str) -> None:
    """Turn off a schedule, and keep the rest of it: Prefect forgets what is not sent along."""
    thing = f"schedule {schedule.slug or schedule.id} of {deployment.name}: turned off, {why}"
    kept = {"active": False, "slug": schedule.slug, "parameters": schedule.parameters}
    changes.make(Change.UPDATED, thing, partial(client.update_deployment_schedule, deployment.id, schedule.id, **kept))


def _preselect_another(
    client: SyncPrefectClient, changes: Changes, deployment: Any, name: str, id_: str, left: Mapping[str, str]
) -> None:
    if is_persons_own(deployment) or not _refers_to(deployment.parameters.get(TAISLY), name, id_):
        return
    parameters = {key: value for key, value in deployment.parameters.items() if key != TAISLY}
    after = ""
    if len(left) == 1 and is_client_needed(deployment.parameter_openapi_schema or {}):
        ((other, after),) = left.items()
        parameters[TAISLY] = {"$ref": {"block_document_id": other}}
    thing = f"deployment {deployment.name}: preselects {after or 'no client'}"
    changes.make(
        Change.UPDATED, thing, client.update_deployment, deployment.id, DeploymentUpdate(parameters=parameters)
    )
