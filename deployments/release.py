"""``reelflow release``: let campaigns send to accounts again that are on hold."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from deployments.in_terminal import print_json, quieten_run_logs
from deployments.options import AsJson
from deployments.outcomes import account_facts
from reelflow.errors import ReelflowError
from reelflow.fields import ALL
from reelflow.ledger import Ledger
from reelflow.posts.accounts import accounts_named, label_with_id
from reelflow.records.clients import for_client
from reelflow.records.holds import Hold
from reelflow.records.posts import Account
from reelflow.time_zones import shown
from reelflow.wording import one_line

_NONE = "No account is on hold."


def release(*accounts: str, as_json: AsJson = False) -> int:
    """Release accounts, or list those that are on hold. The next run of a campaign sends what waits for them.

    The exit code is 1 if a name is of no account that is on hold.

    Parameters
    ----------
    accounts
        Their names, as `reelflow release` alone lists them; or all.
    """
    quieten_run_logs()
    from tasks.ledger import open_ledger
    from tasks.zone import use_server_zone

    use_server_zone()
    ledger = open_ledger()
    held, clients = ledger.on_hold(), _clients(ledger)
    known = list({hold.account.id: hold.account for hold in held}.values())  # one may be on hold at several services
    chosen, wrong = _chosen(accounts, known, clients)
    released = [
        hold for service in sorted({h.service for h in held}) for hold in ledger.release_accounts(service, chosen)
    ]
    if as_json:
        facts = [_facts(hold, on_hold=not accounts) for hold in (released if accounts else held)]
        facts = [fact | {"client": clients.get(fact["account_id"], "")} for fact in facts]
        for each in [*facts, *({"wrong": sentence} for sentence in wrong)]:
            print_json(each)
        return int(bool(wrong))
    lines = [_released(hold, clients) for hold in released] if accounts else [_line(hold, clients) for hold in held]
    print("\n".join([*lines, *wrong]) or _NONE)
    return int(bool(wrong))


def _clients(ledger: Ledger) -> dict[str, str]:
    """The client of each account, by its id; none if there is one client only, or the server does not answer."""
    from tasks.posts.clients import load_clients

    with contextlib.suppress(ReelflowError, RuntimeError):
        blocks = load_clients().blocks
        return {
            account.id: block.client
            for block in (blocks if len(blocks) > 1 else ())
            for account in ledger.known_accounts(block.fingerprint(), float("inf")) or ()
        }
    return {}


def _label(account: Account, clients: Mapping[str, str]) -> str:
    return for_client(clients.get(account.id, ""), account.label)


def _named(name: str, known: Sequence[Account], clients: Mapping[str, str]) -> tuple[str, Sequence[Account]]:
    """A name without the client in front of it, and the accounts that it can mean."""
    front, colon, rest = name.partition(":")
    its = [account for account in known if clients.get(account.id, "").casefold() == front.strip().casefold()]
    return (rest.strip(), its) if colon and its and not accounts_named(name, known) else (name, known)


def _chosen(names: Sequence[str], known: Sequence[Account], clients: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The ids of the accounts that are named, and what is wrong with the other names."""
    chosen, wrong = [], []
    for name in names:
        short, its = _named(name, known, clients)
        found = accounts_named(short, its)
        if len(found) == 1 or short.casefold() == ALL:
            chosen += [account.id for account in found]
        elif found:
            wrong.append(
                f"{name!r} matches several accounts: {', '.join(map(label_with_id, found))}. Name one of them."
            )
        else:
            others = ", ".join(_label(account, clients) for account in known)
            wrong.append(f"{name!r} is not on hold. " + (f"On hold: {others}." if others else _NONE))
    return chosen, wrong


def _released(hold: Hold, clients: Mapping[str, str]) -> str:
    return f"Released {_label(hold.account, clients)}. The next run of a campaign sends what waits for it."


def _line(hold: Hold, clients: Mapping[str, str]) -> str:
    streak, since = hold.streak, shown(hold.streak.held_at or 0)
    return (
        f"{_label(hold.account, clients):32} since {since}, {streak.failures} failures: {one_line(streak.reason, 200)}"
    )


def _facts(hold: Hold, *, on_hold: bool) -> dict[str, Any]:
    streak = hold.streak
    return account_facts(hold.account) | {"failures": streak.failures, "reason": streak.reason, "on_hold": on_hold}
