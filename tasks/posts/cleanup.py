"""Finish what earlier runs left open, and resolve posts that only a person can."""

import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from blocks import TaislyAccount
from reelflow.errors import ChecksFailed, LedgerUnavailable, ReelflowError
from reelflow.ledger import Ledger
from reelflow.posts import cleanup
from reelflow.posts.form import FinishForm, ResolveForm
from reelflow.posts.report import FinishReport
from reelflow.records.clients import for_client
from reelflow.records.post_states import NEED_ATTENTION, WORDS, PostState, SendStatus
from reelflow.records.posts import Outcome, Send
from reelflow.wording import NAMED, count
from tasks.artifacts import client_column, plain_text, show_markdown, table
from tasks.ledger import open_ledger
from tasks.posts.clients import SavedClients, load_clients, record_deleted_clients
from tasks.posts.watch import tell_outcome
from tasks.posts.wording import FINISH_OPEN_POSTS, OUTCOME_WORDS, detail_of, explained_open_posts
from tasks.step import Retry, step

CLIENTS_AT_ONCE = 8
"""Whose posts are watched at the same time: each has a key, and so a plan, of its own."""


@step("finish open posts", retry=Retry.READ)
def finish_posts(taisly: TaislyAccount | None, form: FinishForm) -> FinishReport:
    """Watch the open posts of a client for some minutes; of every saved one if none is chosen.

    A client whose key is refused, or whose Taisly is away, keeps no other from being finished.

    Returns:
        New outcomes, open posts and posts that wait for a person.

    Raises:
        ChecksFailed: the posts of a client cannot be read; what the others tell is on record.
        ReelflowError: the Prefect server or the ledger does not answer.
    """
    ledger, clients = open_ledger(), load_clients()
    mine = clients if taisly is None else SavedClients(clients.names, [taisly])
    news, troubles = _finish_all(mine.blocks, ledger, form.minutes * 60)
    troubles = [*mine.troubles, *troubles]
    if taisly is None and not clients.troubles:  # else a key that cannot be told now may read them
        for send, outcome in cleanup.give_up_without_key(ledger, [each.fingerprint() for each in clients.blocks]):
            tell_outcome(send, outcome)
    report = _report(news, ledger)
    if taisly is None:
        report = report.model_copy(update={"deleted": record_deleted_clients(ledger, clients)})
    if troubles:
        raise ChecksFailed(" ".join([*troubles, summarize_finish(report)]), report, cause=" ".join(troubles))
    return report


News = list[tuple[Send, Outcome]]


def _finish_all(blocks: Sequence[TaislyAccount], ledger: Ledger, seconds: float) -> tuple[News, list[str]]:
    """What ended, and a sentence for each client whose posts could not be read."""
    rounds = math.ceil(len(blocks) / CLIENTS_AT_ONCE) or 1
    news, troubles = News(), list[str]()
    with ThreadPoolExecutor(CLIENTS_AT_ONCE) as pool:
        # Each in a copy of this context: it has the run, for its log and its events.
        found = [pool.submit(copy_context().run, _finish, block, ledger, seconds / rounds) for block in blocks]
    for block, each in zip(blocks, found, strict=True):
        try:
            ended, trouble = each.result()
        except LedgerUnavailable:
            raise
        except ReelflowError as error:
            ended, trouble = [], error
        news += ended
        if trouble is not None:
            troubles.append(for_client(block.client, str(trouble)))
    return news, troubles


def _finish(taisly: TaislyAccount, ledger: Ledger, seconds: float) -> tuple[News, ReelflowError | None]:
    if not ledger.open_sends(taisly.service):
        return [], None
    with taisly.get_rate_limited(ledger) as client:
        return cleanup.finish_posts(
            client,
            seconds=seconds,
            first_pause=taisly.first_look_seconds,
            grace=taisly.grace_seconds,
            on_news=tell_outcome,
        )


def _report(news: list[tuple[Send, Outcome]], ledger: Ledger) -> FinishReport:
    """What is known after all accounts were looked at; shown as an artifact if there is anything to show."""
    unfinished, unconfirmed, now = cleanup.open_outcomes(ledger), cleanup.unconfirmed_sends(ledger), ledger.now()
    scheduled = [send for send, _ in unfinished if send.status(now) is SendStatus.SCHEDULED]
    report = FinishReport(
        ended=[outcome for _, outcome in news],
        failures=[_failure(send, outcome) for send, outcome in news if outcome.state in _FAILURES],
        still_open=len(unfinished) - len(scheduled),
        scheduled=len(scheduled),
        unconfirmed=[send.id for send, _ in unconfirmed],
    )
    shown = [*news, *((send, o) for send, outcomes in unconfirmed for o in outcomes)]
    if shown:
        columns = {
            **client_column(send for send, _ in shown),
            "File": [plain_text(send.file) for send, _ in shown],
            "Account": [plain_text(o.account.label) for _, o in shown],
            "Outcome": [OUTCOME_WORDS[o.state] for _, o in shown],
            "Details": [plain_text(detail_of(send, o)) for send, o in shown],
        }
        show_markdown(table(columns), summarize_finish(report))
    return report


_FAILURES = NEED_ATTENTION - {PostState.UNCONFIRMED}
"""The rest waits for a person, under its send ID."""


def _failure(send: Send, outcome: Outcome) -> str:
    reason = outcome.detail.rstrip(".")
    where = for_client(send.client, outcome.account.label)
    failed = f"{WORDS[outcome.state].capitalize()}: {send.file_name} on {where}"
    return f"{failed} ({reason})" if reason else failed


def summarize_finish(report: FinishReport) -> str:
    """One line about a run that finishes open posts."""
    numbers = Counter(WORDS[outcome.state] for outcome in report.ended)
    which = f" ({', '.join(f'{number} {word}' for word, number in sorted(numbers.items()))})" if numbers else ""
    line = f"{count(len(report.ended), 'new outcome')}{which}, {report.still_open} still open"
    line += f", {report.scheduled} scheduled." if report.scheduled else "."
    if report.failures:
        line += f" {'. '.join(report.failures[:NAMED])}."
        more = len(report.failures) - NAMED
        line += f" And {more} more failed." if more > 0 else ""
    if report.unconfirmed:
        posts = "1 post is" if len(report.unconfirmed) == 1 else f"{len(report.unconfirmed)} posts are"
        line += f" {posts} unconfirmed and waiting for you (resolve-post): {', '.join(report.unconfirmed)}."
    return " ".join([line, *report.deleted])


@step("resolve {form.send_id}", retry=Retry.LEDGER)
def resolve_post(form: ResolveForm) -> str:
    """Record what a person found out about an unconfirmed post; returns one line with the next step.

    Raises:
        StillOpen: it has no outcome yet.
        InputError: there is no such post, or it is not unconfirmed.
    """
    ledger = open_ledger()
    with explained_open_posts():
        send, outcomes = cleanup.find_unconfirmed(ledger, form.send_id)
    names = ", ".join(for_client(send.client, o.account.label) for o in outcomes)
    history_id = form.history_id.strip()
    if form.dry_run:
        if form.answer == "not published":
            would = f"release {send.file}, to be sent again to {names}"
        else:
            would = f"record {send.file} as {history_id or f'published on {names}'}"
        return f"Dry run: nothing was recorded. Would {would}."
    cleanup.resolve_post(ledger, send.id, form)
    if form.answer == "not published":
        return f"Released {send.file} for {names}. To send it, start publish-video with the same parameters as before."
    if history_id:
        return f"Recorded {send.file} as {history_id}. {FINISH_OPEN_POSTS}"
    return f"Recorded {send.file} as published on {names}."
