"""List what people copy into forms and blocks: accounts of Taisly, and phones of every PC."""

from dataclasses import dataclass

from blocks import TaislyAccount, TikMatrixHost
from blocks.reference import load_saved, saved_names
from reelflow.addresses import is_loopback
from reelflow.errors import Busy, ChecksFailed, NothingSent, ReelflowError
from reelflow.phones.phone_list import ListedPhone, PhoneList, list_phones
from reelflow.posts.account_list import AccountList, ListedAccount, Quota, list_accounts
from reelflow.taisly.wire import KeyInfo
from reelflow.time_zones import shown
from reelflow.wording import count, one_line
from tasks.artifacts import plain_text, show_markdown, table
from tasks.ledger import open_ledger
from tasks.prefect_server import asking_prefect
from tasks.step import Retry, step
from tasks.upkeep.health import ON_ITS_PC, with_next_step


@dataclass(frozen=True)
class Accounts:
    """The part of a Taisly block.

    Attributes:
        block: Its name.
        plan: As the block has it.
        found: None if Taisly did not answer.
        trouble: Why; empty if it did.
    """

    block: str
    plan: str
    found: AccountList | None = None
    trouble: str = ""


@dataclass(frozen=True)
class Phones:
    """The part of a PC.

    Attributes:
        block: The name of its block.
        found: None if TikMatrix did not answer.
        trouble: Why; empty if it did.
        is_elsewhere: Whether that is no failure: only its own PC can reach it.
    """

    block: str
    found: PhoneList | None = None
    trouble: str = ""
    is_elsewhere: bool = False


def find_accounts(taisly: TaislyAccount | None) -> list[Accounts]:
    """The accounts of a client; if none is chosen, of every saved one. One that does not answer fails no other."""
    if taisly is not None:
        return [_accounts_of(taisly)]
    return [_accounts_of_saved(name) for name in _client_names()]


@step("find the clients", retry=Retry.READ)
def _client_names() -> list[str]:
    with asking_prefect():
        return saved_names(TaislyAccount)


def _accounts_of_saved(name: str) -> Accounts:
    try:
        with asking_prefect():
            taisly = load_saved(TaislyAccount, name)
    except ReelflowError as error:
        return Accounts(name, "", trouble=str(error))
    return _accounts_of(taisly) if taisly else Accounts(name, "", trouble="The block was removed just now.")


def _accounts_of(taisly: TaislyAccount) -> Accounts:
    """The accounts of a block. If Taisly does not answer, the step fails, and the run goes on."""
    block = taisly.client or "(not saved)"
    try:
        return Accounts(block, taisly.plan, _ask_taisly(taisly))
    except ReelflowError as error:
        return Accounts(block, taisly.plan, trouble=with_next_step(error))


@step("list the accounts", retry=Retry.READ)
def _ask_taisly(taisly: TaislyAccount) -> AccountList:
    with taisly.get_rate_limited(open_ledger()) as client:
        return list_accounts(client)


@step("list the phones", retry=Retry.READ)
def find_phones(host: TikMatrixHost | None) -> list[Phones]:
    """The phones of a PC; if none is chosen, of every one that has a saved block. One that is away fails no other."""
    return phones_of_saved_hosts() if host is None else [phones_of(host, host.key, is_chosen=True)]


def phones_of_saved_hosts() -> list[Phones]:
    """The phones of every PC that has a saved block."""
    with asking_prefect():
        names = saved_names(TikMatrixHost)
    return [_phones_of_saved(name) for name in names]


def _phones_of_saved(name: str) -> Phones:
    try:
        with asking_prefect():
            host = load_saved(TikMatrixHost, name)
    except ReelflowError as error:
        return Phones(name, trouble=str(error))
    return phones_of(host, name) if host else Phones(name, trouble="The block was removed just now.")


def phones_of(host: TikMatrixHost, block: str, *, is_chosen: bool = False) -> Phones:
    """The phones of one PC.

    Args:
        host: The PC.
        block: The name of its block.
        is_chosen: Whether a person named it: then it is a failure if it is not reachable from here.
    """
    try:
        with host.get_client() as client:
            return Phones(block, list_phones(client, host.guardrails))
    except ReelflowError as error:
        away = isinstance(error, NothingSent) and not isinstance(error, Busy) and is_loopback(host.base_url)
        if away and not is_chosen:
            return Phones(block, trouble=f"{host.base_url} {ON_ITS_PC}", is_elsewhere=True)
        return Phones(block, trouble=with_next_step(error))


def show_lists(accounts: list[Accounts], phones: list[Phones]) -> str:
    """Show both as tables to copy from; returns a one-line summary.

    Raises:
        ChecksFailed: Taisly, or a TikMatrix that should be reachable, did not answer. The other part is shown.
    """
    summary = _summary(accounts, phones)
    lines = [line for each in accounts for line in _account_lines(each)]
    show_markdown([*lines, *(line for each in phones for line in _phone_lines(each))], summary)
    is_one = len(accounts) == 1
    failed = [each.trouble if is_one else f"{each.block}: {each.trouble}" for each in accounts if each.trouble]
    failed += [f"{each.block}: {each.trouble}" for each in phones if each.trouble and not each.is_elsewhere]
    if failed:
        raise ChecksFailed(f"{' '.join(failed)} {summary}")
    return summary


def _summary(accounts: list[Accounts], phones: list[Phones]) -> str:
    parts = []
    for each in accounts:
        if each.found:
            quota = each.found.quota
            whose = "" if len(accounts) == 1 else f" of {each.block}"
            parts.append(count(len(each.found.accounts), "account") + whose)
            parts.append(f"{quota.left} of {count(quota.per_hour, 'request')} left in this hour")
    listed = [phone for each in phones if each.found for phone in each.found.phones]
    if listed:
        unlisted = sum(not phone.is_listed for phone in listed)
        parts.append(count(len(listed), "phone") + (f" ({unlisted} not listed)" if unlisted else ""))
    return f"Found {', '.join(parts)}." if parts else "Found nothing."


def _account_lines(part: Accounts) -> list[str]:
    lines = [f"### Taisly Account {plain_text(part.block)}", ""]
    if part.found is None:
        return [*lines, f"**{plain_text(part.trouble)}**", ""]
    if not part.found.accounts:
        lines += ["No accounts are connected in Taisly yet. Connect your accounts there first.", ""]
    else:
        lines += ["The names and the IDs are what the field *Accounts* takes.", ""]
        lines += table(
            {
                "Account": [plain_text(each.name) for each in part.found.accounts],
                "ID": [plain_text(each.account.id) for each in part.found.accounts],
                "Platform": [plain_text(each.account.platform) for each in part.found.accounts],
                "On hold": [plain_text(hold_words(each)) for each in part.found.accounts],
            }
        )
    return [*lines, "", f"Plan {part.plan}: {quota_words(part.found.quota)}", "", *_key_lines(part.found.key), ""]


def quota_words(quota: Quota) -> str:
    """What the plan has left, for people."""
    again = f" More become available from {shown(quota.first_free_again)}." if quota.first_free_again else ""
    return f"{quota.used} of {quota.per_hour} requests used in the last hour, {quota.left} left.{again}"


def hold_words(each: ListedAccount) -> str:
    """Since when an account is on hold, and why; empty if it is not."""
    if each.hold is None:
        return ""
    streak = each.hold.streak
    return f"since {shown(streak.held_at or 0)}: {one_line(streak.reason, 200)}"


def _key_lines(key: KeyInfo | None) -> list[str]:
    """What Taisly tells about the key; its plan, too, which may not be that of the block."""
    if key is None:
        return []
    told = [f"plan {plain_text(key.plan)}"] if key.plan else []
    told += [] if key.active is None else ["active" if key.active else "not active"]
    told += [f"created {shown(key.created)}"] if key.created else []
    told += [f"last used {shown(key.last_used)}"] if key.last_used else []
    return [f"Taisly says about the API key: {', '.join(told)}."] if told else []


def _phone_lines(part: Phones) -> list[str]:
    lines = [f"### TikMatrix Host {plain_text(part.block)}", ""]
    if part.found is None:
        return [*lines, f"**{plain_text(part.trouble)}**", ""]
    found = part.found
    lines += [licence_words(found), ""]
    lines += table(
        {
            "Serial": [plain_text(each.phone.serial) for each in found.phones],
            "State": [str(each.state) for each in found.phones],
            "Listed": ["yes" if each.is_listed else "**no**" for each in found.phones],
            "Usernames": [plain_text(usernames_of(each)) for each in found.phones],
        }
    )
    hints = [plain_text(how_to_list(serial, part.block)) for serial in found.unlisted]
    return [*lines, "", *(f"- {hint}" for hint in hints), ""]


def licence_words(found: PhoneList) -> str:
    """The licence, and what this TikMatrix does not tell."""
    limit = count(found.licence.device_limit, "phone") if found.licence.device_limit else "several phones"
    words = f"Licence {found.licence.plan_name or '(unknown)'}, {limit} at once."
    return words if found.tells_devices else f"{words} This TikMatrix does not tell which phones are online."


def usernames_of(each: ListedPhone) -> str:
    """The accounts that the owner lists for a phone."""
    return each.phone.account_names or ("whichever account is logged in" if each.is_listed else "")


def how_to_list(serial: str, block: str) -> str:
    """What to do about a phone that is online and not listed."""
    return (
        f"{serial} is not listed, so it is never used. To use it, add a row to 'Your phones' of the block {block}: "
        f"{serial}: username, username (Instagram)"
    )
