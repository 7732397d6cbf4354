"""Cancel scheduled posts at Taisly."""

from collections.abc import Callable, Sequence
from typing import Any

from prefect.logging.loggers import flow_run_logger
from prefect.runtime import flow_run
from pydantic import ValidationError

from blocks import TaislyAccount
from blocks.reference import load_referred
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger
from reelflow.posts import cleanup
from reelflow.posts.form import CancelPostForm, PostForm
from reelflow.records.posts import SendRecord
from reelflow.time_zones import shown
from reelflow.wording import one_line
from tasks.cancelled import conclude, nobody_cancelled
from tasks.ledger import open_ledger
from tasks.posts.wording import cancelled_message
from tasks.prefect_server import asking_prefect
from tasks.run_names import name_for_client
from tasks.step import Retry, step


def cancel_run_name() -> str:
    """A name for runs whose form is a post to cancel: "cancel HISTORY_ID"."""
    post = flow_run.parameters["post"]
    form = post if isinstance(post, CancelPostForm) else CancelPostForm.model_construct(**post)
    return one_line(name_for_client(f"{'dry run: ' if form.dry_run else ''}cancel {form.history_id}"))


@step("cancel {history_id}", retry=Retry.UNSENT)
def cancel_post(taisly: TaislyAccount, history_id: str) -> str:
    """Permanently delete a scheduled post at Taisly and record that; returns a one-line summary.

    Raises:
        InputError: reelflow has sent no such post, it is another client's, or it is too late.
        Refused: Taisly has no such scheduled post, or it is already published.
    """
    with taisly.get_rate_limited(open_ledger()) as client:
        cleanup.cancel_post(client, history_id, "cancelled before it was published")
    return f"Cancelled the scheduled post {history_id}. It will not be published."


@step("look up {history_id}", retry=Retry.LEDGER)
def describe_scheduled(taisly: TaislyAccount, history_id: str) -> str:
    """One line about a scheduled post that can be cancelled, from the ledger.

    Raises:
        InputError: there is no such post of ours, it is another client's, or it is too late.
    """
    ledger = open_ledger()
    send, outcomes = cleanup.find_scheduled(ledger, taisly.service, history_id)
    with taisly.get_rate_limited(ledger) as client:
        cleanup.check_client(client, send)
    caption = f"with the caption {one_line(send.caption)!r}" if send.caption else "without a caption"
    names = ", ".join(o.account.label for o in outcomes)
    return f"{send.file_name} for {names}, {caption}, scheduled for {shown(send.published_at)}"


def conclude_cancelled_post(
    flow: Any, flow_run: Any, state: Any, describe: Callable[[Sequence[SendRecord], float], str] = cancelled_message
) -> None:  # Prefect passes the first three by name
    """Say what became of the post of a cancelled run; cancel it too, if it is scheduled and its form says so."""

    def cancel_first(ledger: Ledger) -> None:
        if _cancels_post_too(flow_run.parameters) and not nobody_cancelled(state.message):
            _cancel_scheduled(ledger, flow_run)

    conclude(flow_run, describe, what="post", first=cancel_first)


def _cancels_post_too(parameters: dict[str, Any]) -> bool:
    try:
        return PostForm.model_validate(parameters.get("post")).cancel_post_with_run
    except ValidationError:  # then the run never began
        return False


def _cancel_scheduled(ledger: Ledger, flow_run: Any) -> None:
    for send in cleanup.scheduled_sends_of(ledger, str(flow_run.id)):
        history_id, log = str(send.history_id), flow_run_logger(flow_run)
        try:
            with asking_prefect():
                taisly = load_referred(TaislyAccount, flow_run.parameters.get("taisly"))
            if taisly is None:
                return
            with taisly.get_rate_limited(ledger) as client:
                cleanup.cancel_post(client, history_id, "cancelled together with its run")
        except ReelflowError as error:
            log.error("The scheduled post %s may not have been cancelled: %s Check it in Taisly.", history_id, error)  # noqa: TRY400
