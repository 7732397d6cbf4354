"""Create phone tasks in TikMatrix, once."""

from prefect import get_run_logger

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.errors import ServiceError
from reelflow.phones import creating
from reelflow.records.phones import PhonePlan, PhoneRequest
from tasks.ledger import open_ledger
from tasks.step import step


@step("create {request.job}s")
def create_phone_tasks(
    host: TikMatrixHost, request: PhoneRequest, plan: PhonePlan, chatgpt: ChatGPTSettings | None = None
) -> None:
    """Create the tasks of a plan in TikMatrix, each request once. The report lists requests that could not be sent.

    Prefect does not retry this task. A request that certainly did not arrive is repeated here. If an answer is lost,
    the tasks that it may have created are looked for.
    """
    secrets = {"chatgpt_settings": chatgpt.get_settings()} if request.needs_chatgpt and chatgpt else {}
    ledger = open_ledger()
    requests = [each for each in ledger.task_requests(ids=plan.request_ids) if each.owner == plan.owner]
    try:
        with host.get_client() as client:
            creating.create_tasks(client, ledger, requests, owner=plan.owner, secrets=secrets)
    except ServiceError as error:
        get_run_logger().warning("%s", error)
        creating.give_up(ledger, requests, str(error))
