"""Warm accounts up: let phones watch videos on a topic, and react to some of them.

When: each morning by schedule, or from the form.
Needs: a saved block "TikMatrix Host" that lists your phones, on the machine that runs TikMatrix.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.phones.forms import WarmUpForm
from tasks.phone_tidying import take_back
from tasks.phones import phone_run_name, run_on_phones
from tasks.step import plainly


@flow(name="warm-up-accounts", flow_run_name=phone_run_name("warm_up"), on_cancellation=[take_back])
@plainly
def warm_up_accounts(host: TikMatrixHost, warm_up: WarmUpForm, chatgpt: ChatGPTSettings | None = None) -> RunState[Any]:
    """Let your accounts watch videos for a while, within the limits of the host block.

    Checks everything first, asks TikMatrix once, and watches until every task has ended. Cancelling the run takes back
    what has not ended.

    Args:
        host: The PC with TikMatrix, and your limits.
        warm_up: What to do, and who does it.
        chatgpt: Only for comments by ChatGPT.
    """
    return run_on_phones(host, warm_up, chatgpt)
