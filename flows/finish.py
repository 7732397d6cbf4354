"""Finish what earlier runs left open: posts without an outcome, answers that were lost, uploads that died.

When: every few minutes by schedule, or whenever a run broke off.
Needs: a saved block "Taisly Account". Reads Taisly's history at most a few times, and sends nothing.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed

from blocks import TaislyAccount
from reelflow.models import FINISH, FinishForm
from tasks.finish import finish_posts
from tasks.step import plainly


@flow(name="finish-open-posts", flow_run_name="finish open posts")
@plainly
def finish_open_posts(taisly: TaislyAccount, finish: FinishForm = FINISH) -> RunState[Any]:
    """Look up every post that has no outcome yet, of any run, and put on record what became of it.

    Args:
        taisly: The Taisly account whose posts to finish.
        finish: How long to go on.
    """
    done = finish_posts(taisly, finish)
    return Completed(message=done.sentence, data=done)
