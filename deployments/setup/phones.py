"""Change the phones that a TikMatrix block lists: by serial, so that naming one phone says nothing about the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reelflow.errors import InputError
from reelflow.phones.limits import read_phones
from reelflow.wording import listed


@dataclass(frozen=True)
class PhoneChanges:
    """The rows of a block after a change, and what changed: serial and row of each phone.

    Attributes:
        rows: The new list.
        notes: A line for each phone that was added, changed or removed.
        removed: Their rows.
    """

    rows: tuple[str, ...]
    notes: tuple[str, ...]
    removed: tuple[str, ...]


def change_phones(before: Sequence[str], given: Sequence[str], removed: Sequence[str], block: str) -> PhoneChanges:
    """Add the phones of `given` that the block does not list, give the others these accounts, and remove `removed`.

    Args:
        before: The block's rows.
        given: Rows to add, or to replace those of the same phones.
        removed: Serials.
        block: What the block is called.

    Raises:
        InputError: a row cannot be read, a phone to remove is not listed, or none would remain.
    """
    rows, notes = _by_serial(before), []
    for serial, row in _by_serial(given).items():
        if serial not in rows:
            notes.append(f"phone added: {row}")
        elif read_phones([rows[serial]]) != read_phones([row]):
            notes.append(f"phone changed: {row} (it was: {rows[serial]})")
        else:
            continue
        rows[serial] = row
    gone = []
    for serial in dict.fromkeys(removed):
        if serial not in rows:
            raise InputError(f"The {block} does not list the phone {serial!r}. It lists: {listed(list(rows))}.")
        gone.append(rows.pop(serial))
        notes.append(f"phone removed: {gone[-1]}")
    if gone and not rows:
        raise InputError(f"The {block} needs a phone. To remove the last one, delete the block in the UI under Blocks.")
    return PhoneChanges(tuple(rows.values()), tuple(notes), tuple(gone))


def _by_serial(rows: Sequence[str]) -> dict[str, str]:
    read_phones(rows)  # a serial that is listed twice
    return {read_phones([row])[0].serial: row.strip() for row in rows if row.strip()}
