"""Check everything that the saved blocks connect to."""

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client

from blocks import TaislyAccount
from reelflow.errors import ChecksFailed
from reelflow.ledger import Ledger
from reelflow.records.posts import Account
from reelflow.wording import count
from tasks.artifacts import plain_text, show_markdown, table
from tasks.choices import VIDEOS_VARIABLE, ChoiceReader, our_deployments, refresh_choices
from tasks.step import step
from tasks.upkeep.health import check_blocks, find_ledger, our_blocks


@step("check connections")
def check_everything() -> str:
    """Run all checks and show the results as a table; returns a one-line summary.

    Raises:
        ChecksFailed: a check failed.
    """
    ledger, found = find_ledger()
    if ledger is None:
        raise ChecksFailed(f"{found.what}: {found.found}")
    with get_client(sync_client=True) as client:
        names = our_blocks(client)
        findings = [found, *check_blocks(ledger, names)]
        refresh_forms(client, ledger)
    if not names:
        return "Nothing to check: no blocks are saved. In the UI under Blocks, add a Taisly Account."
    failed = [finding for finding in findings if not finding.ok]
    checks = count(len(findings), "check")
    columns = {
        "Result": ["ok" if f.ok else "**FAILED**" for f in findings],
        "What": [plain_text(f.what) for f in findings],
        "Found": [plain_text(f.found) for f in findings],
    }
    show_markdown(table(columns), f"{len(failed)} of {checks} failed." if failed else f"All {checks} passed.")
    if failed:
        raise ChecksFailed(" ".join(f"{finding.what}: {finding.found}" for finding in failed))
    return f"All {checks} passed: {', '.join(finding.what for finding in findings)}."


def refresh_forms(client: SyncPrefectClient, ledger: Ledger) -> None:
    """Offer in the run forms what is connected now: accounts, phones, videos."""

    def accounts_of(taisly: TaislyAccount) -> list[Account]:
        with taisly.get_rate_limited(ledger) as rate_limited:
            return rate_limited.connected_accounts()

    folder = client.read_variable_by_name(VIDEOS_VARIABLE)
    reader = ChoiceReader(accounts_of, str(folder.value) if folder else None)
    if changed := refresh_choices(client, our_deployments(client), reader):
        get_run_logger().info("The forms offer what is connected now: %s.", ", ".join(changed))
