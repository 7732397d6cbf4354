"""When a run is taken for dead, late or stuck: a pure decision."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reelflow.upkeep.form import WatchdogForm
from reelflow.upkeep.watchdog import Restart, RunFacts, diagnose

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOT_BEGUN = Restart(is_safe=True, crashes=1)
SAFE = Restart(is_safe=True, has_begun=True, crashes=1)


def _ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def _run(**changes: Any) -> RunFacts:
    usual = {"state": "RUNNING", "since": _ago(60), "due": _ago(60), "heartbeat": _ago(1), "alive_in_ledger": False}
    return RunFacts(**(usual | changes))


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (_run(), None),
        (_run(heartbeat=_ago(4)), "dead"),
        (_run(heartbeat=_ago(2)), None),
        (_run(heartbeat=None), "dead"),
        (_run(heartbeat=None, since=_ago(14)), None),  # never heard of: it starts slowly, or sends none
        (_run(heartbeat=_ago(30), since=_ago(14)), None),  # nor since it was started again
        (_run(heartbeat=None, alive_in_ledger=True), None),
        (_run(state="PENDING", heartbeat=None, since=_ago(16)), "dead"),
        (_run(state="PENDING", heartbeat=None, since=_ago(14)), None),
        (_run(state="PENDING", heartbeat=None, since=_ago(16), restart=NOT_BEGUN), "restart"),
        (_run(state="CANCELLING", since=_ago(16)), "stuck"),
        (_run(state="SCHEDULED", since=_ago(100), due=_ago(16)), "stuck"),
        (_run(state="SCHEDULED", since=_ago(100), due=_ago(1)), None),
        (_run(state="SCHEDULED", since=_ago(100), due=_ago(16), worker_is_busy=True), None),
        (_run(state="CRASHED", since=_ago(1), restart=NOT_BEGUN), "restart"),
        (_run(state="CRASHED", since=_ago(1), restart=replace(NOT_BEGUN, crashes=4)), None),
        (_run(state="CRASHED", since=_ago(31), restart=NOT_BEGUN), None),
        (_run(state="CRASHED", since=_ago(1)), None),
        (_run(state="CRASHED", since=_ago(1), restart=SAFE), "restart"),
        (_run(heartbeat=_ago(4), restart=SAFE), "restart"),
        (_run(heartbeat=_ago(31), restart=SAFE), "dead"),
        (_run(heartbeat=_ago(4), restart=replace(SAFE, crashes=3)), "dead"),
        (_run(heartbeat=_ago(9), restart=replace(SAFE, patience=timedelta(minutes=10))), "restart"),
        (_run(heartbeat=_ago(11), restart=replace(SAFE, patience=timedelta(minutes=10))), "dead"),
    ],
)
def test_a_run_is_judged_by_its_last_heartbeat(run: RunFacts, kind: str | None) -> None:
    """To Prefect or in the ledger; a run that waits is judged by when it should have begun.

    What is safe to start again is, up to three times, within half an hour, and within the patience of its own form.
    """
    found = diagnose(run, WatchdogForm(), NOW)

    assert (found.verdict if found else None) == kind
