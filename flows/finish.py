"""Finish what earlier runs left open: posts without an outcome, lost answers, interrupted uploads.

When: every few minutes by schedule, or after a run was interrupted.
Needs: a saved block "Taisly Account" for each client. Reads Taisly's history a few times at most and sends nothing. For
a post that is out and has a part for the phones, it starts engage-when-published.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from blocks import TaislyAccount
from reelflow.posts.form import FINISH, FinishForm
from tasks.phones.start import start_engagements, summarize_start
from tasks.posts.cleanup import finish_posts, summarize_finish
from tasks.step import flow


@flow(name="finish-open-posts", upkeep=True, flow_run_name="finish open posts")
def finish_open_posts(taisly: TaislyAccount | None = None, finish: FinishForm = FINISH) -> State[Any]:
    """Look up every post that has no outcome yet, whichever run sent it, and record its outcome.

    What the phones are to do for posts that are out now is started, each in a run of its own.

    Args:
        taisly: The Taisly account whose posts to finish; every saved one if none is chosen.
        finish: How long to watch open posts.
    """
    try:
        report = finish_posts(taisly, finish)
    finally:  # what an account's history does not tell keeps nothing waiting that is known
        phones = start_engagements()
    message = " ".join([summarize_finish(report), *summarize_start(phones)])
    return Completed(message=message, data=report)
