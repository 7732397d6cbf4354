"""Check what all saved blocks lead to."""

from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client

from reelflow.errors import ReelflowError
from tasks.health import look_at_blocks, look_at_ledger, our_blocks
from tasks.record import open_ledger
from tasks.step import step


class NotWell(ReelflowError):
    """Something that reelflow needs does not work."""


@step("check connections")
def check_everything() -> str:
    """Look at everything, and show it as a table; one line that says that all is well.

    Raises:
        NotWell: something is not.
    """
    ledger = open_ledger()
    with get_client(sync_client=True) as client:
        names = our_blocks(client)
    findings = [look_at_ledger(ledger), *look_at_blocks(ledger, names)]
    if not names:
        raise NotWell("No blocks are saved: in the UI, Blocks, +, Taisly Account.")
    bad = [finding for finding in findings if not finding.well]
    create_table_artifact(
        table=[{"State": "ok" if f.well else "LOOK", "What": f.what, "Found": f.found} for f in findings],
        description="Everything works." if not bad else f"{len(bad)} of {len(findings)} need a look.",
    )
    if bad:
        raise NotWell(" ".join(f"{finding.what}: {finding.found}" for finding in bad))
    return f"All {len(findings)} are well: {', '.join(finding.what for finding in findings)}."
