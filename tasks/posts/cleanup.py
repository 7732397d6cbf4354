"""Finish what earlier runs left open, and resolve posts that only a person can."""

from collections import Counter

from blocks import TaislyAccount
from blocks.reference import load_saved, saved_names
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger
from reelflow.posts import cleanup
from reelflow.posts.form import FinishForm, ResolveForm
from reelflow.posts.report import FinishReport
from reelflow.records.post_states import NEED_ATTENTION, WORDS, PostState, SendStatus
from reelflow.records.posts import Outcome, Send
from reelflow.wording import NAMED, count
from tasks.artifacts import plain_text, show_markdown, table
from tasks.ledger import open_ledger
from tasks.posts.watch import tell_outcome
from tasks.posts.wording import FINISH_OPEN_POSTS, OUTCOME_WORDS, detail_of, explained_open_posts
from tasks.prefect_server import asking_prefect
from tasks.step import Retry, step


@step("finish open posts", retry=Retry.READ)
def finish_posts(taisly: TaislyAccount, form: FinishForm) -> FinishReport:
    """Watch every open post for some minutes; returns new outcomes, open posts and posts that wait for a person.

    Those that were sent with another saved Taisly account, too: a run names its account, and then leaves the rest to
    whoever finishes open posts.

    Raises:
        ReelflowError: the history of an account cannot be read; what the others tell is on record.
    """
    ledger = open_ledger()
    with asking_prefect():
        names = saved_names(TaislyAccount)
    seconds = form.minutes * 60 / max(1, len(names))
    news, troubles = _finish(taisly, ledger, seconds), list[ReelflowError]()
    done = {taisly.api_key.get_secret_value()}
    for name in names:
        try:
            with asking_prefect():
                other = load_saved(TaislyAccount, name)
            if other is None or other.api_key.get_secret_value() in done or not ledger.open_sends(other.service):
                continue
            done.add(other.api_key.get_secret_value())
            news += _finish(other, ledger, seconds)
        except ReelflowError as error:
            troubles.append(error)
    report = _report(news, ledger)
    if troubles:
        raise troubles[0]
    return report


def _finish(taisly: TaislyAccount, ledger: Ledger, seconds: float) -> list[tuple[Send, Outcome]]:
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
    failed = f"{WORDS[outcome.state].capitalize()}: {send.file_name} on {outcome.account.label}"
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
    return line


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
    names = ", ".join(o.account.label for o in outcomes)
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
