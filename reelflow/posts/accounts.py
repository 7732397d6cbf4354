"""Find the connected accounts that a form names, and check the caption for their platforms."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from reelflow.errors import InputError
from reelflow.fields import ALL
from reelflow.records.posts import Account
from reelflow.wording import listed

CAPTION_LIMITS = {"X": 100}
"""Characters by platform, from the official SDK's table."""
CAPTION_LIMIT = 2200
"""Characters on every other platform, from the same table."""


def choose_accounts(names: Sequence[str], connected: Sequence[Account]) -> list[Account]:
    """The accounts that `names` names, each once, in the order named.

    A name is an account's id, its display name (with or without @), its platform, or "platform name" together, with
    or without its id as `account_names` writes it; upper and lower case do not matter. A platform with two connected
    accounts is ambiguous. A row may have several names with commas.

    Raises:
        InputError: a name matches no account or several, or 'all' is combined with other names. The message lists what
            is connected.
    """
    if not connected:
        raise InputError("No accounts are connected in Taisly yet. Connect your accounts there first.")
    given = [name for row in names for name in names_in(row, connected)]
    if not given:
        raise InputError(f"Name at least one account. Connected accounts: {_listed(connected)}.")
    others = [name for name in given if name.casefold() != ALL]
    if not others:
        return list(connected)
    if len(others) < len(given):
        raise InputError(
            f"'all' means every connected account. Remove 'all' to post only to {listed(list(dict.fromkeys(others)))}, "
            f"or remove the other names. Connected accounts: {_listed(connected)}."
        )
    chosen: dict[str, Account] = {}
    for name in given:
        found = _named(name, connected)
        if not found:
            hint = did_you_mean(name, [*account_names(connected), *(account.platform for account in connected)])
            raise InputError(f"No connected account matches {name!r}.{hint} Connected accounts: {_listed(connected)}.")
        if len(found) > 1:
            raise InputError(f"{name!r} matches {len(found)} accounts: {_listed(found)}. Choose one of them.")
        chosen.setdefault(found[0].id, found[0])
    return list(chosen.values())


def accounts_named(name: str, among: Sequence[Account]) -> list[Account]:
    """Those accounts that a name, written as for `choose_accounts`, may mean; all for 'all'."""
    return list(among) if name.strip().casefold() == ALL else _named(name.strip(), among)


def account_names(connected: Sequence[Account]) -> list[str]:
    """What people choose from, and type: "TikTok @mara.bakes", with its id where that names several accounts."""
    return [a.label if _named(a.label, connected) == [a] else label_with_id(a) for a in connected]


def names_in(row: str, connected: Sequence[Account]) -> list[str]:
    """The names in one row of a form: one, unless the row only makes sense as several."""
    if "," not in row or _named(row.strip(), connected):
        return [row.strip()] if row.strip() else []
    return [name.strip() for name in row.split(",") if name.strip()]


def label_with_id(account: Account) -> str:
    """How people name an account whose label several accounts have: "TikTok @mara.bakes (id 7)"."""
    return f"{account.label} (id {account.id})"


def _named(name: str, connected: Sequence[Account]) -> list[Account]:
    if exact := [a for a in connected if name in (a.id, label_with_id(a))]:
        return exact
    plain = plain_name(name)
    for spelling in (
        lambda a: f"{a.platform} {a.name}",
        lambda a: a.platform,
        lambda a: a.name,
    ):
        if found := [a for a in connected if plain_name(spelling(a)) == plain]:
            return found
    return []


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """The name that is most like a mistyped one, as a question with a space before it; empty if none is."""
    by_plain = {plain_name(each): each for each in names}
    close = get_close_matches(plain_name(name), by_plain, 1, 0.8)
    return f" Did you mean {by_plain[close[0]]}?" if close else ""


def plain_name(name: str) -> str:
    """A name of an account or a platform without what does not matter in it: capitals, "@", colons and wide spaces."""
    return " ".join(name.replace("@", "").replace(":", " ").casefold().split())


def _listed(accounts: Sequence[Account]) -> str:
    return ", ".join(account_names(accounts))


def caption_limit(platform: str) -> int:
    """How many characters a caption may have on a platform."""
    limits = {name.casefold(): limit for name, limit in CAPTION_LIMITS.items()}
    return limits.get(platform.casefold(), CAPTION_LIMIT)


def check_caption(caption: str, accounts: Sequence[Account]) -> None:
    """Raise InputError if the caption is too long for a platform. It is never cut: shortening is up to its author."""
    for account in accounts:
        limit = caption_limit(account.platform)
        if len(caption) > limit:
            raise InputError(
                f"The caption has {len(caption)} characters; {account.platform} allows {limit}. "
                f"Shorten it, or post to {account.label} in a separate run."
            )


def gone_name(account_id: str) -> str:
    """What stands for the name of an account that Taisly no longer has."""
    return f"an account that is no longer connected (id {account_id})"
