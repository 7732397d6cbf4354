"""Create phone tasks in TikMatrix, once."""

from prefect import get_run_logger

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.errors import LedgerUnavailable, PartFailed, ServiceError
from reelflow.phones import creating
from reelflow.records.phone_states import RequestState
from reelflow.records.phones import PhonePlan, PhoneRequest, TaskRequest
from tasks.ledger import current_ledger, open_ledger
from tasks.step import Retry, step


def create_phone_tasks(
    host: TikMatrixHost, request: PhoneRequest, plan: PhonePlan, chatgpt: ChatGPTSettings | None = None
) -> None:
    """Create the tasks of a plan in TikMatrix, each request once. The report lists requests that could not be sent."""
    try:
        _create(host, request, plan, chatgpt)
    except ServiceError as error:
        get_run_logger().warning("%s", error)
        creating.give_up(open_ledger(), _requests_of(plan), plan.owner, str(error))


@step("create {request.job}s", retry=Retry.UNSENT)
def _create(host: TikMatrixHost, request: PhoneRequest, plan: PhonePlan, chatgpt: ChatGPTSettings | None) -> None:
    """Send what has not been sent.

    A request that certainly did not arrive is repeated: a few times within the engine, which holds the turn on this
    host meanwhile, so that new tasks can be told apart; then as a retry of this task. If an answer is lost, the tasks
    that it may have created are looked for.

    Raises:
        ServiceError: some requests could not be sent.
        LedgerUnavailable: the ledger cannot be used, or it is another one than that of the plan.
        PartFailed: TikMatrix refused some; the report says which.
    """
    secrets = {"chatgpt_settings": chatgpt.get_settings()} if request.needs_chatgpt and chatgpt else {}
    ledger = current_ledger()
    if len(ledger.task_requests(ids=plan.request_ids)) < len(plan.request_ids):
        raise LedgerUnavailable(
            f"These phone tasks were planned in another ledger than {ledger.place}, which this Prefect server uses by "
            "now. Nothing was sent. Start a new run."
        )
    with host.get_client() as client:
        creating.create_tasks(client, ledger, _requests_of(plan), owner=plan.owner, secrets=secrets)
    if refused := [r.reason for r in _requests_of(plan) if r.state is RequestState.REFUSED]:
        raise PartFailed(" ".join(refused))


def _requests_of(plan: PhonePlan) -> list[TaskRequest]:
    """The requests of a plan that are still this run's."""
    return [each for each in open_ledger().task_requests(ids=plan.request_ids) if each.owner == plan.owner]
