"""The checks of everything that reelflow needs. They change nothing at the services."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from prefect.client.orchestration import SyncPrefectClient

from blocks import BY_SLUG, PostingSlots, ReelflowLedger, TaislyAccount, TikMatrixHost
from blocks.reference import load_saved
from reelflow.addresses import is_loopback
from reelflow.errors import (
    Busy,
    ChecksFailed,
    InputError,
    NotAllowed,
    NothingSent,
    OutcomeUnknown,
    ReelflowError,
    Refused,
)
from reelflow.ledger import Ledger
from reelflow.posts.accounts import account_names
from reelflow.posts.cleanup import unconfirmed_sends
from reelflow.records.engagements import OPEN
from reelflow.records.phone_states import RequestState
from reelflow.tikmatrix.client import SERVICE as TIKMATRIX
from reelflow.time_zones import shown
from reelflow.upkeep.key_file import KeyFile, key_folder
from reelflow.wording import all_of, count, listed, one_line
from tasks.ledger import PATIENCE, current_ledger
from tasks.phones.wording import waiting_posts
from tasks.posts.clients import describe_deleted_clients, load_clients
from tasks.zone import problem_of_zone

CLOCK_LIMIT = 60.0
"""Seconds by which a service's clock may differ before it is worth mentioning: posts are looked up by time."""
OWN_CLOCKS_LIMIT = 5.0
"""The same between machines of ours: who holds what is counted in seconds, by the clock of each."""
NTP = "Synchronise the clocks of all machines with NTP."
ON_ITS_PC = (
    "is not reachable from this machine; its own PC checks it, with finish-phone-tasks. If this is that PC, start "
    "TikMatrix."
)
"""Of TikMatrix at a local address: every PC with phones has the same one, so nothing tells whether it is this PC's."""


class Finding(NamedTuple):
    """One check: what was checked, whether it passed, and what was found; a warning is no failure."""

    what: str
    ok: bool
    found: str
    is_warning: bool = False


def check_ledger(ledger: Ledger) -> Finding:
    """Check whether the ledger can be used. Lost sends, and what waits for a person, are a warning: they rang once."""
    try:
        identity = ledger.identity()
        ledger.check_disk()
        unconfirmed = unconfirmed_sends(ledger)
        held = ledger.on_hold()
        sending = ledger.task_requests(states=[RequestState.SENDING])
        unsettled = ledger.task_requests(states=[RequestState.UNCONFIRMED])
        engaging = [each.file for each in ledger.engagements(states=OPEN)]
    except ReelflowError as error:
        return Finding("Ledger", False, str(error))
    waiting = f"; {waiting_posts(engaging)}" if engaging else ""
    parts = [f"{ledger.place} (ID {identity.id[:8]}, {count(identity.sends, 'send')}{waiting})"]
    if identity.lost_sends and identity.is_looking_back:
        parts.append(
            f"{count(identity.lost_sends, 'send')} fewer than this Prefect server remembers: it was emptied or "
            "restored from a backup. The next run that publishes searches Taisly's history for them first"
        )
    if unconfirmed:
        parts.append(f"{count(len(unconfirmed), 'unconfirmed post')} waiting for you (run resolve-post)")
    if held:
        names = ", ".join(hold.account.label for hold in held)
        parts.append(f"{count(len(held), 'account')} on hold after failures in a row: {names} (run `reelflow release`)")
    if lost := [request for request in sending if request.lease_is_over(ledger.now(), ledger.lease_seconds)]:
        parts.append(f"{count(len(lost), 'request')} to TikMatrix without an answer (run finish-phone-tasks)")
    if unsettled:
        ids = listed([request.id for request in unsettled])
        what = count(len(unsettled), "unconfirmed request")
        parts.append(
            f"{what} to TikMatrix waiting for you (run manage-phone-tasks: 'mark done' or 'mark not done' {ids})"
        )
    return Finding("Ledger", True, "; ".join(parts), is_warning=len(parts) > 1)


def check_deleted_clients(ledger: Ledger) -> Iterator[Finding]:
    """A warning for each client whose block was deleted while posts of it are open."""
    try:
        found = describe_deleted_clients(ledger, load_clients())
    except ReelflowError as error:
        yield Finding("Open posts", False, str(error))
        return
    for sentence in found:
        yield Finding("Open posts", True, sentence, is_warning=True)


def check_time_zone(client: SyncPrefectClient) -> Iterator[Finding]:
    """Say what is wrong with the server's time zone; nothing if it can be used."""
    if problem := problem_of_zone(client):
        yield Finding("Time zone", False, problem)


def check_own_clock(ledger: Ledger, server: float | None = None) -> Iterator[Finding]:
    """Compare this machine's clock with that of the ledger's PostgreSQL, and of the Prefect server, if it knows one.

    Longer than a lease apart, runs of two machines take each other for dead. Nothing is sent twice by that, since each
    step of a send is checked, but runs fail.

    Args:
        ledger: Whose database has a clock, if it is no file.
        server: Seconds by which the Prefect server's clock is ahead of this machine's; None if it did not tell.
    """
    try:
        clocks = {"the ledger's PostgreSQL": ledger.clock_ahead(), "the Prefect server": server}
    except ReelflowError as error:
        yield Finding("Clock", False, str(error))
        return
    known = {name: ahead for name, ahead in clocks.items() if ahead is not None}
    apart = {name: ahead for name, ahead in known.items() if abs(ahead) > OWN_CLOCKS_LIMIT}
    if known and not apart:
        yield Finding("Clock", True, f"as that of {listed(list(known))}")
    if not apart:
        return
    words = [f"{abs(a):.0f} s {'behind' if a > 0 else 'ahead of'} that of {name}" for name, a in apart.items()]
    ok = max(map(abs, apart.values())) < ledger.lease_seconds
    found = f"this machine's is {listed(words)}. {NTP}"
    yield Finding("Clock", ok, found, is_warning=ok)


def find_ledger(patience: float = PATIENCE) -> tuple[Ledger | None, Finding]:
    """The server's ledger, if this program uses the same and can use it, with what was found.

    Args:
        patience: Seconds for which a PostgreSQL that is away is waited for.
    """
    try:
        ledger = current_ledger(patience)
    except ReelflowError as error:
        return None, Finding("Ledger", False, str(error))
    return ledger, check_ledger(ledger)


def check_blocks(ledger: Ledger, names: list[tuple[str, str]]) -> Iterator[Finding]:
    """Check what each saved block connects to.

    Args:
        ledger: For the requests of the last hour.
        names: Slug and name of each block.
    """
    for slug, name in names:
        kind = BY_SLUG[slug]
        yield _finding(f"{kind._block_type_name} {name!r}", partial(_load_and_check, kind, name, ledger))
    yield from _check_keys([name for slug, name in names if BY_SLUG[slug] is TaislyAccount])


def _check_keys(clients: list[str]) -> Iterator[Finding]:
    """A warning where two clients have one key: one may have lost its own, and with it the outcomes of its posts."""
    by_key: dict[str, list[str]] = {}
    for name in clients:
        with suppress(ReelflowError, ValueError, RuntimeError):  # which the check of the block itself says
            if (block := load_saved(TaislyAccount, name)) is not None:
                by_key.setdefault(block.fingerprint(), []).append(name)
    for same in by_key.values():
        if len(same) > 1:
            found = (
                f"{all_of(same)} have the same API key, and so the same accounts. If one of them has had a key of its "
                "own, put that back: nothing reads the outcomes of its open posts."
            )
            yield Finding("API keys", True, found, is_warning=True)


def _load_and_check(kind: type[Any], name: str, ledger: Ledger) -> tuple[str, bool]:
    """A one-line summary of a block, and whether it is a warning."""
    block = load_saved(kind, name)
    if block is None:
        raise InputError("was removed just now. Run the check again.")
    try:
        return check_block(block, ledger), False
    except NothingSent as error:
        if isinstance(error, Busy) or not (isinstance(block, TikMatrixHost) and is_loopback(block.base_url)):
            raise
        return f"{block.base_url} {ON_ITS_PC}", True


def check_block(block: Any, ledger: Ledger) -> str:
    """Check what a block connects to; returns a one-line summary.

    Raises:
        ReelflowError: it does not work.
    """
    if isinstance(block, TaislyAccount):
        return _check_taisly(block, ledger)
    if isinstance(block, TikMatrixHost):
        return _check_tikmatrix(block)
    if isinstance(block, PostingSlots):
        return _describe_slots(block)
    return f"key is set, model {block.model}"


def _check_taisly(block: TaislyAccount, ledger: Ledger) -> str:
    with block.get_rate_limited(ledger) as client:
        try:
            accounts = account_names(client.check_accounts())
        except NotAllowed as error:
            error.message += _kept_key(block) if error.status == 401 else ""
            raise
        check_clock(client.clock_ahead)
        used = ledger.requests_in_last_hour(client.key)
        if not accounts:
            raise ChecksFailed(f"{block.base_url}: no account is connected. Connect one in Taisly.")
        return (
            f"{block.base_url}: {count(len(accounts), 'account')} connected ({', '.join(accounts)}); "
            f"plan {block.plan}, {used} of {client.per_hour} requests used in the last hour"
        )


def _kept_key(block: TaislyAccount) -> str:
    """What a run that died has left of a new key for a block, on this machine; empty if nothing."""
    try:
        kept = KeyFile(key_folder(), str(block._block_document_id)).read()
    except InputError as error:
        return f" {error}"
    if kept is None:
        return ""
    if kept.key.get_secret_value():
        return (
            f" A new key was generated at {shown(kept.at)} and not saved. Run rotate-api-key on this machine, with "
            "'Dry run' off, to save it."
        )
    return (
        f" A new key was asked for at {shown(kept.at)}, and the answer was lost. Generate another key in Taisly's "
        "settings, and put it into the block."
    )


def _check_tikmatrix(block: TikMatrixHost) -> str:
    licence = block.check()
    with block.get_client() as client:
        devices = client.devices()
        check_clock(client.clock_ahead)
    phones = block.guardrails.phones
    known = {phone.serial for phone in phones}
    line = f"{block.base_url}: licence {licence.plan_name}, {licence.device_limit or 'several'} phones at once"
    if not known:
        raise ChecksFailed(f"{line}; the block lists no phones, so none can be used. List them in the block.")
    line += f"; {count(len(known), 'phone')} listed: {listed([phone.name for phone in phones])}"
    if devices is not None:
        online = {name for device in devices for name in device.names}
        line += f"; {len(known & online)} of them online"
        if away := sorted(known - online):
            line += f" (not: {listed(away)}; connect them to the PC to use them)"
    return line


def _describe_slots(block: PostingSlots) -> str:
    rows = sum(bool(row.strip()) for row in block.slots)
    return f"{count(rows, 'row')} of slots, in {block.book.zone.key}{'; paused' if block.paused else ''}"


def check_clock(ahead: float | None) -> None:
    """Raise ChecksFailed if a service's clock is `ahead` of ours, or behind, by more than a minute."""
    if ahead is None or abs(ahead) < CLOCK_LIMIT:
        return
    way = "ahead of" if ahead > 0 else "behind"
    raise ChecksFailed(
        f"its clock is {abs(ahead) / 60:.0f} minutes {way} this machine's. Synchronise this machine's clock with NTP."
    )


def _finding(what: str, check: Callable[[], tuple[str, bool]]) -> Finding:
    try:
        found, is_warning = check()
        return Finding(what, True, found, is_warning)
    except ReelflowError as error:
        return Finding(what, False, with_next_step(error))
    except (ValueError, RuntimeError) as error:
        reason = one_line(str(error)).rstrip(".")
        return Finding(what, False, f"cannot be loaded ({reason}). Save it again in the UI under Blocks.")


def with_next_step(error: ReelflowError) -> str:
    """What a service's error says, with what to do about it in the block or at the service."""
    match error:
        case Busy():
            step = "Run the check again then."
        case NothingSent() if error.service == TIKMATRIX:
            step = "Start TikMatrix on the PC with the phones, and check the base URL of the block."
        case NothingSent():
            step = "Check the internet connection of this machine, and the base URL of the block."
        case OutcomeUnknown():
            step = f"Run the check again. If it still fails, see whether {error.service} itself works."
        case NotAllowed() if error.service == TIKMATRIX and error.status == 403:
            step = "Check the licence in TikMatrix."
        case NotAllowed():
            step = ""
        case Refused() if (error.status or 0) >= 400:
            step = "Check the base URL of the block."
        case _:
            step = ""
    return f"{error} {step}".rstrip()


def our_blocks(client: Any) -> list[tuple[str, str]]:
    """Slug and name of each of our saved blocks but the ledger's, sorted."""
    found = client.read_block_documents(include_secrets=False)
    ours = [(d.block_type.slug, d.name) for d in found if d.block_type and d.name]
    return sorted(pair for pair in ours if pair[0] in BY_SLUG and pair[0] != ReelflowLedger.get_block_type_slug())
