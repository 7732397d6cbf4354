"""The one ledger of a Prefect server: every program that talks to the server uses it, or refuses to send anything.

A block on the server says where the ledger is and which one it is. Another ledger would not know what was posted, and
posts would be sent again in silence. What the server remembers of its content is in `tasks.remembered`.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Self

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from blocks import ReelflowLedger
from blocks.reference import register_block_type
from reelflow.errors import LedgerReplaced, LedgerUnavailable, ReelflowError
from reelflow.ledger import URL_VARIABLE, Ledger, default_url
from tasks.remembered import read_remembered, recognize, remember, write_remembered

log = logging.getLogger("reelflow.ledger")

BLOCK_NAME = "main"
"""The name of the block: a server has one ledger."""
SAVE_TRIES = 3
"""How often registering the block's type is tried: two first runs at once do it both, and one of them fails."""
RISK = "Nothing was sent: another ledger does not know what was posted, so posts would be sent again."

BLOCK_SECONDS = 5.0
"""How long a campaign relies on what it read of the server's block."""
GATHER_SECONDS = 0.25
"""How long a confirmation waits for more posts to be claimed."""
PATIENCE = 60.0
"""Seconds for which a run waits for a PostgreSQL that is away: it may be restarting."""


def open_ledger(patience: float = PATIENCE) -> Ledger:
    """The server's ledger; one read of the server, and one connection pool, for each process.

    Where the server has none yet, it is the one at REELFLOW_LEDGER_URL, or the user's own, and is the server's from now
    on. If it was replaced since this process opened it, the new one.

    Args:
        patience: Seconds for which a PostgreSQL that is away is waited for, by whoever opens it first.

    Raises:
        LedgerUnavailable: the server, or its ledger, cannot be read; or REELFLOW_LEDGER_URL leads to another ledger.
    """
    key = _key()
    with _opening:
        if opened := _opened.get(key):
            with suppress(LedgerUnavailable):
                if not opened[0].was_moved():
                    return opened[0]
            close_ledgers()
        _opened[key] = _open(key[-1], patience)
        return _opened[key][0]


def current_ledger(patience: float = PATIENCE) -> Ledger:
    """The same for a step that sends something: the server is read again, as this process may have waited for hours.

    Raises:
        LedgerUnavailable: as before; or another copy of the ledger is in use.
    """
    ledger = open_ledger(patience)
    with server_client() as client:
        if _opened.get(_key()) == (ledger, _content_of(read_stored(client))):
            recognize(client, ledger)
            return ledger
    return reopen_ledger(patience)


def confirm_ledger(ledger: Ledger) -> None:
    """Make sure, once a post is claimed, that the ledger is still the server's, and let the server remember the claim.

    Before anything is sent, and not after it: if this machine died in between and the ledger was restored from a
    backup, nobody would miss the send.

    Raises:
        LedgerUnavailable: the server cannot be read or written. Nothing may be sent.
        LedgerReplaced: it uses another ledger by now.
    """
    with server_client() as client:
        _confirm_block(client, ledger)
        remember(client, ledger)


def _confirm_block(client: SyncPrefectClient, ledger: Ledger) -> None:
    stored = read_stored(client)
    if stored is None or stored.ledger_id != ledger.identity().id:
        raise LedgerReplaced(
            f"This Prefect server now uses another ledger than {ledger.place}: it was changed after this run "
            "began. Nothing was sent. Start the run again: it uses the new one."
        )


class SharedConfirmation:
    """`confirm_ledger` for posts that are sent at once: one confirmation for all that are claimed when it begins.

    The server remembers the newest of the claims each time, over one connection, which is open in the `with` block. The
    server's block is read again every few seconds only: while posts are claimed, no command replaces the ledger.

    Args:
        ledger: In which the posts are claimed.
        enough: How many posts a confirmation waits for, for at most `GATHER_SECONDS`.
    """

    def __init__(self, ledger: Ledger, *, enough: int = 1) -> None:
        self._ledger, self._enough = ledger, enough
        self._context = ExitStack()
        self._client: SyncPrefectClient
        self._block_read_at = float("-inf")
        self._changed = threading.Condition()
        self._asked = self._confirmed = self._refused = 0
        self._is_asking, self._refusal = False, LedgerUnavailable("")

    def __enter__(self) -> Self:
        with server_errors():
            self._client = self._context.enter_context(get_client(sync_client=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def __call__(self) -> None:
        """As `confirm_ledger`: wait for the result of a confirmation that began after this call."""
        with self._changed:
            self._asked += 1
            mine = self._asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: max(self._confirmed, self._refused) >= mine or not self._is_asking)
            if self._confirmed >= mine:
                return
            if self._refused >= mine:
                raise type(self._refusal)(str(self._refusal))  # an error of each thread's own
            self._is_asking = True
            before = max(self._confirmed, self._refused)
            self._changed.wait_for(lambda: self._asked - before >= self._enough, GATHER_SECONDS)
            newest = self._asked
        try:
            with server_errors():
                self._confirm()
            with self._changed:
                self._confirmed = newest
        except LedgerUnavailable as error:
            with self._changed:
                self._refused, self._refusal = newest, error
            raise
        finally:
            with self._changed:
                self._is_asking = False
                self._changed.notify_all()

    def _confirm(self) -> None:
        if (now := time.monotonic()) - self._block_read_at > BLOCK_SECONDS:
            _confirm_block(self._client, self._ledger)
            self._block_read_at = now
        remember(self._client, self._ledger)


def reopen_ledger(patience: float = PATIENCE) -> Ledger:
    """The server's ledger as it is now, for a hook: its process may be a worker that has run for months."""
    close_ledgers()
    return open_ledger(patience)


def close_ledgers() -> None:
    """Close what this process has opened; whoever opens the ledger next reads the server again."""
    while _opened:
        _opened.popitem()[1][0].close()


def _key() -> tuple[str, str, str]:
    return PREFECT_API_URL.value() or "", str(PREFECT_HOME.value()), own_url()


_opened: dict[tuple[str, str, str], tuple[Ledger, tuple[str, str]]] = {}
"""Each with what the server's block said, by server, Prefect's own folder, and the URL in the environment."""
_opening = threading.Lock()
"""Steps that run at once, in threads of their own, use the same connections."""


def own_url() -> str:
    """The ledger that this machine's environment names; empty if it names none."""
    return os.environ.get(URL_VARIABLE, "").strip()


def _open(own: str, patience: float) -> tuple[Ledger, tuple[str, str]]:
    with server_client() as client:
        stored = read_stored(client) or _save_first(client, own or default_url(), patience)
        ledger = _same_ledger(stored, own, patience)
        recognize(client, ledger)
    return ledger, _content_of(stored)


def _same_ledger(stored: ReelflowLedger, own: str, patience: float) -> Ledger:
    """The ledger to use, once it is certain that it is the server's."""
    ledger = Ledger(own or stored.url.get_secret_value(), patience=patience)
    named = f"{URL_VARIABLE} leads to {ledger.place}" if own else f"This Prefect server's ledger is {ledger.place}"
    if ledger.is_missing_file and own:
        raise LedgerUnavailable(
            f"{named}, but that file does not exist on this machine. Nothing was sent. Unset {URL_VARIABLE}: this "
            f"Prefect server's ledger is {stored.place}."
        )
    if ledger.is_missing_file:
        raise LedgerUnavailable(
            f"{named}, but that file does not exist on this machine. Nothing was sent. If it is on another machine, "
            "run this there, or move the ledger to PostgreSQL with `reelflow ledger move`. If it is lost, restore it "
            "from a backup, or begin a new ledger with `reelflow ledger use`."
        )
    found = ledger.identity().id
    if found == stored.ledger_id:
        _refuse_copy(named, ledger, stored)
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


def _refuse_copy(named: str, ledger: Ledger, stored: ReelflowLedger) -> None:
    """Raise LedgerUnavailable if the server's own file is on this machine, too, and the ledger is a copy of it."""
    original = stored.get_ledger()
    if not original.is_missing_file and not ledger.is_same_file(original):
        raise LedgerUnavailable(
            f"{named}, but that is a copy of this Prefect server's ledger {stored.place}. {RISK} Unset {URL_VARIABLE}; "
            "or, if the copy is to be the server's ledger from now on, run `reelflow ledger use`."
        )


def _content_of(stored: ReelflowLedger | None) -> tuple[str, str]:
    """The block's URL and ledger ID: they tell whether it has changed."""
    return (stored.url.get_secret_value(), stored.ledger_id) if stored else ("", "")


# What the server stores


@contextmanager
def server_client() -> Iterator[SyncPrefectClient]:
    """A client of the Prefect server, to read which ledger it uses.

    Raises:
        LedgerUnavailable: the server cannot be reached or read; one sentence.
    """
    with server_errors(), get_client(sync_client=True) as client:
        yield client


@contextmanager
def server_errors() -> Iterator[None]:
    """Raise LedgerUnavailable, in one sentence, in place of what keeps the server from being reached or read."""
    try:
        yield
    except (httpx.HTTPError, AttributeError, RuntimeError, TypeError, ValueError) as error:  # the last: an odd answer
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        server = f"The Prefect server at {PREFECT_API_URL.value() or 'this machine'}"
        if isinstance(error, httpx.ConnectError):
            raise LedgerUnavailable(
                f"{server} is not running, or cannot be reached from here ({reason}). Nothing was sent. Start the "
                "server, then start the run again."
            ) from None
        raise LedgerUnavailable(
            f"{server} does not say which ledger it uses ({reason}). Nothing was sent. Start the run again once "
            "the server answers."
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
        register_block_type(ReelflowLedger)
        ReelflowLedger.of(ledger).save(BLOCK_NAME, overwrite=True)
    try:
        with server_client() as client:
            remember(client, ledger)
    except ReelflowError as error:
        log.warning("The Prefect server was not told how many sends the ledger has; the next send does it: %s", error)


def choose_ledger(ledger: Ledger) -> None:
    """Make this ledger the server's after a person's decision: it looks back, and any other copy of it is refused."""
    with server_client() as client:
        block, found = ReelflowLedger.of(ledger), ledger.identity()
        ledger.expect_sends(read_remembered(client, found.id).sends)
        found = ledger.identity()

        def commit(copy: str) -> None:
            block.save(BLOCK_NAME, overwrite=True)
            write_remembered(client, found, copy)

        if not ledger.rename_copy(found.copy_id, commit=commit):
            raise LedgerUnavailable("Nothing was changed: another program chose a ledger at this moment. Try again.")
    ledger.reinstate()


def _save_first(client: SyncPrefectClient, url: str, patience: float) -> ReelflowLedger:
    """Make this ledger the server's, unless another program does so at the same moment; the block that is there then.

    It looks back, as nobody knows what was sent before.
    """
    with closing(Ledger(url, patience=patience)) as ledger:
        block = ReelflowLedger.of(ledger)
        ledger.require_look_back()
    for _ in range(SAVE_TRIES):
        with suppress(ObjectAlreadyExists, ValueError):  # the block is there by now, or its type
            block.save(BLOCK_NAME)
        if stored := read_stored(client):
            return stored
    raise ValueError(f"the block {block.get_block_type_slug()}/{BLOCK_NAME} cannot be saved")
