"""Take phone tasks back, end what earlier runs left open, and manage tasks by hand."""

from typing import Any
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.exceptions import ObjectNotFound
from prefect.logging.loggers import flow_run_logger
from prefect.states import Cancelling

from blocks import TikMatrixHost
from blocks.reference import load_referred
from reelflow.errors import InputError, ReelflowError
from reelflow.phones import managing, tidying
from reelflow.phones.forms import FinishPhonesForm, ManageForm
from reelflow.phones.watching import Watch
from tasks.phones import task_table
from tasks.record import open_ledger
from tasks.step import step


def take_back(flow: Any, flow_run: Any, state: Any) -> None:  # Prefect passes these by name
    """When a run is cancelled: stop and delete what it has made and what has not ended. A hook, in another process."""
    log = flow_run_logger(flow_run)
    for name in _cancel_children(flow_run.id):
        log.info("The run was cancelled: so is %s, which it had started on another machine.", name)
    host = load_referred(TikMatrixHost, flow_run.parameters.get("host"))
    if host is None:
        return
    try:
        with host.get_client() as client:
            done = tidying.take_back_run(client, open_ledger(), str(flow_run.id), host.key)
    except ReelflowError as error:
        words = (
            "The run was cancelled, but its phone tasks could not be taken back: %s finish-phone-tasks does it later."
        )
        log.error(words, error)  # noqa: TRY400
        return
    log.info("The run was cancelled: %s", done.sentence)


def _cancel_children(flow_run_id: UUID) -> list[str]:
    """Cancel the runs that a run has started on other machines; their names."""
    children = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
    cancelled = []
    with get_client(sync_client=True) as client:
        for child in client.read_flow_runs(flow_run_filter=children):
            if child.state is not None and not child.state.is_final():
                client.set_flow_run_state(child.id, Cancelling())
                cancelled.append(child.name)
    return cancelled


@step("finish phone tasks of {host.key}")
def finish_tasks(host: TikMatrixHost, form: FinishPhonesForm) -> str:
    """End what earlier runs left open on one PC; one line that says what was done.

    Raises:
        ServiceError: TikMatrix cannot be asked.
    """
    watch = Watch(form.minutes * 60, host.poll_seconds, auto_retry=host.auto_retry)
    with host.get_client() as client:
        done = tidying.finish(client, open_ledger(), host.key, broken=_has_ended, watch=watch, withdraw=form.take_back)
    if done.news or done.taken_back:
        lines = [done.sentence, "", *task_table([*done.news, *done.taken_back])]
        create_markdown_artifact(markdown="\n".join(lines), description=done.sentence)
    return done.sentence


def _has_ended(flow_run_id: str) -> bool:
    """Whether a flow run has ended, however it did, or is not known any more."""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(flow_run_id)).state
    except ObjectNotFound:
        return True
    except httpx.HTTPError as error:
        get_run_logger().warning("The state of run %s cannot be read: %s", flow_run_id, error)
        return False
    return state is not None and state.is_final()


@step("{form.action} phone tasks of {host.key}")
def manage_tasks(host: TikMatrixHost, form: ManageForm) -> str:
    """List, stop, delete or retry tasks; one line that says what was done.

    Raises:
        InputError: nothing fits, or too much does.
        ServiceError: TikMatrix cannot be asked, or refused.
    """
    host.check()
    with host.get_client() as client:
        chosen = managing.choose(client, open_ledger(), host.key, form, host.guardrails)
        done = managing.act(client, open_ledger(), host.key, form, chosen)
    words = managing.sentence(form, chosen, done)
    create_markdown_artifact(markdown="\n".join([words, "", *task_table(chosen.tasks)]), description=words)
    if done.refused:
        raise InputError(words)
    return words
