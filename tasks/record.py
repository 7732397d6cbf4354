"""The ledger of this process, and what it says about a post."""

from functools import lru_cache

from prefect import get_run_logger

from blocks import TaislyAccount
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger, default_url
from reelflow.models import UNDER_WAY, CheckedPost, Outcome, PostForm, PublishReport, State
from reelflow.publishing import sentence
from tasks.announce import announce_outcome


def open_ledger() -> Ledger:
    """The ledger that REELFLOW_LEDGER_URL names, or the user's own; one connection pool for each process."""
    return _ledger(default_url())


@lru_cache(maxsize=4)
def _ledger(url: str) -> Ledger:
    return Ledger(url)


def report_on(taisly: TaislyAccount, post: CheckedPost, form: PostForm, *, sent_now: bool) -> PublishReport:
    """What is on record about `post`. Never raises: by now the post is out, whatever happens here."""
    ids: list[str] = []
    try:
        found = open_ledger().outcomes(post, service=taisly.service, repeat=form.repeat)
        if sent_now:  # what the watch reads is announced there; these two are nobody's reading
            for outcome, send in found:
                if outcome.state in (State.REFUSED, State.UNCONFIRMED):
                    announce_outcome(send, outcome)
        shown = [_shown(outcome) for outcome, _ in found]
        ids = sorted({send.history_id for _, send in found if send.history_id})
    except ReelflowError as error:
        get_run_logger().warning("What became of the post cannot be read: %s", error)
        shown = [Outcome(account=a, state=State.PENDING) for a in post.accounts]
    report = PublishReport(post=post, outcomes=shown, history_ids=ids, already=not sent_now)
    return report.model_copy(update={"sentence": sentence(report)})


def _shown(outcome: Outcome) -> Outcome:
    """An outcome as people see it: whether Taisly's answer is still awaited is not their business."""
    under_way = outcome.state in UNDER_WAY
    return outcome.model_copy(update={"state": State.PENDING}) if under_way else outcome
