"""``reelflow ledger``: show the ledger of a Prefect server, use another one, or move it."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

from prefect.settings import PREFECT_API_URL

from blocks import ReelflowLedger
from deployments.ledger_password import ledger_at
from deployments.prefect_api import checked_client
from reelflow.errors import LedgerUnavailable
from reelflow.ledger import (
    URL_VARIABLE,
    Identity,
    Ledger,
    default_url,
    move_ledger,
    refuse_while_in_use,
    replace_ledger,
)
from reelflow.time_zones import shown_zone
from reelflow.wording import count
from tasks.ledger import choose_ledger, close_ledgers, open_ledger, own_url, read_stored, store_ledger
from tasks.remembered import read_remembered
from tasks.zone import use_server_zone

_RESTART = "Restart the workers, or the process that serves the flows: what is running may still use the old one."


def show() -> int:
    """Print where the ledger is, what is in it, and what the server remembers."""
    with checked_client() as client:
        stored = read_stored(client)
        if stored is None:
            print(f"No program has used a ledger with {PREFECT_API_URL.value()} yet. The first run stores which it is.")
            return 0
        remembered = read_remembered(client, stored.ledger_id).sends
        use_server_zone(client)
    print(f"Ledger      {stored.place}\nID          {stored.ledger_id}")
    print(f"Remembered  {count(remembered, 'send')}, by the Prefect server at {PREFECT_API_URL.value()}", flush=True)
    found = open_ledger().identity()
    lost = f"; {found.lost_sends} more were lost" if found.lost_sends else ""
    since = datetime.fromtimestamp(found.created_at, shown_zone())
    print(f"Recorded    {count(found.sends - found.lost_sends, 'send')} since {since:%F}{lost}")
    if found.is_looking_back:
        print("Before its next send it searches Taisly's history for posts that it does not know.")
    return 0


def use(url: str | None = None, /) -> int:
    """Make a ledger the server's, after a person's decision.

    Parameters
    ----------
    url
        The ledger. The default is the one at REELFLOW_LEDGER_URL, or the user's own file.

    Raises:
        InputError: a run is at work with the present one.
    """
    with checked_client() as client, closing(ledger_at(url or default_url(), even_if_replaced=True)) as ledger:
        before, found = read_stored(client), ledger.identity()
        _replace(before, ledger)
    close_ledgers()
    print(f"This Prefect server uses the ledger {ledger.full_place} from now on (ID {found.id[:8]}).")
    print("Before its first sends it searches Taisly's history for posts that it does not know.")
    if before is not None and before.ledger_id != found.id:
        print(f"It has {count(found.sends, 'send')}. What only {before.place} knows of posts and phones is not in it.")
    _warn_of_variable(ledger)
    print(_RESTART)
    return 0


def _replace(before: ReelflowLedger | None, chosen: Ledger) -> None:
    """Use the chosen ledger, and mark the present one as replaced, if it is another one that can be used."""
    if before is None:
        choose_ledger(chosen)
        return
    with closing(before.get_ledger()) as present:
        found = _identity_of(present)
        if found is None or found.id not in (before.ledger_id, chosen.identity().id):
            choose_ledger(chosen)
        elif found.id == chosen.identity().id and present.is_same_file(chosen):
            refuse_while_in_use(present)
            choose_ledger(chosen)
        else:
            replace_ledger(present, chosen, commit=lambda: choose_ledger(chosen))


def _identity_of(present: Ledger) -> Identity | None:
    """None for one that is not here or cannot be used: that may be why another one is chosen."""
    if present.is_missing_file:
        return None
    try:
        return present.identity()
    except LedgerUnavailable:
        return None


def move(url: str, /) -> int:
    """Move everything to an empty database, and make that the server's ledger.

    Parameters
    ----------
    url
        The empty database: postgresql://user@host/reelflow. Its password is asked for.
    """
    with checked_client(), closing(ledger_at(url)) as target:
        source = open_ledger()
        rows = move_ledger(source, target, commit=lambda: store_ledger(target))
    close_ledgers()
    print(f"Moved {count(rows, 'row')} from {source.full_place} to {target.full_place}, which is used from now on.")
    print("The old ledger refuses to be used. Keep it as a backup, or delete it.")
    _warn_of_variable(target)
    return 0


def unblock() -> int:
    """End the pause of every key after a 429, and print how many were paused."""
    with checked_client():
        paused = open_ledger().unblock_keys()
    print(f"{count(paused, 'API key')} paused after a 429 can be used now." if paused else "No API key is paused.")
    return 0


def _warn_of_variable(ledger: Ledger) -> None:
    if (own := own_url()) and Ledger(own).full_url != ledger.full_url:
        print(f"{URL_VARIABLE} leads to {Ledger(own).full_place}: unset it here and on all other machines.")
