"""The one ledger of a Prefect server: every program that talks to the server uses it, or refuses to send anything.

A block on the server says where the ledger is and which one it is. Another ledger would not know what was posted, and
posts would be sent again in silence. The server also remembers how many sends the ledger had, so that one which was
emptied or restored from a backup is noticed.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from blocks import ReelflowLedger
from reelflow.errors import LedgerUnavailable, ReelflowError
from reelflow.ledger import URL_VARIABLE, Ledger, default_url
from reelflow.wording import count

log = logging.getLogger("reelflow.ledger")

BLOCK_NAME = "main"
"""The name of the block: a server has one ledger."""
SENDS_VARIABLE = "reelflow_ledger_sends"
"""The Prefect variable with the id of the ledger and how many sends it had when a run last published."""
SAVE_TRIES = 3
"""How often registering the block's type is tried: two first runs at once do it both, and one of them fails."""
RISK = "Nothing was sent: another ledger does not know what was posted, so posts would be sent again."

PATIENCE = 60.0
"""Seconds for which a run waits for a PostgreSQL that is away: it may be restarting."""


def open_ledger() -> Ledger:
    """The server's ledger; one read of the server, and one connection pool, for each process.

    Where the server has none yet, it is the one at REELFLOW_LEDGER_URL, or the user's own, and is the server's from now
    on. If it was moved since this process opened it, the new one.

    Raises:
        LedgerUnavailable: the server, or its ledger, cannot be read; or REELFLOW_LEDGER_URL leads to another ledger.
    """
    key = (PREFECT_API_URL.value() or "", str(PREFECT_HOME.value()), own_url())
    with _opening:
        if ledger := _opened.get(key):
            with suppress(LedgerUnavailable):
                if not ledger.was_moved():
                    return ledger
            close_ledgers()
        _opened[key] = _open(key[-1])
        return _opened[key]


def reopen_ledger() -> Ledger:
    """The server's ledger as it is now, for a hook: its process may be a worker that has run for months."""
    close_ledgers()
    return open_ledger()


def close_ledgers() -> None:
    """Close what this process has opened; whoever opens the ledger next reads the server again."""
    while _opened:
        _opened.popitem()[1].close()


_opened: dict[tuple[str, str, str], Ledger] = {}
"""By server, Prefect's own folder, and the URL in the environment."""
_opening = threading.Lock()
"""Steps that run at once, in threads of their own, use the same connections."""


def own_url() -> str:
    """The ledger that this machine's environment names; empty if it names none."""
    return os.environ.get(URL_VARIABLE, "").strip()


def _open(own: str) -> Ledger:
    with server_client() as client:
        stored = read_stored(client) or _save_first(client, Ledger(own or default_url(), patience=PATIENCE))
        ledger = _same_ledger(stored, own)
        remembered = read_sends(client, stored.ledger_id)
    if missing := ledger.expect_sends(remembered):
        log.warning(
            "The ledger at %s lacks %s that this Prefect server remembers: it was emptied, or restored from a backup. "
            "Before its next send, Taisly's history is searched for what it does not know.",
            ledger.place,
            count(missing, "send"),
        )
    return ledger


def _same_ledger(stored: ReelflowLedger, own: str) -> Ledger:
    """The ledger to use, once it is certain that it is the server's."""
    ledger = Ledger(own or stored.url.get_secret_value(), patience=PATIENCE)
    named = f"{URL_VARIABLE} leads to {ledger.place}" if own else f"This Prefect server's ledger is {ledger.place}"
    if ledger.is_missing_file:
        raise LedgerUnavailable(
            f"{named}, but that file does not exist on this machine. Nothing was sent. If it is on another machine, "
            "run this there, or move the ledger to PostgreSQL with `reelflow ledger move`. If it is lost, restore it "
            "from a backup, or begin a new ledger with `reelflow ledger use`."
        )
    found = ledger.identity().id
    if found == stored.ledger_id:
        return ledger
    if own:
        raise LedgerUnavailable(
            f"{named} (ID {found[:8]}), but this Prefect server uses the ledger {stored.place} (ID "
            f"{stored.ledger_id[:8]}). {RISK} Unset {URL_VARIABLE}; or, if this is to be the server's ledger from now "
            "on, run `reelflow ledger use`."
        )
    raise LedgerUnavailable(
        f"{named}, but another ledger is there now (ID {found[:8]} in place of {stored.ledger_id[:8]}): another "
        f"machine's, or one that was made after the old one was lost. {RISK} Run this where the old one is, or restore "
        "it from a backup; or, if this is to be the server's ledger from now on, run `reelflow ledger use`."
    )


# What the server stores


@contextmanager
def server_client() -> Iterator[SyncPrefectClient]:
    """A client of the Prefect server, to read which ledger it uses.

    Raises:
        LedgerUnavailable: the server cannot be reached or read; one sentence.
    """
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, AttributeError, RuntimeError, TypeError, ValueError) as error:  # the last: an odd answer
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise LedgerUnavailable(
            f"The Prefect server at {PREFECT_API_URL.value() or 'this machine'} does not say which ledger it uses "
            f"({reason}). Nothing was sent. Start the run again once the server answers."
        ) from None


def read_stored(client: SyncPrefectClient) -> ReelflowLedger | None:
    """The block that names the server's ledger; None if no run has used one yet."""
    slug = ReelflowLedger.get_block_type_slug()
    try:
        document = client.read_block_document_by_name(BLOCK_NAME, slug, include_secrets=True)
    except ObjectNotFound:
        return None
    return ReelflowLedger.model_validate(document.data)


def store_ledger(ledger: Ledger) -> None:
    """Make this ledger the server's, and let the server remember its number of sends."""
    with server_client():
        ReelflowLedger.of(ledger).save(BLOCK_NAME, overwrite=True)
    remember_sends(ledger)


def _save_first(client: SyncPrefectClient, ledger: Ledger) -> ReelflowLedger:
    """Make this ledger the server's, unless another program does so at the same moment; the block that is there then.

    It looks back, as nobody knows what was sent before.
    """
    block = ReelflowLedger.of(ledger)
    ledger.require_look_back()
    for _ in range(SAVE_TRIES):
        with suppress(ObjectAlreadyExists, ValueError):  # the block is there by now, or its type
            block.save(BLOCK_NAME)
        if stored := read_stored(client):
            return stored
    raise ValueError(f"the block {block.get_block_type_slug()}/{BLOCK_NAME} cannot be saved")


def read_sends(client: SyncPrefectClient, ledger_id: str) -> int:
    """How many sends this ledger had, as far as the server remembers."""
    variable = client.read_variable_by_name(SENDS_VARIABLE)
    value: Any = variable.value if variable else None
    if not isinstance(value, dict) or value.get("ledger") != ledger_id or not isinstance(value.get("sends"), int):
        return 0
    return int(value["sends"])


def remember_sends(ledger: Ledger) -> None:
    """Let the server remember how many sends the ledger has by now.

    An error is only logged: by now the post has been sent, and the next run that publishes does it too.
    """
    try:
        with server_client() as client:
            _write_sends(client, ledger)
    except ReelflowError:
        log.warning(
            "The Prefect server was not told how many sends the ledger has. The next run that publishes does it."
        )


def _write_sends(client: SyncPrefectClient, ledger: Ledger) -> None:
    found = ledger.identity()
    if found.sends <= read_sends(client, found.id):
        return
    value = {"ledger": found.id, "sends": found.sends}
    try:
        client.create_variable(VariableCreate(name=SENDS_VARIABLE, value=value))
    except ObjectAlreadyExists:
        client.update_variable(VariableUpdate(name=SENDS_VARIABLE, value=value))
