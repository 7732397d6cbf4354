"""Ask for the password of a ledger: on a command line, every user of the machine could read it."""

from __future__ import annotations

import getpass
import sys

from reelflow.errors import InputError
from reelflow.ledger import Ledger


def ledger_at(url: str, *, known: str = "", even_if_replaced: bool = False) -> Ledger:
    """The ledger at a URL; with a password that a person types, if its PostgreSQL may ask for one.

    They are asked although this terminal may need none, with a password file, PGPASSWORD or rules of its own: the URL
    is for all machines.

    Args:
        url: Its URL; with a password, that is used, and nobody is asked.
        known: The URL with its password, as far as that is stored. If it still opens the ledger, nobody is asked.
        even_if_replaced: Whether it may be opened although another one is used in its place.

    Raises:
        InputError: there is no terminal to ask in, and the password is needed here.
    """
    ledger = Ledger(url, even_if_replaced=even_if_replaced)
    if ledger.url.get_backend_name() != "postgresql" or ledger.url.password:
        return ledger
    can_ask = sys.stdin.isatty()
    if known and ledger.is_same_but_for_password(stored := Ledger(known, even_if_replaced=even_if_replaced)):
        if not can_ask or (stored.url.password and stored.lets_in()):
            return stored
    elif not can_ask:
        if not ledger.lacks_password():
            return ledger
        raise InputError(
            f"The PostgreSQL of {ledger.place} asks for a password, and there is no terminal to ask in. Run this in a "
            "terminal; or write the password into the file ~/.pgpass on every machine that uses the ledger."
        )
    password = getpass.getpass(f"Password for {ledger.place}, for all machines; Enter if none is needed (hidden): ")
    return Ledger(ledger.with_password(password), even_if_replaced=even_if_replaced) if password else ledger
