"""Register block types, and create or update blocks with the options of setup."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

import blocks
from deployments.setup.changes import Change, Changes
from deployments.setup.desired import DesiredBlock
from reelflow.errors import InputError
from reelflow.ledger import Ledger
from reelflow.sandbox.catalog import API_KEY, DEVICES
from tasks.ledger import BLOCK_NAME, read_stored, server_client, store_ledger

KEY_VARIABLE = "TAISLY_API_KEY"
"""The environment variable that the Taisly API key is read from."""
LEDGER_BLOCK = f"block {blocks.ReelflowLedger.get_block_type_slug()}/{BLOCK_NAME}"
_HOW_TO_CREATE = {
    "taisly-account": f"set {KEY_VARIABLE} to your Taisly API key, or create the block in the UI under Blocks",
    "tikmatrix-host": 'list your phones with --phone "SERIAL: username", or create the block in the UI under Blocks',
}


def register_block_types(changes: Changes) -> None:
    """Register every block type, so that the UI can create blocks of it; a schema that is known already is kept."""
    for slug, block_class in blocks.BY_SLUG.items():
        if not changes.dry_run:
            block_class.register_type_and_schema()
        changes.make(Change.UNCHANGED, f"block-type {slug}")


def apply_blocks(changes: Changes, desired: list[DesiredBlock], block_ids: dict[str, str]) -> None:
    """Create the blocks that are missing, and update in the others only what the options give.

    Raises:
        InputError: a value is not allowed.
    """
    for each in desired:
        thing, exists = f"block {each.slug}", each.slug in block_ids
        if exists and not each.values:
            changes.make(Change.UNCHANGED, thing)
            continue
        if not exists and each.identity not in each.values:
            changes.skip(thing, _HOW_TO_CREATE[each.block_type])
            continue
        block_class = blocks.BY_SLUG[each.block_type]
        before: dict[str, Any] = block_class.load(each.name).model_dump() if exists else {}
        values = {**before, **_leave_the_sandbox(each, before), **each.values}
        try:
            block = block_class(**values)
        except ValidationError as error:
            raise InputError(f"The block {each.slug} is not valid: {error.errors()[0]['msg']}.") from None
        same = block.model_dump() == before
        change = Change.CREATED if not exists else Change.UNCHANGED if same else Change.UPDATED
        changes.make(change, thing, _save, block, each.name)


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
    ledger = Ledger(url)
    same = stored is not None and stored.url.get_secret_value() == ledger.full_url
    change = Change.CREATED if stored is None else Change.UNCHANGED if same else Change.UPDATED
    if not changes.dry_run:  # opening it would create its tables
        identity = ledger.identity()
        if stored is None:
            ledger.require_look_back()  # nobody knows what was sent before
        elif stored.ledger_id != identity.id:
            raise InputError(
                f"This Prefect server uses the ledger {stored.place}, and {ledger.place} is another one. To move "
                "everything there, run `reelflow ledger move URL`. To use that one without what the server's ledger "
                "knows, run `reelflow ledger use URL`."
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
        return bool(values["api_key"].get_secret_value() == API_KEY)
    return bool(values) and all(phone.partition(":")[0] in DEVICES for phone in values["phones"])


def _save(block: Any, name: str) -> None:
    block.save(name, overwrite=True)
