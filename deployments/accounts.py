"""``reelflow accounts``: what can be posted to, what the plan has left, and the phones of every saved PC."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from deployments.in_terminal import load_block, print_json, quieten_run_logs
from deployments.options import AsJson, TaislyBlock
from deployments.outcomes import account_facts, listed_phone_facts, listed_phone_line
from reelflow.errors import ReelflowError
from reelflow.posts.account_list import AccountList, ListedAccount, Quota

Also = Annotated[bool, Parameter(negative="", show_default=False)]


def accounts(*, block: TaislyBlock = "main", plan: Also = False, phones: Also = False, as_json: AsJson = False) -> int:
    """Print the connected accounts, each under the name that --to and the forms take.

    The exit code is 1 if a service that should answer does not.

    Parameters
    ----------
    plan
        Also show how many requests of the plan are left in this hour.
    phones
        Also list the phones of every saved block "TikMatrix Host", and whether they are online and listed.
    """
    quieten_run_logs()
    from blocks import TaislyAccount
    from reelflow.posts.account_list import list_accounts
    from tasks.ledger import open_ledger
    from tasks.zone import use_server_zone

    use_server_zone()
    taisly, failed = load_block(TaislyAccount, block), False
    try:
        with taisly.get_rate_limited(open_ledger()) as client:
            _print_accounts(list_accounts(client, with_key=False), plan=plan, as_json=as_json)
    except ReelflowError as error:
        if not phones:
            raise
        print(f"reelflow: {error}", file=sys.stderr)
        failed = True
    return max(int(failed), _print_phones(as_json=as_json) if phones else 0)


def _print_accounts(found: AccountList, *, plan: bool, as_json: bool) -> None:
    for each in found.accounts:
        print_json(_account_facts(each)) if as_json else print(_account_line(each))
    if not found.accounts and not as_json:
        print("No accounts are connected in Taisly yet. Connect your accounts there first.")
    if plan:
        _print_quota(found.quota, as_json=as_json)


def _account_facts(each: ListedAccount) -> dict[str, Any]:
    return account_facts(each.account) | {"name": each.name, "on_hold": each.hold is not None}


def _account_line(each: ListedAccount) -> str:
    from tasks.upkeep.account_list import hold_words

    held = f"  on hold {hold_words(each)}" if each.hold else ""
    return f"{each.name:40} {each.account.id}{held}"


def _print_quota(quota: Quota, *, as_json: bool) -> None:
    from tasks.upkeep.account_list import quota_words

    if not as_json:
        print(quota_words(quota))
        return
    again = quota.first_free_again
    print_json(
        {
            "requests_per_hour": quota.per_hour,
            "requests_used": quota.used,
            "requests_left": quota.left,
            "first_free_again": datetime.fromtimestamp(again, UTC).isoformat(timespec="seconds") if again else None,
        }
    )


def _print_phones(*, as_json: bool) -> int:
    from tasks.upkeep.account_list import how_to_list, licence_words, phones_of_saved_hosts

    failed = False
    for part in phones_of_saved_hosts():
        if part.trouble:
            failed |= not part.is_elsewhere
            print(f"reelflow: {part.block}: {part.trouble}", file=sys.stderr)
        if part.found is None:
            continue
        licence = {"plan": part.found.licence.plan_name, "phones_at_once": part.found.licence.device_limit}
        if not as_json:
            print(f"{part.block}: {licence_words(part.found)}")
        for each in part.found.phones:
            facts = {"host": part.block, "licence": licence} | listed_phone_facts(each)
            print_json(facts) if as_json else print(listed_phone_line(each))
        for serial in () if as_json else part.found.unlisted:
            print(how_to_list(serial, part.block))
    return int(failed)
