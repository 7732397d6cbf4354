"""Plan phone tasks within the owner's limits, and hold the plan while it is carried out."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from prefect import get_run_logger
from prefect.runtime import flow_run

from blocks import TikMatrixHost
from reelflow.heartbeat import heartbeat
from reelflow.phones.limits import make_plan
from reelflow.records.phones import PhonePlan, PhoneRequest
from reelflow.wording import count
from tasks.ledger import current_ledger, open_ledger
from tasks.step import Retry, step


@step("plan {request.job}s", retry=Retry.LEDGER)
def plan_phone_tasks(host: TikMatrixHost, request: PhoneRequest, engagement: str | None = None) -> PhonePlan:
    """Plan the tasks that the owner's limits allow, and record the plan unless it is a dry run.

    What an interrupted run has created for the same engagement is in the plan, and not created again.

    Raises:
        LedgerUnavailable: the ledger cannot be used. Nothing is sent.
    """
    ledger, guardrails, log = current_ledger(), host.guardrails, get_run_logger()
    now = datetime.fromtimestamp(ledger.now(), UTC)
    since = guardrails.day_start(now).timestamp()
    log.info("This run asks for %s.", count(request.task_count, request.job))
    if request.dry_run:
        plan = make_plan(request, guardrails, ledger.phone_history(request, since), now)
    else:
        plan = ledger.plan_tasks(
            request,
            lambda history: make_plan(request, guardrails, history, now),
            since=since,
            host=host.key,
            owner=uuid.uuid4().hex,
            flow_run=flow_run.id,
            engagement=engagement,
        )
    for line in plan.left_out:
        log.warning("%s.", line)
    return plan


@contextmanager
def held(plan: PhonePlan) -> Iterator[None]:
    """Hold the requests of a plan, with a heartbeat every few seconds.

    Tasks that are unfinished when the body ends continue in TikMatrix; the cleanup of open tasks watches them.
    """
    ledger, ids = open_ledger(), list(plan.request_ids)
    mine = sorted(ledger.take_task_requests(ids, plan.owner))
    if len(mine) < len(ids):
        get_run_logger().warning("Another process is executing this run. This one only watches.")
    finished = False
    try:
        with heartbeat(lambda: ledger.renew_task_requests(mine, plan.owner), ledger.lease_seconds / 3):
            yield
        finished = True
    finally:
        ledger.release_task_requests(mine, plan.owner, left_open=finished)
