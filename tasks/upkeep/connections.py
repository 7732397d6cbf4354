"""Check everything that the saved blocks connect to."""

from prefect.client.orchestration import get_client

from reelflow.errors import ChecksFailed
from reelflow.wording import count
from tasks.artifacts import plain_text, show_markdown, table
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
    if not names:
        raise ChecksFailed("No blocks are saved. In the UI under Blocks, add a Taisly Account.")
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
