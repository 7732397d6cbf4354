"""Register block types, and create or update blocks with the options of setup."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

import blocks
from blocks.reference import load_saved, problems_of, register_block_type
from deployments.ledger_password import ledger_at
from deployments.setup.changes import Change, Changes
from deployments.setup.clients import client_names, owners_of_key
from deployments.setup.confirm import confirm_removal, confirm_sandbox
from deployments.setup.desired import DesiredBlock
from deployments.setup.phones import PhoneChanges, change_phones
from reelflow.errors import InputError, NotAllowed, ServiceError
from reelflow.ledger import Ledger
from reelflow.sandbox.catalog import API_KEY, DEVICES
from reelflow.wording import count, listed
from tasks.ledger import BLOCK_NAME, read_stored, server_client, store_ledger

KEY_VARIABLE = "TAISLY_API_KEY"
"""The environment variable that the Taisly API key is read from."""
LEDGER_BLOCK = f"block {blocks.ReelflowLedger.get_block_type_slug()}/{BLOCK_NAME}"
_HOW_TO_CREATE = {
    "taisly-account": f"set {KEY_VARIABLE} to your Taisly API key, or create the block in the UI under Blocks",
    "posting-slots": 'list your slots with --slots "all: daily 12:00 and 18:00", or create the block in the UI under '
    "Blocks",
    "tikmatrix-host": 'list your phones with --phone "SERIAL: username", or create the block in the UI under Blocks',
}


def register_block_types(changes: Changes, *, only: str | None = None) -> None:
    """Register every block type, so that the UI can create blocks of it; a schema that is known already is kept."""
    for slug, block_class in blocks.BY_SLUG.items():
        if only not in (None, slug):
            continue
        if not changes.dry_run:
            register_block_type(block_class)
        changes.make(Change.UNCHANGED, f"block-type {slug}")


def apply_blocks(
    changes: Changes, desired: list[DesiredBlock], block_ids: dict[str, str], *, yes: bool = False
) -> None:
    """Create the blocks that are missing, and update in the others only what the options give.

    Args:
        changes: The report.
        desired: All of them.
        block_ids: Ids of saved blocks by slug.
        yes: Remove phones, replace a key and phones with those of a sandbox, and add a client with another's key,
            without asking.

    Raises:
        InputError: a value is not allowed, a block on the server is not valid, the key is another client's, Taisly does
            not accept it, or a person does not agree.
    """
    if not changes.dry_run:
        saved = [each for each in desired if each.slug in block_ids]
        confirm_sandbox([lost for each in saved for lost in _lost_to_sandbox(each)], yes=yes)
    for each in desired:
        thing, exists = f"block {each.slug}", each.slug in block_ids
        if exists and not each.values and not each.removed_phones:
            changes.make(Change.UNCHANGED, thing)
            continue
        if not exists and each.identity not in each.values:
            changes.skip(thing, _HOW_TO_CREATE[each.block_type])
            continue
        block_class = blocks.BY_SLUG[each.block_type]
        before = _saved_values(each) if exists else {}
        values = {**before, **_leave_the_sandbox(each, before), **each.values}
        phones = _changed_phones(each, before, thing)
        if phones:
            values["phones"] = list(phones.rows)
        try:
            block = block_class(**values)
        except ValidationError as error:
            raise InputError(f"The {thing} is not valid. {problems_of(block_class, error)}") from None
        same = block.model_dump() == before
        notes = (
            _try_key(block, before, each.name, block_ids, yes=yes)
            if each.block_type == "taisly-account" and not same
            else ()
        )
        if phones and not changes.dry_run:
            confirm_removal(phones.removed, thing, yes=yes)
        change = Change.CREATED if not exists else Change.UNCHANGED if same else Change.UPDATED
        changes.make(change, thing, _save, block, each.name)
        changes.note(*_moved(before, values), *notes, *(phones.notes if phones and exists else ()))


def _moved(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """Where a block that existed leads to now, if it led elsewhere."""
    if not before or before.get("base_url") == after.get("base_url"):
        return ()
    phones = [phone for phone in before.get("phones", ()) if phone not in after.get("phones", ())]
    gone = f"; {count(len(phones), 'phone')} of the sandbox removed" if phones and _leads_to_sandbox(before) else ""
    return (f"now at {after['base_url']} (it was: {before['base_url']}){gone}",)


def _saved_values(desired: DesiredBlock) -> dict[str, Any]:
    saved = load_saved(blocks.BY_SLUG[desired.block_type], desired.name)
    return saved.model_dump() if saved else {}


def _lost_to_sandbox(desired: DesiredBlock) -> list[str]:
    """What a saved block of the real service loses when it becomes that of a sandbox."""
    before = _saved_values(desired) if desired.for_sandbox else {}
    if not before or _leads_to_sandbox(before):
        return []
    if desired.block_type == "taisly-account":
        return [f"the API key of the block {desired.slug}"]
    lost = _without_given(desired, before["phones"])
    return [f"the phones ({listed(lost, '; ')}) of the block {desired.slug}"] if lost else []


def _without_given(desired: DesiredBlock, rows: list[str]) -> list[str]:
    return [row for row in rows if row not in desired.values.get("phones", [])]


def _changed_phones(desired: DesiredBlock, before: dict[str, Any], block: str) -> PhoneChanges | None:
    """What the options change in the phones of a block; None if that is nothing.

    Those of a sandbox are replaced by one's own, and one's own by those of a sandbox: no list has both.
    """
    given = desired.values.get("phones", [])
    if not given and not desired.removed_phones:
        return None
    rows, lost = before.get("phones", []), list[str]()
    if given and desired.for_sandbox != _leads_to_sandbox(before):
        rows, lost = [], _without_given(desired, rows) if desired.for_sandbox else []
    found = change_phones(rows, given, desired.removed_phones, block)
    return replace(found, notes=(*(f"phone removed: {row}" for row in lost), *found.notes))


def _try_key(block: Any, before: dict[str, Any], name: str, block_ids: Iterable[str], *, yes: bool) -> tuple[str, ...]:
    """Ask Taisly once whether it accepts a key that is new, or leads to another address; returns what to tell.

    Raises:
        InputError: it does not, or the key is another client's.
    """
    if (block.api_key, block.base_url) == (before.get("api_key"), before.get("base_url")):
        return ()
    others = [other for other in client_names(block_ids) if other != name]
    same = owners_of_key(block.api_key.get_secret_value(), others)
    if same and block.api_key != before.get("api_key"):
        _refuse_key_of_another(same, name, exists=bool(before), yes=yes)
    note = (
        f"WARNING: {name} has the same API key as {listed(same)}. Under each of these names it is one Taisly account: "
        "its accounts are listed more than once, and all share one plan."
    )
    notes = (note,) if same else ()
    try:
        with block.get_client() as client:
            accounts = client.platforms()
    except NotAllowed as error:
        raise InputError(
            f"The Taisly API key was not saved: {error} Copy the key again from Taisly's settings, and run setup again."
        ) from None
    except ServiceError as error:
        return (f"The API key has not been tried: {error} `reelflow doctor` tries it again.", *notes)
    return (f"Taisly accepts the API key: {count(len(accounts), 'account')} connected.", *notes)


def _refuse_key_of_another(owners: list[str], name: str, *, exists: bool, yes: bool) -> None:
    """Keep the key that another client left in the shell out of this client's block.

    Raises:
        InputError: the client has a key of its own; or it is new, and nobody insists.
    """
    whose = f"This API key is that of the client {listed(owners)}, so nothing was saved for {name}."
    if exists:
        raise InputError(
            f"{whose} To change anything else of {name}, unset {KEY_VARIABLE}; to change the key of {name}, set it to "
            "the new one."
        )
    if not yes:
        raise InputError(
            f"{whose} Set {KEY_VARIABLE} to the key of {name}. To save one Taisly account under both names, add --yes."
        )


def apply_ledger(changes: Changes, url: str | None) -> None:
    """Store which ledger the server uses, once that was opened. It is not recorded, so teardown leaves it.

    Raises:
        InputError: the server uses another ledger.
        LedgerUnavailable: the ledger cannot be opened.
    """
    if not url:
        return
    with server_client() as client:
        stored = read_stored(client)
    known = stored.url.get_secret_value() if stored else ""
    ledger = Ledger(url) if changes.dry_run else ledger_at(url, known=known)
    with contextlib.closing(ledger):
        same = known == ledger.full_url
        if changes.dry_run and known and not ledger.url.password:
            same = ledger.is_same_but_for_password(Ledger(known))
        change = Change.CREATED if stored is None else Change.UNCHANGED if same else Change.UPDATED
        if not changes.dry_run:  # opening it would create its tables
            identity = ledger.identity()
            if stored is None:
                ledger.require_look_back()  # nobody knows what was sent before
            elif stored.ledger_id != identity.id:
                raise InputError(
                    f"This Prefect server uses the ledger {stored.place}, and {ledger.place} is another one. To move "
                    "everything there, run `reelflow ledger move URL`. To use that one without what the server's "
                    "ledger knows, run `reelflow ledger use URL`."
                )
        changes.make(change, LEDGER_BLOCK, store_ledger, ledger, is_recorded=False)


def _leave_the_sandbox(desired: DesiredBlock, before: dict[str, Any]) -> dict[str, Any]:
    """The real service's address, for a block of a sandbox that is given a key, or phones, of one's own."""
    if desired.for_sandbox or desired.identity not in desired.values or not _leads_to_sandbox(before):
        return {}
    return {"base_url": blocks.BY_SLUG[desired.block_type].model_fields["base_url"].default}


def _leads_to_sandbox(values: dict[str, Any]) -> bool:
    """Whether a block is that of a sandbox, by its key or its phones: an address says nothing."""
    if "api_key" in values:
        return bool(values["api_key"].get_secret_value().startswith(API_KEY))
    return "phones" in values and all(phone.partition(":")[0] in DEVICES for phone in values["phones"])


def _save(block: Any, name: str) -> None:
    block.save(name, overwrite=True)
