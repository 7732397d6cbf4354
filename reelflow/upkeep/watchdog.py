"""Decide whether a run is dead, late or stuck: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from reelflow.upkeep.form import WatchdogForm

RESTART_WITHIN = timedelta(minutes=30)
"""A run that died longer ago has been seen by its owner, who decides."""
MOST_RESTARTS = 3
"""A run that crashes again and again does so for a reason of its own."""


@dataclass(frozen=True)
class Restart:
    """What speaks for and against starting a run again.

    Attributes:
        is_safe: Whether starting it again does only what is left to do, and nobody has cancelled it or given it up.
        sends_once: Whether its flow sends nothing a second time, however often it is started.
        has_begun: Whether its flow has ever been executed.
        crashes: How often it has crashed.
        patience: For how long nothing may be there to execute it, by its own form; None for any time.
    """

    is_safe: bool
    sends_once: bool = False
    has_begun: bool = False
    crashes: int = 0
    patience: timedelta | None = None

    def is_due(self, dead_for: timedelta) -> bool:
        """Whether a run is to be started again that died this long ago."""
        allowed = RESTART_WITHIN if self.patience is None else min(RESTART_WITHIN, self.patience)
        return self.is_safe and self.crashes <= MOST_RESTARTS and dead_for <= allowed


NO_RESTART = Restart(is_safe=False)


@dataclass(frozen=True)
class RunFacts:
    """A run as Prefect and the ledger know it.

    Attributes:
        state: RUNNING, PENDING, CANCELLING, SCHEDULED or CRASHED.
        since: When it entered that state.
        due: When it should have started.
        heartbeat: The last heartbeat that its process sent to Prefect.
        alive_in_ledger: Whether it holds a lease in the ledger now.
        restart: Whether it may be started again if it died.
        worker_is_busy: Whether whoever would execute it is executing others: then it waits for room.
    """

    state: str
    since: datetime
    due: datetime | None
    heartbeat: datetime | None
    alive_in_ledger: bool
    restart: Restart = NO_RESTART
    worker_is_busy: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run.

    Attributes:
        verdict: "dead": no process executes it any more. "restart": the same, and it is to be started again; also if it
            crashed before it began, as runs do that start while the Prefect server is away. "stuck": nothing has picked
            it up yet.
        state: The state in which it was found.
        time: For how long: since its last heartbeat, since it entered the state, or since it was due.
        has_begun: Whether its flow has ever been executed.
        sends_once: As in `Restart`.
    """

    verdict: Literal["dead", "stuck", "restart"]
    state: str
    time: timedelta
    has_begun: bool = True
    sends_once: bool = False


def diagnose(run: RunFacts, form: WatchdogForm, now: datetime) -> Diagnosis | None:
    """What is wrong with a run; None if nothing is."""
    if run.alive_in_ledger or run.worker_is_busy:
        return None
    if run.state == "CRASHED":
        crashed_for = now - run.since
        return _dead(run, crashed_for) if run.restart.is_due(crashed_for) else None
    if run.state in ("RUNNING", "PENDING"):
        was_heard = run.heartbeat is not None and run.heartbeat >= run.since
        silent = now - max(run.since, run.heartbeat or run.since)
        allowed = form.dead_after_minutes if was_heard else max(form.dead_after_minutes, form.late_after_minutes)
        return _dead(run, silent) if silent > timedelta(minutes=allowed) else None
    begun = run.since if run.state == "CANCELLING" else run.due or run.since
    late = now - begun
    return Diagnosis("stuck", run.state, late) if late > timedelta(minutes=form.late_after_minutes) else None


def _dead(run: RunFacts, time: timedelta) -> Diagnosis:
    restart = run.restart if run.state == "CRASHED" else replace(run.restart, crashes=run.restart.crashes + 1)
    verdict: Literal["dead", "restart"] = "restart" if restart.is_due(time) else "dead"
    return Diagnosis(verdict, run.state, time, restart.has_begun, restart.sends_once)
