"""Approval: what is asked, what an answer decides, and that silence publishes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.clock import Clock

from reelflow.campaigns.approval import CaptionChange, GivenAnswer, decide, digest_of, read_answer
from reelflow.campaigns.posts import Draft
from reelflow.campaigns.rows import PlanRow
from reelflow.errors import InputError
from reelflow.ledger import Ledger
from reelflow.records.approvals import Answer, Approval
from reelflow.records.posts import Account, PostRequest

INSTAGRAM = Account(id="b1", platform="Instagram", name="mara.bakes")
X = Account(id="d1", platform="X", name="@marabakes")
NOW = 1_000_000.0


@pytest.fixture
def draft(checked: Callable[..., PostRequest]) -> Callable[..., Draft]:
    """A row at one account."""

    def make(number: int = 1, account: Account = INSTAGRAM, caption: str = "fresh", **changes: Any) -> Draft:
        video = checked(f"video {number}").video
        return Draft(PlanRow(number, str(video.path)), video, account, caption, None, **changes)

    return make


Make = Callable[..., Draft]


def asked(
    draft: Draft, until: float = NOW + 3600, answer: Answer | None = None, caption: str | None = None
) -> Approval:
    return Approval(digest_of(draft), 1, draft.row.number, until, answer, caption)


def test_another_video_account_or_caption_is_another_question(draft: Make) -> None:
    """How blanks are written, and the time, make no difference."""
    digests = {digest_of(d) for d in (draft(), draft(2), draft(account=X), draft(caption="old"), draft(repeat=1))}

    assert len(digests) == 5
    assert digest_of(draft(caption=" fresh ")) == digest_of(draft())
    assert digest_of(replace(draft(), when="now")) == digest_of(draft())


def test_only_what_is_approved_is_sent(draft: Make) -> None:
    """Drop some, approve some, and the rest is still asked about."""
    first, second, third = draft(1), draft(2), draft(3)
    known = {a.digest: a for a in (asked(first, answer=Answer.APPROVED), asked(second, answer=Answer.DROPPED))}

    found = decide([first, second, third], known, NOW)

    assert (found.approved, found.open, found.dropped) == ([first], [third], [second])
    assert [s.reason for s in found.skipped] == ["Dropped when the campaign was approved."]


@pytest.mark.parametrize("answer", [None, Answer.APPROVED], ids=["silence", "approved"])
def test_an_approval_ends_when_the_time_of_its_post_comes(draft: Make, answer: Answer | None) -> None:
    """Silence publishes nothing, and an approval does not last for another slot."""
    one = draft()

    found = decide([one], {digest_of(one): asked(one, until=NOW, answer=answer)}, NOW)

    assert (found.approved, found.open, found.dropped) == ([], [], [one])
    assert "before its time" in found.skipped[0].reason


def test_a_changed_caption_is_sent_in_place_of_the_plans(draft: Make) -> None:
    """That of its platform before that for all; the others keep theirs."""
    drafts = [draft(1), draft(1, X), draft(2)]
    changes = [CaptionChange(1, "for all"), CaptionChange(1, "short", "x")]

    answers = read_answer(GivenAnswer(approves=True, captions=changes), drafts)
    known = {d: replace(asked(each), answer=a, caption=c)
             for each in drafts for d, (a, c) in [(digest_of(each), answers[digest_of(each)])]}  # fmt: skip

    assert [each.caption for each in decide(drafts, known, NOW).approved] == ["for all", "short", "fresh"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (GivenAnswer(approves=True, drop="9"), "There is no row 9 to decide about. The rows are 1, 2."),
        (GivenAnswer(approves=True, drop="the second"), "'the' names no rows"),
        (GivenAnswer(approves=True, drop="7-5"), "'7-5' names no rows"),
        (GivenAnswer(approves=True, captions=[CaptionChange(3, "new")]), "There is no row 3"),
        (GivenAnswer(approves=True, captions=[CaptionChange(1, "new", "TikTok")]), "Row 1 is not posted to 'TikTok'"),
        (GivenAnswer(approves=True, captions=[CaptionChange(2, "x" * 101)]), "X allows 100"),
    ],
    ids=["no such row", "words", "backwards", "no such row for a caption", "no such platform", "too long"],
)
def test_an_answer_that_cannot_be_meant_is_refused_with_its_reason(
    draft: Make, answer: GivenAnswer, reason: str
) -> None:
    """Nothing is decided by it, so the question is asked again."""
    with pytest.raises(InputError, match=reason.replace("(", r"\(")):
        read_answer(answer, [draft(1), draft(2, X)])


@pytest.mark.parametrize(("text", "rows"), [("", [1, 2, 3]), ("2", [1, 3]), ("1, 3", [2]), ("1 - 2", [3]), ("1–3", [])])
def test_rows_are_dropped_by_number_and_range(draft: Make, text: str, rows: list[int]) -> None:
    """As people write them."""
    drafts = [draft(number) for number in (1, 2, 3)]

    answers = read_answer(GivenAnswer(approves=True, drop=text), drafts)

    assert [d.row.number for d in drafts if answers[digest_of(d)][0] is Answer.APPROVED] == rows


def test_reject_publishes_nothing(draft: Make) -> None:
    """Whatever else the form says."""
    answers = read_answer(GivenAnswer(approves=False, drop="1"), [draft(1), draft(2)])

    assert {answer for answer, _ in answers.values()} == {Answer.DROPPED}


@pytest.fixture
def ledger(ledger_on_each: Ledger) -> Ledger:
    """One on each kind of database."""
    return ledger_on_each


def test_the_first_answer_counts(ledger: Ledger) -> None:
    """A second one changes nothing; what was not answered may be asked again."""
    ledger.ask_for_approval("run", [Approval("a", 1, 1, 0.0), Approval("b", 1, 2, 0.0)])
    ledger.answer_approvals("run", {"a": (Answer.APPROVED, "new")})
    ledger.answer_approvals("run", {"a": (Answer.DROPPED, None)})
    ledger.ask_for_approval("run", [Approval("a", 2, 1, 0.0), Approval("b", 2, 2, 5.0)])

    found = ledger.approvals("run")

    assert (found["a"].answer, found["a"].caption, found["a"].question) == (Answer.APPROVED, "new", 1)
    assert (found["b"].answer, found["b"].question, found["b"].until) == (None, 2, 5.0)
    assert ledger.approvals("another run") == {}


def test_open_questions_are_those_that_still_have_time(ledger: Ledger, clock: Clock) -> None:
    """A question whose posts' times have passed waits for nobody; the most urgent comes first."""
    soon, later = clock.now + 60, clock.now + 3600
    ledger.ask_for_approval("late", [Approval("a", 1, 1, clock.now - 1)])
    ledger.ask_for_approval("week", [Approval("a", 1, 1, later), Approval("b", 1, 2, later + 1)])
    ledger.ask_for_approval("day", [Approval("a", 1, 1, soon)])
    ledger.ask_for_approval("done", [Approval("a", 1, 1, soon)])
    ledger.answer_approvals("done", {"a": (Answer.APPROVED, None)})

    found = ledger.open_questions()

    assert [(q.flow_run, q.posts, q.first) for q in found] == [("day", 1, soon), ("week", 2, later)]
