"""Check everything that the saved blocks connect to."""

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client

from blocks import TaislyAccount
from reelflow.errors import ChecksFailed
from reelflow.ledger import Ledger
from reelflow.records.posts import Account
from reelflow.wording import count, one_line
from tasks.artifacts import plain_text, show_markdown, table
from tasks.choices import VIDEOS_VARIABLE, ChoiceReader, our_deployments, refresh_choices
from tasks.prefect_server import asking_prefect, read_variable
from tasks.step import step
from tasks.upkeep.health import (
    Finding,
    check_blocks,
    check_deleted_clients,
    check_own_clock,
    check_time_zone,
    find_ledger,
    our_blocks,
)


@step("check connections")
def check_everything() -> str:
    """Run all checks and show the results as a table; returns a one-line summary.

    Raises:
        ChecksFailed: a check failed.
    """
    ledger, found = find_ledger()
    if ledger is None:
        raise ChecksFailed(f"{found.what}: {found.found}")
    with asking_prefect(), get_client(sync_client=True) as client:
        names, zone = our_blocks(client), list(check_time_zone(client))
    findings = [found, *zone, *check_own_clock(ledger), *check_blocks(ledger, names), *check_deleted_clients(ledger)]
    if not names:
        return "Nothing to check: no blocks are saved. In the UI under Blocks, add a Taisly Account."
    failed = [finding for finding in findings if not finding.ok]
    warnings = [finding for finding in findings if finding.is_warning]
    checks = count(len(findings), "check")
    columns = {
        "Result": [_verdict(f) for f in findings],
        "What": [plain_text(f.what) for f in findings],
        "Found": [plain_text(f.found) for f in findings],
    }
    show_markdown(table(columns), f"{len(failed)} of {checks} failed." if failed else f"All {checks} passed.")
    if not zone:  # else the forms would name another zone
        _refresh_forms_if_possible(ledger)
    if failed:
        raise ChecksFailed(_told(failed))
    passed = f"All {checks} passed: {', '.join(finding.what for finding in findings)}."
    return f"{passed} Warning: {_told(warnings)}" if warnings else passed


def _verdict(finding: Finding) -> str:
    if finding.is_warning:
        return "**warning**"
    return "ok" if finding.ok else "**FAILED**"


def _told(findings: list[Finding]) -> str:
    return " ".join(f"{finding.what}: {finding.found}" for finding in findings)


def _refresh_forms_if_possible(ledger: Ledger) -> None:
    """What the forms offer is no check: if they cannot be refreshed, they stay as they are."""
    try:
        with get_client(sync_client=True) as client:
            refresh_forms(client, ledger)
    except Exception as error:  # noqa: BLE001 - as above
        get_run_logger().warning("The lists of the forms stay as they are: %s", one_line(str(error)))


def refresh_forms(client: SyncPrefectClient, ledger: Ledger) -> None:
    """Offer in the run forms what is connected now: accounts, phones, videos."""

    def accounts_of(taisly: TaislyAccount) -> list[Account]:
        with taisly.get_rate_limited(ledger) as rate_limited:
            return rate_limited.connected_accounts()

    reader = ChoiceReader(accounts_of, read_variable(VIDEOS_VARIABLE))
    if changed := refresh_choices(client, our_deployments(client), reader):
        get_run_logger().info("The forms offer what is connected now: %s.", ", ".join(changed))
