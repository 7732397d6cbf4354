"""Watch phone tasks until they are finished."""

from datetime import datetime

from prefect import get_run_logger

from blocks import TikMatrixHost
from reelflow.errors import PartFailed, ReelflowError
from reelflow.phones.report import describe_failures
from reelflow.phones.watching import WatchSettings, watch_tasks
from reelflow.records.phones import PhonePlan, PhoneRequest, TaskResult
from tasks.artifacts import ProgressBar
from tasks.events import emit_task_failed
from tasks.ledger import open_ledger
from tasks.step import step

_PICKED_UP = "The tasks themselves are unaffected; finish-phone-tasks will pick them up."


@step("watch {request.job}s")
def watch_phone_tasks(host: TikMatrixHost, request: PhoneRequest, plan: PhonePlan) -> None:
    """Wait until every task is finished, for at most `watch_seconds`.

    Never fails the run: the phones continue without us.

    Raises:
        PartFailed: a task failed or is gone, or the watch stopped.
    """
    log, bar, guardrails = get_run_logger(), ProgressBar(f"Finished {request.job}s"), host.guardrails

    def tell(task: TaskResult) -> None:
        log.info("Task %d, %s: %s %s", task.task_id, task.who, task.state, task.remark)
        if task.state.needs_attention:
            emit_task_failed(host.key, request.job, task)

    def may_retry() -> bool:
        return not guardrails.is_quiet(datetime.now(guardrails.zone).time())

    def show(finished: int, total: int) -> None:
        if total:
            bar(finished, total)

    settings = WatchSettings(
        request.watch_seconds,
        host.poll_seconds,
        request.retries,
        auto_retry=host.auto_retry,
        may_retry=may_retry,
    )
    try:
        ledger = open_ledger()
        with host.get_client() as client:
            watched = watch_tasks(client, ledger, plan.request_ids, settings, on_news=tell, on_progress=show)
        if watched.trouble is not None:
            log.warning("The last check failed: %s", watched.trouble)
        records = ledger.task_records(plan.request_ids)
    except ReelflowError as error:
        raise PartFailed(f"Stopped watching: {error} {_PICKED_UP}") from None
    except Exception:  # logged whole; nothing after the request may undo it
        log.exception("Stopped watching. %s", _PICKED_UP)
        return
    if failed := describe_failures([record.task for record in records]):
        raise PartFailed(" ".join(failed))
