"""Tidying the ledger as a flow on a real Prefect server: what is removed, what it says, and when it refuses."""

from contextlib import closing

import pytest
from prefect.client.schemas.objects import StateType
from support.clock import Clock
from support.old_ledgers import Past
from support.seen import artifacts_of

from flows.tidy_ledger import tidy_ledger
from reelflow.ledger import Ledger
from reelflow.upkeep.form import TidyForm
from tasks.ledger import open_ledger

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def old(ledger_url: str) -> dict[str, int]:
    """The rows of a ledger with years of work in it, which is the server's."""
    clock = Clock()
    with closing(Ledger(ledger_url, clock=clock)) as ledger:
        Past(ledger, clock, 7).happen()
    return dict(open_ledger().size().rows)


def test_a_dry_run_shows_what_would_be_removed(old: dict[str, int]) -> None:
    """With what is kept and why; the ledger stays as it is."""
    state = tidy_ledger(TidyForm(keep_days=30, dry_run=True), return_state=True)

    report = str(artifacts_of(state)["markdown"].data)
    assert state.message.startswith("Dry run: ")
    assert state.message.endswith("Nothing was changed.")
    assert "would be removed" in report
    assert "no post is sent twice" in report
    ages = {row.split(" | ")[0].strip("| `"): row.split(" | ")[2] for row in report.splitlines() if "would be" in row}
    assert (ages["events"], ages["found_posts"]) == ("30 days", "367 days")
    assert open_ledger().size().rows == old


def test_what_is_old_is_removed_and_every_claim_is_kept(old: dict[str, int]) -> None:
    """A second run finds nothing more."""
    state = tidy_ledger(TidyForm(keep_days=30), return_state=True)
    again = tidy_ledger(TidyForm(keep_days=30), return_state=True)

    rows = open_ledger().size().rows
    report = str(artifacts_of(state)["markdown"].data)
    claims = ("sends", "destinations", "phone_actions", "phone_tasks", "engagements", "holds", "api_keys")
    assert state.type is StateType.COMPLETED
    assert f"{sum(old.values()) - sum(rows.values())} rows removed" in state.message
    assert {name: rows[name] for name in claims} == {name: old[name] for name in claims}
    assert rows["events"] < old["events"]
    assert "Needed for" in report
    assert again.message.startswith("0 rows removed, 0 shortened. The ledger has ")
