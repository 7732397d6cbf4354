"""Warm up accounts: let phones watch videos on a topic and react to some of them.

When: each morning by schedule, or from the form.
Needs: a saved block "TikMatrix Host" that lists your phones, on the machine that runs TikMatrix.
"""

from typing import Any

from prefect.client.schemas.objects import State

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.phones.form import WarmUpForm
from tasks.late import skip_if_late
from tasks.phones.cancel import cancel_phone_tasks
from tasks.phones.check import check_phones
from tasks.phones.create import create_phone_tasks
from tasks.phones.plan import held, plan_phone_tasks
from tasks.phones.report import final_state, phone_run_name, report_phones
from tasks.phones.watch import watch_phone_tasks
from tasks.step import flow


@flow(name="warm-up-accounts", flow_run_name=phone_run_name("warm_up"), on_cancellation=[cancel_phone_tasks])
def warm_up_accounts(host: TikMatrixHost, warm_up: WarmUpForm, chatgpt: ChatGPTSettings | None = None) -> State[Any]:
    """Let your accounts watch videos for a while, within the daily limits of the host block.

    Checks everything first, creates the tasks in TikMatrix once, and watches them until all are finished. Cancelling
    the run cancels its unfinished tasks.

    Args:
        host: The PC that runs TikMatrix, with your limits.
        warm_up: Which accounts watch what, and for how long.
        chatgpt: Needed only for comments by ChatGPT.
    """
    if skipped := skip_if_late(warm_up.max_lateness_minutes):
        return skipped

    request = check_phones(host, warm_up, chatgpt)
    plan = plan_phone_tasks(host, request)
    if not warm_up.dry_run:
        with held(plan):
            create_phone_tasks(host, request, plan, chatgpt)
            watch_phone_tasks(host, request, plan)

    return final_state(report_phones(host, request, plan))
