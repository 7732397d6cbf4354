"""End what earlier runs left open, and settle what only a person can."""

from prefect.artifacts import create_markdown_artifact

from blocks import TaislyAccount
from reelflow.errors import InputError
from reelflow.models import UNDER_WAY, FinishForm, FinishReport, Outcome, ResolveForm, Send, State
from tasks.announce import announce_outcome
from tasks.record import open_ledger
from tasks.step import step
from tasks.watch import follow_sends


@step("finish open posts")
def finish_posts(taisly: TaislyAccount, form: FinishForm) -> FinishReport:
    """Follow every open post for some minutes; what ended, what is open, what waits for a person."""
    ledger, service = open_ledger(), taisly.service
    unclear_before = {s.id for s, _ in ledger.find(state=State.UNCONFIRMED)}
    news = follow_sends(taisly, None, minutes=form.minutes)
    still = ledger.open_sends(service)
    unclear = [(s, o) for s, o in ledger.find(state=State.UNCONFIRMED) if s.service == service]
    for send, outcomes in unclear:
        for outcome in outcomes:
            if send.id not in unclear_before:
                announce_outcome(send, outcome)
    report = FinishReport(
        ended=[outcome for _, outcome in news],
        still_open=sum(o.state in UNDER_WAY for _, found in still for o in found),
        unconfirmed=[s.id for s, _ in unclear],
    )
    if news or unclear:
        create_markdown_artifact(markdown=_markdown(news, unclear), description=report.sentence)
    return report


def _markdown(news: list[tuple[Send, Outcome]], unclear: list[tuple[Send, list[Outcome]]]) -> str:
    lines = ["| File | Account | Outcome |", "|---|---|---|"]
    lines += [f"| {s.file} | {o.account.label} | {o.state} {o.detail} |" for s, o in news]
    lines += [f"| {s.file} | {o.account.label} | {o.state} {o.detail} |" for s, found in unclear for o in found]
    return "\n".join(line.replace("<", "&lt;") for line in lines)


@step("resolve {form.send_id}")
def resolve_send(form: ResolveForm) -> str:
    """Put on record what a person found out about an unconfirmed post; one line that says what is next.

    Raises:
        InputError: there is no such post, or it is not unconfirmed.
    """
    ledger = open_ledger()
    found = [(s, o) for s, o in ledger.find(state=State.UNCONFIRMED) if form.send_id.strip() in (s.id, s.history_id)]
    if not found:
        waiting = ", ".join(s.id for s, _ in ledger.find(state=State.UNCONFIRMED)) or "none"
        raise InputError(f"No unconfirmed post has the id {form.send_id!r}. Unconfirmed are: {waiting}.")
    (send, outcomes), *_ = found
    names = ", ".join(o.account.label for o in outcomes)
    if form.answer == "send it again":
        if form.dry_run:
            return f"Dry run: {send.file} would be free to be sent again to {names}."
        ledger.give_back(send.id, "a person found that it is not out")
        return f"{send.file} may be sent again to {names}: start publish-video with the same parameters as before."
    if form.dry_run:
        return f"Dry run: {send.file} would be recorded as out at {names}."
    if form.history_id.strip():
        ledger.accepted(send.id, form.history_id.strip(), "named by a person")
        return f"{send.file} is recorded as {form.history_id.strip()}; finish-open-posts looks up its outcome."
    ledger.settle(send.id, State.SUCCESS, "confirmed by a person")
    return f"{send.file} is recorded as published at {names}."
