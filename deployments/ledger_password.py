"""Ask for the password of a ledger: on a command line, every user of the machine could read it."""

from __future__ import annotations

import getpass
import sys

from reelflow.errors import InputError
from reelflow.ledger import Ledger


def ledger_at(url: str, *, even_if_replaced: bool = False) -> Ledger:
    """The ledger at a URL; with a password that a person types, if its PostgreSQL asks for one that is not there.

    Raises:
        InputError: there is no terminal to ask in.
    """
    ledger = Ledger(url, even_if_replaced=even_if_replaced)
    if not ledger.lacks_password():
        return ledger
    if not sys.stdin.isatty():
        raise InputError(
            f"The PostgreSQL of {ledger.place} asks for a password, and there is no terminal to ask in. Run this in a "
            "terminal; or write the password into the file ~/.pgpass on every machine that uses the ledger."
        )
    password = getpass.getpass(f"Password for {ledger.place} (hidden): ")
    return Ledger(ledger.with_password(password), even_if_replaced=even_if_replaced)
