"""Find the connected accounts that a form names, and check the caption for their platforms."""

from __future__ import annotations

from collections.abc import Sequence

from reelflow.errors import InputError
from reelflow.records.posts import Account

ALL = "all"
CAPTION_LIMITS = {"X": 100}
"""Characters by platform, from the official SDK's table."""
CAPTION_LIMIT = 2200
"""Characters on every other platform, from the same table."""


def choose_accounts(names: Sequence[str], connected: Sequence[Account]) -> list[Account]:
    """The accounts that `names` names, each once, in the order named.

    A name is an account's id, its display name (with or without @), its platform, or "platform name" together;
    upper and lower case do not matter. A platform with two connected accounts is ambiguous.

    Raises:
        InputError: a name matches no account, or several; the message lists what is connected.
    """
    if not connected:
        raise InputError("No accounts are connected in Taisly yet. Connect your accounts there first.")
    given = [name.strip() for name in names if name.strip()]
    if not given:
        raise InputError(f"Name at least one account. Connected accounts: {_listed(connected)}.")
    chosen: dict[str, Account] = {}
    for name in given:
        if name.casefold() == ALL:
            chosen |= {a.id: a for a in connected}
            continue
        found = _named(name, connected)
        if not found:
            raise InputError(f"No connected account matches {name!r}. Connected accounts: {_listed(connected)}.")
        if len(found) > 1:
            raise InputError(
                f"{name!r} matches {len(found)} accounts: {_listed(found)}. Use the account's own name or its ID."
            )
        chosen.setdefault(found[0].id, found[0])
    return list(chosen.values())


def _named(name: str, connected: Sequence[Account]) -> list[Account]:
    if exact := [a for a in connected if a.id == name]:
        return exact
    plain = _plain(name)
    for spelling in (
        lambda a: f"{a.platform} {a.name}",
        lambda a: a.platform,
        lambda a: a.name,
    ):
        if found := [a for a in connected if _plain(spelling(a)) == plain]:
            return found
    return []


def _plain(name: str) -> str:
    return " ".join(name.replace("@", "").replace(":", " ").casefold().split())


def _listed(accounts: Sequence[Account]) -> str:
    return ", ".join(f"{a.label} (id {a.id})" for a in accounts)


def check_caption(caption: str, accounts: Sequence[Account]) -> None:
    """Raise InputError if the caption is too long for a platform. It is never cut: shortening is up to its author."""
    limits = {platform.casefold(): limit for platform, limit in CAPTION_LIMITS.items()}
    for account in accounts:
        limit = limits.get(account.platform.casefold(), CAPTION_LIMIT)
        if len(caption) > limit:
            raise InputError(
                f"The caption has {len(caption)} characters; {account.platform} allows {limit}. "
                f"Shorten it, or post to {account.label} in a separate run."
            )
