"""The questions that wait for a person: those whose runs still wait for an answer."""

from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from reelflow.errors import ServiceError
from reelflow.ledger import Ledger
from reelflow.records.approvals import OpenQuestion
from tasks.alarms import alarm_unanswered
from tasks.prefect_server import asking_prefect

TIMED_OUT = "never resumed"
"""In Prefect's message of a run that nobody resumed in time; no hook runs then."""


def waiting_questions(ledger: Ledger) -> list[OpenQuestion]:
    """What a person can answer now, the most urgent first.

    A suspended run that is cancelled, times out or is deleted ends in silence. Here its questions are closed, the slots
    that it has not used are free again, and that nobody answered in time becomes an alarm.

    Raises:
        LedgerUnavailable: the ledger cannot be used.
    """
    now, asking = ledger.now(), ledger.asking_runs()
    try:
        with asking_prefect(), get_client(sync_client=True) as client:
            runs = {flow_run: _read_run(client, flow_run) for flow_run in asking}
    except ServiceError:  # nobody can say which of them have ended
        return ledger.open_questions()
    for flow_run, run in runs.items():
        if run is not None and run.state is not None and not run.state.is_final():
            continue
        if run is not None and run.state is not None and TIMED_OUT in (run.state.message or ""):
            alarm_unanswered(run)  # first: if this process dies in between, the next look finds the question again
        ledger.abandon_questions(flow_run, before=now)
    return ledger.open_questions()


def _read_run(client: SyncPrefectClient, flow_run: str) -> FlowRun | None:
    try:
        return client.read_flow_run(UUID(flow_run))
    except ObjectNotFound:
        return None
