"""What the Prefect server remembers of its ledger: how many sends it had, the last of them, and which copy has it.

The number tells a ledger that was emptied or restored from a backup. The last send tells one from whose place another
copy has sent since, however many sends both have: it is not in it. From then on only one copy is used: the one that
noticed, after looking back, has a new name, by which the server knows it; the other is refused.
"""

import logging
from contextlib import suppress
from typing import Any, NamedTuple

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

from reelflow.errors import LedgerReplaced
from reelflow.ledger import Identity, Ledger
from reelflow.wording import count

log = logging.getLogger("reelflow.ledger")

VARIABLE = "reelflow_ledger_sends"
"""The Prefect variable with all this."""
NOT_FOUND = 404
TRIES = 5
"""How often the number is compared again after it was written: runs that write at once must not lower it."""


class Remembered(NamedTuple):
    """What the server remembers of one ledger.

    Attributes:
        sends: How many it had when a run last sent something.
        last: The id of one of the last of them; empty if it had none.
        copy: Which copy of it has them; empty if the server does not know the ledger.
    """

    sends: int = 0
    last: str = ""
    copy: str = ""


def read_remembered(client: SyncPrefectClient, ledger_id: str) -> Remembered:
    """What the server remembers of this ledger; nothing, if its variable is about another one or cannot be read."""
    variable = client.read_variable_by_name(VARIABLE)
    value: Any = variable.value if variable else None
    if not isinstance(value, dict) or value.get("ledger") != ledger_id:
        return Remembered()
    sends, last, copy = value.get("sends"), value.get("last"), value.get("copy")
    return Remembered(
        sends if isinstance(sends, int) else 0,
        last if isinstance(last, str) else "",
        copy if isinstance(copy, str) else "",
    )


def write_remembered(client: SyncPrefectClient, found: Identity, copy: str) -> None:
    """Let the server remember this ledger as it was found, under this name of its copy."""
    value = {"ledger": found.id, "sends": found.sends, "last": found.last_send, "copy": copy}
    try:
        client.update_variable(VariableUpdate(name=VARIABLE, value=value))
    except (ObjectNotFound, PrefectHTTPStatusError) as error:  # the first send of all has to make it
        if isinstance(error, PrefectHTTPStatusError) and error.response.status_code != NOT_FOUND:
            raise
        with suppress(ObjectAlreadyExists):
            client.create_variable(VariableCreate(name=VARIABLE, value=value))
            return
        client.update_variable(VariableUpdate(name=VARIABLE, value=value))


def recognize(client: SyncPrefectClient, ledger: Ledger) -> None:
    """Compare the ledger with what the server remembers. One that lacks sends looks back before its next.

    Raises:
        LedgerReplaced: another copy of it is in use.
    """
    found = ledger.identity()
    remembered = read_remembered(client, found.id)
    _refuse_other_copy(ledger, found, remembered)
    missing = ledger.expect_sends(remembered.sends)
    if not missing and _has_last(ledger, remembered):
        return
    log.warning(
        "The ledger at %s lacks %s that this Prefect server remembers: it was emptied, restored from a backup, or "
        "another copy of it was used. Before its next send, Taisly's history is searched for what it does not know.",
        ledger.place,
        count(missing, "send") if missing else "the last send",
    )
    found = ledger.identity()
    ledger.rename_copy(found.copy_id, commit=lambda copy: write_remembered(client, found, copy))


def remember(client: SyncPrefectClient, ledger: Ledger) -> None:
    """Let the server remember how many sends the ledger has by now, unless it knows of more.

    Compared again after each writing: whoever writes last has read the ledger after all others recorded theirs.

    Raises:
        LedgerReplaced: the server knows of sends that this ledger does not have, or of another copy.
    """
    for _ in range(TRIES):
        found = ledger.identity()
        remembered = read_remembered(client, found.id)
        _refuse_other_copy(ledger, found, remembered)
        if not _has_last(ledger, remembered):
            raise LedgerReplaced(
                f"The ledger at {ledger.place} lacks the last send that this Prefect server remembers: another copy of "
                "it is in use. Nothing was sent. The next try, or else the next run, looks into Taisly's history first."
            )
        if found.sends <= remembered.sends:
            return
        write_remembered(client, found, found.copy_id)


def _has_last(ledger: Ledger, remembered: Remembered) -> bool:
    return not remembered.last or ledger.has_send(remembered.last)


def _refuse_other_copy(ledger: Ledger, found: Identity, remembered: Remembered) -> None:
    if remembered.copy not in ("", found.copy_id):
        raise LedgerReplaced(
            f"The ledger at {ledger.place} is one of several copies, and this Prefect server now uses another one, "
            "on another machine or restored from a backup. Nothing was sent: this copy does not know "
            "what the other has posted. Run this where that one is; or move it to PostgreSQL with `reelflow ledger "
            "move`, for several machines; or, if this copy is to be the server's ledger from now on, run `reelflow "
            "ledger use` with it."
        )
