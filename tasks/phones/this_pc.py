"""The phones' part on this machine: the steps of a phone flow, within the run of a post."""

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.errors import LedgerUnavailable, NothingSent, OutcomeUnknown, PhonesWait
from reelflow.phones.engagement import EngagementPart
from reelflow.phones.report import PhoneReport
from reelflow.records.phone_states import RequestState
from reelflow.records.phones import PhonePlan
from reelflow.time_zones import shown
from tasks.ledger import open_ledger
from tasks.phones.check import check_phones
from tasks.phones.create import create_phone_tasks
from tasks.phones.plan import held, plan_phone_tasks
from tasks.phones.report import report_phones
from tasks.phones.watch import watch_phone_tasks

AGAIN_SECONDS = 900.0
"""After how long phones that could not be reached are tried again."""


def engage_here(
    host: TikMatrixHost, part: EngagementPart, chatgpt: ChatGPTSettings | None = None, engagement: str | None = None
) -> PhoneReport:
    """Do one part of an engagement.

    Raises:
        PhonesWait: the phones are in quiet hours, or TikMatrix did not take all of it: the rest can be done later.
        ReelflowError: it cannot be done.
    """
    try:
        request = check_phones(host, part.form, chatgpt)
        plan = plan_phone_tasks(host, request, engagement)
    except (NothingSent, OutcomeUnknown, LedgerUnavailable) as error:  # nothing but checked and planned so far
        raise PhonesWait(str(error), open_ledger().now() + AGAIN_SECONDS) from None
    if plan.quiet_until is not None and not request.dry_run:
        raise quiet_until(plan.quiet_until)
    if not request.dry_run:
        with held(plan):
            create_phone_tasks(host, request, plan, chatgpt)
            watch_phone_tasks(host, request, plan)
    report = report_phones(host, request, plan)
    if _is_unsent(plan):
        raise PhonesWait(report.summary, open_ledger().now() + AGAIN_SECONDS)
    return report


def quiet_until(moment: float) -> PhonesWait:
    """The error of phones that are in quiet hours until a moment, in Unix seconds."""
    return PhonesWait(f"The phones are in quiet hours until {shown(moment)}.", moment)


def _is_unsent(plan: PhonePlan) -> bool:
    """Whether TikMatrix could not be asked for some of a plan."""
    requests = open_ledger().task_requests(ids=plan.request_ids)
    return any(request.state is RequestState.NOT_CREATED for request in requests)
