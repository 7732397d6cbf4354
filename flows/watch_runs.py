"""Watch the flow runs themselves: start dead runs of posts again, report late or stuck ones, cancel late upkeep.

When: every few minutes by schedule.
Needs: nothing. Affects only runs with the tag reelflow.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from reelflow.upkeep.form import WATCHDOG, WatchdogForm
from tasks.step import flow
from tasks.upkeep.watchdog import check_runs


@flow(name="watch-runs", upkeep=True, flow_run_name="watch runs")
def watch_runs(watchdog: WatchdogForm = WATCHDOG) -> State[Any]:
    """Set runs whose process has died to Crashed, and report late or stuck runs.

    A run that publishes posts is started again, up to three times: what it has sent is not sent again. So is any run
    whose worker saw it crash before it began.

    A run that sends Prefect no heartbeat is left alone while the ledger shows that it is active.

    Args:
        watchdog: When a run counts as dead, late or stuck.
    """
    return Completed(message=check_runs(watchdog))
