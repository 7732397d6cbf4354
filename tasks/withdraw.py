"""Withdraw scheduled posts from Taisly."""

from typing import Any

from prefect.logging.loggers import flow_run_logger

from blocks import TaislyAccount
from blocks.reference import load_referred
from reelflow.errors import InputError, ReelflowError
from reelflow.models import State
from tasks.record import open_ledger
from tasks.step import step


@step("withdraw {history_id}")
def withdraw_post(taisly: TaislyAccount, history_id: str) -> str:
    """Delete a scheduled post at Taisly for good, and put that on record; one line that says so.

    Raises:
        Refused: Taisly does not know it, or it is out already.
    """
    _withdraw(taisly, history_id, "withdrawn before its time")
    return f"The scheduled post {history_id} was withdrawn; it will not be published."


def _withdraw(taisly: TaislyAccount, history_id: str, words: str) -> None:
    with taisly.get_metered(open_ledger()) as metered:
        metered.cancel_scheduled(history_id)
    for send, _ in open_ledger().find(history_id=history_id):
        open_ledger().settle(send.id, State.CANCELLED, words)


def known_scheduled(history_id: str) -> str:
    """What is on record of a scheduled post, in one line.

    Raises:
        InputError: nothing is.
    """
    for send, found in open_ledger().find(history_id=history_id):
        names = ", ".join(o.account.label for o in found)
        return f"{send.file} for {names}"
    raise InputError(f"No post of ours has the history id {history_id!r}.")


def withdraw(flow: Any, flow_run: Any, state: Any) -> None:  # Prefect passes these by name
    """When a run is cancelled: withdraw what it has scheduled, if its form says so. A hook, in another process."""
    log, parameters = flow_run_logger(flow_run), flow_run.parameters
    if not (parameters.get("post") or {}).get("withdraw_if_cancelled"):
        return
    taisly = load_referred(TaislyAccount, parameters.get("taisly"))
    if taisly is None:
        return
    now_ms = open_ledger().now() * 1000
    for send, found in open_ledger().sends_of_flow_run(str(flow_run.id)):
        waiting = [o for o in found if o.state is State.ACCEPTED]
        if send.history_id is None or not waiting or send.scheduled_ms <= now_ms:
            continue
        try:
            _withdraw(taisly, send.history_id, "withdrawn, because the run was cancelled")
            log.info("The scheduled post %s was withdrawn, because the run was cancelled.", send.history_id)
        except ReelflowError as error:
            log.error("The scheduled post %s could not be withdrawn: %s", send.history_id, error)  # noqa: TRY400
