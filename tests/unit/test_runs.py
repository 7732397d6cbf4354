"""When a run is taken for dead, late or stuck: a pure decision."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reelflow.upkeep.form import WatchdogForm
from reelflow.upkeep.watchdog import RunFacts, diagnose

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def _run(**changes: Any) -> RunFacts:
    usual = {"state": "RUNNING", "since": _ago(60), "due": _ago(60), "heartbeat": _ago(1), "alive_in_ledger": False}
    return RunFacts(**(usual | changes))


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (_run(), None),
        (_run(heartbeat=_ago(11)), "dead"),
        (_run(heartbeat=None), "dead"),
        (_run(heartbeat=None, since=_ago(9)), None),
        (_run(heartbeat=None, alive_in_ledger=True), None),
        (_run(heartbeat=_ago(30), since=_ago(2)), None),
        (_run(state="PENDING", since=_ago(16)), "dead"),
        (_run(state="PENDING", since=_ago(14)), None),
        (_run(state="CANCELLING", since=_ago(16)), "stuck"),
        (_run(state="SCHEDULED", since=_ago(100), due=_ago(16)), "stuck"),
        (_run(state="SCHEDULED", since=_ago(100), due=_ago(1)), None),
        (_run(state="SCHEDULED", since=_ago(100), due=_ago(16), worker_is_busy=True), None),
        (_run(state="CRASHED", since=_ago(1), has_begun=False, crashes=1), "restart"),
        (_run(state="CRASHED", since=_ago(1), has_begun=False, crashes=4), None),
        (_run(state="CRASHED", since=_ago(31), has_begun=False, crashes=1), None),
        (_run(state="CRASHED", since=_ago(1), has_begun=True, crashes=1), None),
    ],
)
def test_a_run_is_judged_by_its_last_heartbeat(run: RunFacts, kind: str | None) -> None:
    """To Prefect or in the ledger; a run that waits is judged by when it should have begun."""
    found = diagnose(run, WatchdogForm(), NOW)

    assert (found.verdict if found else None) == kind
