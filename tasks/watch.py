"""Follow a post until every platform has an outcome."""

from prefect import get_run_logger

from blocks import TaislyAccount
from reelflow.models import CheckedPost, Outcome, SentPost, State
from reelflow.publishing import outcomes
from reelflow.watching import Looked, watch
from tasks.step import step


@step("watch {post.video.path.name}")
def watch_post(taisly: TaislyAccount, post: CheckedPost, sent: SentPost, minutes: float) -> list[Outcome]:
    """Look into the history at growing intervals, for at most `minutes`. What is still open then is PENDING."""
    log = get_run_logger()
    shown: dict[str, State] = {}

    def tell(looked: Looked) -> None:
        for outcome in outcomes(post.accounts, looked.items.get(sent.history_id)):
            if shown.get(outcome.account.id, State.PENDING) is not outcome.state:
                shown[outcome.account.id] = outcome.state
                log.info("%s: %s %s", outcome.account.label, outcome.state, outcome.link or outcome.detail)

    with taisly.get_client() as client:
        looked = watch(
            client,
            {sent.history_id: sent},
            seconds=minutes * 60,
            first_pause=taisly.first_look_seconds,
            on_look=tell,
        )
    if looked.trouble is not None:
        log.warning("The last look failed: %s", looked.trouble)
    return outcomes(post.accounts, looked.items.get(sent.history_id))
