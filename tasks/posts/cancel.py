"""Cancel scheduled posts at Taisly."""

from typing import Any

from prefect.logging.loggers import flow_run_logger

from blocks import TaislyAccount
from blocks.reference import load_referred
from reelflow.errors import ReelflowError
from reelflow.posts import cleanup
from tasks.ledger import open_ledger, reopen_ledger
from tasks.step import Retry, step


@step("cancel {history_id}", retry=Retry.UNSENT)
def cancel_post(taisly: TaislyAccount, history_id: str) -> str:
    """Permanently delete a scheduled post at Taisly and record that; returns a one-line summary.

    Raises:
        Refused: Taisly has no such scheduled post, or it is already published.
    """
    with taisly.get_rate_limited(open_ledger()) as client:
        cleanup.cancel_post(client, history_id, "cancelled before it was published")
    return f"Cancelled the scheduled post {history_id}. It will not be published."


@step("look up {history_id}")
def describe_scheduled(history_id: str) -> str:
    """One line about a scheduled post, from the ledger.

    Raises:
        InputError: no post in the ledger has this id.
    """
    send, outcomes = cleanup.find_scheduled(open_ledger(), history_id)
    return f"{send.file} for {', '.join(o.account.label for o in outcomes)}"


def cancel_post_with_run(flow: Any, flow_run: Any, state: Any) -> None:  # Prefect passes these by name
    """Cancel the scheduled posts of a cancelled run, if its form says so. A hook that runs in another process."""
    log, parameters = flow_run_logger(flow_run), flow_run.parameters
    if not (parameters.get("post") or {}).get("cancel_post_with_run"):
        return
    taisly = load_referred(TaislyAccount, parameters.get("taisly"))
    if taisly is None:
        return
    ledger = reopen_ledger()
    for send in cleanup.scheduled_sends_of(ledger, str(flow_run.id)):
        history_id = str(send.history_id)
        try:
            with taisly.get_rate_limited(ledger) as client:
                cleanup.cancel_post(client, history_id, "cancelled together with its run")
            log.info("Cancelled the scheduled post %s together with its run.", history_id)
        except ReelflowError as error:
            log.error("The scheduled post %s may not have been cancelled: %s Check it in Taisly.", history_id, error)  # noqa: TRY400
