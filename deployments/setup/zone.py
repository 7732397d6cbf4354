"""Which time zone setup stores: the one that a person names, else the server's, else this machine's."""

from __future__ import annotations

import sys

from reelflow.errors import InputError
from reelflow.time_zones import machine_zone, read_zone


def choose_zone(named: str | None, stored: str | None, *, ask: bool) -> str:
    """The time zone for schedules, forms, messages and reports.

    Args:
        named: With --time-zone.
        stored: What an earlier setup was told.
        ask: Whether to ask where there is a terminal.

    Raises:
        InputError: `named` is unknown.
    """
    if named:
        return read_zone(named).key
    if stored:
        return stored
    if not ask or not sys.stdin.isatty():
        return machine_zone()
    while True:
        answer = input(f"Time zone of schedules, messages and reports [{machine_zone()}]: ").strip()
        try:
            return read_zone(answer or machine_zone()).key
        except InputError as error:
            print(error)
