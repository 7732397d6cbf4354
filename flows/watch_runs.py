"""Watch over the runs themselves: processes that died, runs that are late or stuck.

When: every few minutes by schedule.
Needs: nothing. Touches only runs with the tag reelflow.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed

from reelflow.runs import WATCHDOG, WatchdogForm
from tasks.guard import look_at_runs
from tasks.step import plainly


@flow(name="watch-runs", flow_run_name="watch runs")
@plainly
def watch_runs(watchdog: WatchdogForm = WATCHDOG) -> RunState[Any]:
    """Set runs whose process has died to Crashed, so that they can be started again, and report what is late.

    A run that is silent to Prefect is left alone while the ledger says that it is at work.

    Args:
        watchdog: When a run is taken for dead, late or stuck.
    """
    return Completed(message=look_at_runs(watchdog))
