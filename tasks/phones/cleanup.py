"""Finish what earlier runs left open."""

from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from blocks import TikMatrixHost
from reelflow.phones import cleanup
from reelflow.phones.form import FinishPhonesForm
from reelflow.phones.report import FinishReport
from reelflow.phones.watching import WatchSettings
from reelflow.wording import count
from tasks.artifacts import show_markdown
from tasks.ledger import open_ledger
from tasks.phones.report import task_table
from tasks.phones.wording import what_to_do
from tasks.step import Retry, step


@step("finish phone tasks of {host.key}", retry=Retry.READ)
def finish_phones(host: TikMatrixHost, form: FinishPhonesForm) -> FinishReport:
    """Finish what earlier runs left open on one PC; returns ended, cancelled and still open tasks.

    Raises:
        ServiceError: TikMatrix does not answer.
    """
    settings = WatchSettings(form.minutes * 60, host.poll_seconds, auto_retry=host.auto_retry)
    host.check()  # also with nothing open: no other machine can tell that TikMatrix is away
    with host.get_client() as client:
        done = cleanup.finish_phone_tasks(
            client, open_ledger(), host.key, run_has_ended=_run_has_ended, settings=settings, cancel=form.cancel_tasks
        )
    report = FinishReport(
        ended=done.news,
        cancelled=done.cancelled,
        still_open=done.still_open,
        unanswered=[request.id for request in done.unanswered],
        unconfirmed=[request.id for request in done.unconfirmed],
    )
    summary = summarize_finish(report)
    if report.unconfirmed:
        get_run_logger().warning("%s", summary)
    if shown := [*report.ended, *report.cancelled]:
        show_markdown([summary, "", *task_table(shown)], summary)
    return report


def summarize_finish(report: FinishReport) -> str:
    """One line about a run that finishes open phone tasks."""
    parts = [f"{count(len(report.ended), 'task')} finished, {report.still_open} still open"]
    if report.cancelled:
        parts.append(f"cancelled {count(len(report.cancelled), 'task')} of dead runs")
    if report.unanswered:
        parts.append(f"still looking for the tasks of {count(len(report.unanswered), 'request')} whose answer was lost")
    summary = "; ".join(parts) + "."
    if report.unconfirmed:
        summary += f" {count(len(report.unconfirmed), 'request')} unconfirmed: {what_to_do(report.unconfirmed)}"
    return summary


def _run_has_ended(flow_run_id: str) -> bool:
    """Whether a flow run has ended, however it did, or no longer exists."""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(flow_run_id)).state
    except ObjectNotFound:
        return True
    except httpx.HTTPError as error:
        get_run_logger().warning("The state of run %s cannot be read: %s", flow_run_id, error)
        return False
    return state is not None and state.is_final()
