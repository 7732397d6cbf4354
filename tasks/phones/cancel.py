"""Cancel the phone tasks of a cancelled run."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId, FlowRunFilterTags
from prefect.logging.loggers import flow_run_logger
from prefect.states import Cancelling

from blocks import TikMatrixHost
from blocks.reference import load_referred
from reelflow.errors import ReelflowError
from reelflow.phones import cleanup
from reelflow.records.engagements import OPEN, Engagement, EngagementState
from reelflow.records.posts import SendRecord
from reelflow.wording import count
from tasks.cancelled import nobody_cancelled, tell_cancelled
from tasks.ledger import reopen_ledger
from tasks.phones.other_pc import tag_of
from tasks.phones.wording import LATER, NEVER, with_id
from tasks.posts.cancel import conclude_cancelled_post
from tasks.posts.wording import cancelled_message, may_be_out
from tasks.prefect_server import asking_prefect


def cancel_engagement(flow: Any, flow_run: Any, state: Any) -> None:  # Prefect passes these by name
    """Cancel what a cancelled run had asked the phones to do, or was doing; a later run does not do it either.

    Nobody cancelled a run whose process was told to end with its server: then a later run goes on with it.
    """
    if nobody_cancelled(state.message):
        return
    log = flow_run_logger(flow_run)
    try:
        for cancelled in reopen_ledger().cancel_engagements_of_run(str(flow_run.id), "its run was cancelled"):
            log.info("The run was cancelled. The phones do nothing more for %s.", cancelled.file)
    except ReelflowError as error:
        log.error("The phones' part was not cancelled: %s Cancel engage-when-published once it starts.", error)  # noqa: TRY400


def conclude_engaged_post(flow: Any, flow_run: Any, state: Any) -> None:  # Prefect passes these by name
    """Say what became of the post of a cancelled run, and of the phones' part."""

    def describe(records: Sequence[SendRecord], now: float) -> str:
        found = reopen_ledger().engagements(run=str(flow_run.id))
        return " ".join([cancelled_message(records, now), *what_phones_do(records, found)])

    conclude_cancelled_post(flow, flow_run, state, describe)


def what_phones_do(records: Sequence[SendRecord], found: Sequence[Engagement]) -> list[str]:
    """What becomes of the phones' part of a post that stays although its run was cancelled."""
    if not any(may_be_out(send, outcome) for send, outcomes in records for outcome in outcomes):
        return []
    cancelled = [NEVER for each in found if each.state is EngagementState.CANCELLED]
    return cancelled + [with_id(LATER, each.id) for each in found if each.state in OPEN]


def cancel_phone_tasks(flow: Any, flow_run: Any, state: Any) -> None:  # Prefect passes these by name
    """Stop and delete the unfinished phone tasks of a cancelled run. A hook that runs in another process."""
    log = flow_run_logger(flow_run)
    if nobody_cancelled(state.message) and {"engage", "engagement"} & set(flow_run.parameters):
        log.info("Nobody cancelled the run: what the phones do goes on, and a later run watches it.")
        return
    try:
        for name in _cancel_children(flow_run.id):
            log.info("The run was cancelled. Also cancelled %s, which it had started on another machine.", name)
    except ReelflowError as error:
        log.error("What the run had started on other machines may not have been cancelled: %s", error)  # noqa: TRY400
    try:
        with asking_prefect():
            host = load_referred(TikMatrixHost, flow_run.parameters.get("host"))
        if host is None:
            return
        with host.get_client() as client:
            done = cleanup.cancel_run(client, reopen_ledger(), str(flow_run.id), host.key)
    except ReelflowError as error:
        log.error(  # noqa: TRY400
            "The run was cancelled, but its phone tasks were not: %s finish-phone-tasks will cancel them.", error
        )
        return
    if flow_run.parameters.get("post") is None:  # in a run that also publishes, the message is about the post
        tell_cancelled(flow_run, f"The run was cancelled. {summarize_cancel(done)}")
    else:
        log.info("The run was cancelled. %s", summarize_cancel(done))


def summarize_cancel(done: cleanup.CancelResult) -> str:
    """One line about the cancelled tasks."""
    line = f"Cancelled {count(len(done.cancelled), 'phone task')}"
    if done.cancelled:
        line += f" ({len(done.cancelled) - done.running} pending, {done.running} running)"
    return f"{line}. {len(done.finished)} had already finished." if done.finished else f"{line}."


def _cancel_children(flow_run_id: UUID) -> list[str]:
    """Cancel the runs that a run has started on other machines; returns their names."""
    wanted = [FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))]
    for engagement in reopen_ledger().engagements(run=str(flow_run_id)):
        # An earlier run for it may have started them.
        wanted.append(FlowRunFilter(tags=FlowRunFilterTags(all_=[tag_of(engagement.id)])))
    with asking_prefect(), get_client(sync_client=True) as client:
        found = {child.id: child for each in wanted for child in client.read_flow_runs(flow_run_filter=each)}
        open_now = [child for child in found.values() if child.state is not None and not child.state.is_final()]
        for child in open_now:
            client.set_flow_run_state(child.id, Cancelling())
    return [child.name for child in open_now]
