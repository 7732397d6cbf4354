"""The report of a campaign: a line for each row and account, and a summary for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from reelflow.campaigns.carrying_out import Carried
from reelflow.campaigns.holds import hold_sentence
from reelflow.campaigns.posts import CheckedPlan, Held, PlannedPost, Skipped, labels
from reelflow.campaigns.rows import Plan, RowProblem
from reelflow.downloads.source import shown_name
from reelflow.records.post_states import IN_FLIGHT, SCHEDULED, WORDS, PostState, SendStatus, is_alive, word_of
from reelflow.records.posts import Outcome, Send, SendRecord
from reelflow.wording import count, duration

PUBLISHED, OPEN, FAILED, REFUSED, UNCONFIRMED, CANCELLED, NOT_SENT = (
    WORDS[state]
    for state in (
        PostState.SUCCESS, PostState.ACCEPTED, PostState.FAILED, PostState.REFUSED, PostState.UNCONFIRMED,
        PostState.CANCELLED, PostState.CLAIMED,
    )
)  # fmt: skip
SKIPPED, WRONG, WOULD_SEND, HELD = "skipped", "wrong", "ready", "on hold"
WORST_FIRST = (
    WRONG, FAILED, REFUSED, UNCONFIRMED, HELD, NOT_SENT, OPEN, PUBLISHED, SCHEDULED, WOULD_SEND, CANCELLED, SKIPPED,
)  # fmt: skip
"""The order in which a summary names what became of posts: what a person must act on comes first."""
_SENT = frozenset({PUBLISHED, SCHEDULED, OPEN, FAILED, REFUSED, UNCONFIRMED})
TROUBLE = frozenset({WRONG, FAILED, REFUSED, UNCONFIRMED, HELD, NOT_SENT})


class CampaignLine(BaseModel):
    """A row of a plan, at one account or at several that share their fate.

    Attributes:
        number: Of the row.
        video: Its file name.
        account: Where; empty if that is not known.
        caption: Its text there.
        at: When it is or was published, if that is known.
        phones: What the phones do for it at this account once it is published; empty for nothing.
        outcome: A word.
        detail: The reason, or what is to be said.
        link: To the post.
        send_id: Ours.
        history_id: Taisly's.
        is_new: Whether this run sent it.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    video: str
    account: str = ""
    caption: str = ""
    at: AwareDatetime | None = None
    phones: str = ""
    outcome: str
    detail: str = ""
    link: str | None = None
    send_id: str = ""
    history_id: str = ""
    is_new: bool = False


class CampaignReport(BaseModel):
    """What a campaign did, or would do.

    Attributes:
        name: Of its plan.
        client: The name of the block of its Taisly account.
        rows: How many the plan has.
        lines: By row.
        dry_run: Whether it was only checked.
        notes: What is to be said of the campaign as a whole.
        warnings: What a person should check, with its rows; it is sent all the same.
        summary: One line for people.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    client: str = ""
    rows: int
    lines: list[CampaignLine]
    dry_run: bool = False
    notes: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    summary: str = ""

    def number_of(self, *outcomes: str) -> int:
        """How many lines have one of these outcomes."""
        return sum(line.outcome in outcomes for line in self.lines)

    @property
    def has_trouble(self) -> bool:
        """Whether something of it needs a person."""
        return any(line.outcome in TROUBLE for line in self.lines)

    @property
    def would_be_incomplete(self) -> bool:
        """Whether a check has found something that would not be sent as the plan says."""
        return self.dry_run and any(line.outcome in (WRONG, HELD, NOT_SENT) for line in self.lines)

    @property
    def only_held(self) -> bool:
        """Whether all its trouble is that accounts are on hold."""
        return {line.outcome for line in self.lines} & TROUBLE == {HELD}

    @property
    def is_partly_out(self) -> bool:
        """Whether something of it is out, or will be."""
        return any(line.outcome in (PUBLISHED, SCHEDULED, OPEN) for line in self.lines)


def line_of(
    number: int, send: Send, outcome: Outcome, *, now: float, detail: str, phones: str, is_new: bool
) -> CampaignLine:
    """What is on record for a row at one account."""
    return CampaignLine(
        number=number,
        video=send.file_name,
        account=outcome.account.label,
        caption=send.caption,
        at=datetime.fromtimestamp(send.published_at, UTC),
        phones=phones,
        outcome=outcome_word(send, outcome, now),
        detail=detail,
        link=outcome.link,
        send_id=send.id,
        history_id=send.history_id or "",
        is_new=is_new,
    )


def outcome_word(send: Send, outcome: Outcome, now: float) -> str:
    """What is on record for a post at one account, in a word; `now` in Unix seconds."""
    if outcome.state is PostState.CLAIMED and is_alive(send.lease_until, now):
        return OPEN
    return word_of(outcome.state, is_scheduled=send.status(now) is SendStatus.SCHEDULED)


def line_of_post(
    post: PlannedPost, outcome: str, detail: str = "", phones: Mapping[tuple[int, str], str] = MappingProxyType({})
) -> list[CampaignLine]:
    """A post that is not on record, a line for each of its accounts; `phones` as in `CheckedPlan`."""
    return [
        CampaignLine(
            number=post.number,
            video=post.request.video.name,
            account=account.label,
            caption=post.request.caption,
            at=post.request.scheduled_for,
            phones=phones.get((post.number, account.platform), ""),
            outcome=outcome,
            detail=detail or ". ".join(filter(None, [post.note, _fitted(post)])),
        )
        for account in post.request.accounts
    ]


def _fitted(post: PlannedPost) -> str:
    return f"fitted: {'; '.join(post.request.video.changes)}" if post.request.video.changes else ""


def lines_of_skipped(skipped: Iterable[Skipped]) -> list[CampaignLine]:
    """Rows that are right and not sent."""
    return [
        CampaignLine(
            number=s.number, video=s.file, account=labels(s.accounts), detail=s.reason,
            outcome=NOT_SENT if s.is_failure else SKIPPED,
        )
        for s in skipped
    ]  # fmt: skip


def lines_of_held(held: Iterable[Held]) -> list[CampaignLine]:
    """Rows that are right, and not sent to an account that is on hold."""
    return [
        CampaignLine(
            number=h.number,
            video=h.file,
            account=h.hold.account.label,
            caption=h.caption,
            at=h.at,
            outcome=HELD,
            detail=hold_sentence(h.hold),
        )
        for h in held
    ]


def lines_of_problems(plan: Plan, problems: Sequence[RowProblem]) -> list[CampaignLine]:
    """A line for each wrong row; all that is wrong with it."""
    names = {row.number: shown_name(row.video) for row in plan.rows}
    by_row: dict[int, list[RowProblem]] = {}
    for problem in problems:
        by_row.setdefault(problem.number, []).append(problem)
    return [
        CampaignLine(number=number, video=names.get(number, ""), outcome=WRONG, detail=_all_of(found))
        for number, found in by_row.items()
    ]


def _all_of(problems: Sequence[RowProblem]) -> str:
    return " ".join(f"{p.column}: {p.sentence}" if p.column else p.sentence for p in problems)


def lines_of_carried(
    carried: Sequence[Carried],
    records: Mapping[str, SendRecord],
    describe: Mapping[tuple[str, str], str],
    phones: Mapping[tuple[str, str], str],
    now: float,
) -> list[CampaignLine]:
    """What became of the posts that were to be sent.

    Args:
        carried: Each.
        records: The sends, by id.
        describe: What is to be said of an outcome, by send and account id.
        phones: What the phones are still to do, by the same.
        now: Unix seconds.
    """
    lines: list[CampaignLine] = []
    for each in carried:
        wanted = {account.id for account in each.post.request.accounts}
        for send_id in sorted(each.send_ids):
            send, outcomes = records[send_id]
            for outcome in outcomes:
                if outcome.account.id in wanted:
                    key, number, new = (send_id, outcome.account.id), each.post.number, each.sent_now
                    detail, does = describe.get(key, outcome.detail) or each.post.note, phones.get(key, "")
                    lines.append(line_of(number, send, outcome, now=now, detail=detail, phones=does, is_new=new))
        if each.failure:
            lines += line_of_post(each.post, NOT_SENT, each.failure)
        lines += lines_of_held(each.not_sent_to)
    return lines


def summarize(report: CampaignReport, *, more: str = "", rows: str = "row") -> str:
    """One line about a campaign: how many posts have which outcome, and the commonest reasons of what went wrong.

    What is wrong with the whole plan is not in it: see `wrong_with_all`.

    Args:
        report: What it did, or would do.
        more: A sentence for the end of the line.
        rows: What a row of it is called.
    """
    numbers = Counter(line.outcome for line in report.lines)
    parts = [f"{numbers[outcome]} {outcome}" for outcome in WORST_FIRST if numbers[outcome] and outcome != WRONG]
    wrong = len({line.number for line in report.lines if line.outcome == WRONG and line.number})
    head = "Checked, nothing was sent" if report.dry_run else report.name
    line = f"{head}: {count(report.rows, rows)}{f', {wrong} of them wrong' if wrong else ''}."
    if parts:
        line += f" Posts: {', '.join(parts)}."
    if said := _sent_before(report):
        line += f" {said}"
    for reason, number in causes(report.lines)[:2]:
        line += f" {count(number, 'post')}: {reason.rstrip('.')}."
    return f"{line} {more}".strip()


def _sent_before(report: CampaignReport) -> str:
    """How many of the posts were sent by an earlier run; empty if this run sent all of them, or none were sent."""
    sent = [line for line in report.lines if line.outcome in _SENT]
    before = sum(not line.is_new for line in sent)
    if report.dry_run or not before:
        return ""
    if before == len(report.lines):
        return "All of these had been sent before; nothing was sent again."
    return f"{before} of these had been sent before and {'was' if before == 1 else 'were'} not sent again."


def wrong_with_all(lines: Iterable[CampaignLine]) -> list[str]:
    """What is wrong with the plan or the form, a sentence or more each: no row says it."""
    return [line.detail for line in lines if line.outcome == WRONG and not line.number]


def causes(lines: Iterable[CampaignLine]) -> list[tuple[str, int]]:
    """The reasons of what went wrong, wrong rows apart, and how many posts have each; the commonest first."""
    found = Counter(line.detail for line in lines if line.outcome in TROUBLE - {WRONG} and line.detail)
    return found.most_common()


def phones_sentence(report: CampaignReport) -> str:
    """For how many of its posts the phones do something once they are published; empty for none."""
    number = sum(bool(line.phones) for line in report.lines)
    if not number:
        return ""
    do, they_are = "would do" if report.dry_run else "do", "it is" if number == 1 else "they are"
    return f"The phones {do} their part for {count(number, 'post')} once {they_are} published."


def open_ids(checked: CheckedPlan) -> set[str]:
    """The sends of a plan that an earlier run has made and whose outcome was not known when it was checked."""
    return {known.send.id for known in checked.known if known.outcome.state in IN_FLIGHT}


def room_note(checked: CheckedPlan, per_hour: int) -> str:
    """How long sending takes by the plan's quota; empty if that is no matter."""
    number = len(checked.right_posts())
    if not number or not checked.seconds:
        return ""
    return (
        f"Sending {count(number, 'post')} takes about {duration(checked.seconds)}: your Taisly plan allows {per_hour} "
        "requests an hour."
    )
