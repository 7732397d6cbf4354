"""Approval: what is asked, what an answer decides, and that silence publishes nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.clock import Clock

from deployments.asking import ask_in_terminal
from reelflow.campaigns.approval import (
    CaptionChange,
    Decided,
    GivenAnswer,
    as_asked,
    decide,
    digest_of,
    leave_out_moved,
    read_answer,
    slots_to_release,
)
from reelflow.campaigns.posts import CheckedPlan, Draft, PlannedPost
from reelflow.campaigns.rows import PlanRow
from reelflow.errors import InputError
from reelflow.ledger import Ledger
from reelflow.records.approvals import Answer, Approval
from reelflow.records.campaigns import Reservation, SlotRequest
from reelflow.records.posts import Account, PostRequest
from reelflow.time_zones import DAY, shown
from tasks.campaigns.question import question_of

INSTAGRAM = Account(id="b1", platform="Instagram", name="mara.bakes")
X = Account(id="d1", platform="X", name="@marabakes")
NOW = 1_000_000.0
SERVICE = "https://taisly.test"
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def draft(checked: Callable[..., PostRequest]) -> Callable[..., Draft]:
    """A row at one account."""

    def make(number: int = 1, account: Account = INSTAGRAM, caption: str = "fresh", **changes: Any) -> Draft:
        video = checked(f"video {number}").video
        return Draft(PlanRow(number, str(video.path)), video, account, caption, None, **changes)

    return make


Make = Callable[..., Draft]


def _numbered(draft: Draft, number: int) -> Draft:
    """The same content in another row."""
    return replace(draft, row=replace(draft.row, number=number))


def asked(
    draft: Draft, until: float = NOW + 3600, answer: Answer | None = None, caption: str | None = None
) -> Approval:
    return Approval(digest_of(draft), 1, draft.row.number, until, answer, caption)


def test_another_video_account_or_caption_is_another_question(draft: Make) -> None:
    """And so is another time, if the plan sets it. How blanks are written makes no difference."""
    digests = {digest_of(d) for d in (draft(), draft(2), draft(account=X), draft(caption="old"), draft(repeat=1))}
    times = {digest_of(replace(draft(), when=when)) for when in (None, "now", NOON, NOON + timedelta(hours=1))}

    assert (len(digests), len(times)) == (5, 4)
    assert digest_of(draft(caption=" fresh ")) == digest_of(draft())


def test_other_words_for_the_phones_are_another_question(draft: Make) -> None:
    """A comment that was changed after the answer was approved by nobody."""
    asks: list[dict[str, Any]] = [{}, {"comments": ("a",)}, {"comments": ("b",)}, {"comments": ("a", "b")}]
    asks += [{"warm_up_minutes": 1}, {"warm_up_minutes": 2}]

    digests = {digest_of(replace(one := draft(), row=replace(one.row, **ask))) for ask in asks}

    assert len(digests) == len(asks)


def test_an_answer_is_read_by_the_row_numbers_that_were_shown(draft: Make) -> None:
    """A video that was added before them since, or one that is gone, changes nothing about what was meant."""
    bread, cake = draft(1, caption="bread"), draft(2, caption="cake")
    question = [asked(bread), asked(cake), Approval("of a row that is gone", 1, 3, NOW + 3600)]
    now = [_numbered(bread, 2), _numbered(cake, 3)]

    drafts, gone = as_asked([_numbered(draft(7), 1), *now], question), {each.number for each in question}
    answers = read_answer(GivenAnswer(True, "2, 3", [CaptionChange(1, "rye")]), drafts, gone)

    assert answers == {digest_of(bread): (Answer.APPROVED, "rye"), digest_of(cake): (Answer.DROPPED, None)}
    assert read_answer(GivenAnswer(True, "2", [CaptionChange(1, "new", "X")]), [], gone) == {}


def test_what_moved_after_it_was_approved_is_not_sent(draft: Make, checked: Callable[..., PostRequest]) -> None:
    """It names the moment that was approved."""
    first, second = draft(1), draft(2)
    plan = CheckedPlan(drafts=[first, second], approved={(1, "b1"): NOON.timestamp(), (2, "b1"): NOON.timestamp()})

    posts = [PlannedPost(n, checked(accounts=[INSTAGRAM], scheduled_for=NOON + timedelta(hours=n - 1))) for n in (1, 2)]

    assert leave_out_moved(plan, posts)
    assert (plan.drafts, [s.number for s in plan.skipped]) == ([first], [2])
    assert plan.skipped[0].is_failure
    assert f"approved it for {shown(NOON)}" in plan.skipped[0].reason
    assert not leave_out_moved(plan, posts)


def test_only_what_is_approved_is_sent(draft: Make) -> None:
    """Drop some, approve some, and the rest is still asked about."""
    first, second, third = draft(1), draft(2), draft(3)
    known = {a.digest: a for a in (asked(first, answer=Answer.APPROVED), asked(second, answer=Answer.DROPPED))}

    found = decide([first, second, third], known, NOW)

    assert (found.approved, found.open, found.dropped) == ([first], [third], [second])
    assert [s.reason for s in found.skipped] == ["You did not approve it."]


def test_only_the_slot_of_a_post_that_was_dropped_is_released(draft: Make) -> None:
    """That of another post stays: of another account, or of the same video without a fixed time, which may be out."""
    mine, other, fixed = draft(1), draft(2), replace(draft(3), when=NOON)
    kept = [
        Reservation(d.row.campaign, d.video.sha256, d.account, "", d.repeat, NOW + 60) for d in (mine, other, fixed)
    ]

    assert slots_to_release(Decided(dropped=[mine, fixed]), kept) == kept[:1]


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
        (GivenAnswer(approves=True, drop="9"), "Row 9 is not one of the rows to approve: 1, 2."),
        (GivenAnswer(approves=True, drop="the second"), "'the' is not a row number or a range"),
        (GivenAnswer(approves=True, drop="7-5"), "'7-5' is not a row number"),
        (GivenAnswer(approves=True, captions=[CaptionChange(3, "new")]), "Row 3 is not one"),
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


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [1, 2, 3]),
        ("2", [1, 3]),
        ("1, 3", [2]),
        ("1 - 2", [3]),
        ("1–3", []),
        ("row 2", [1, 3]),
        ("Rows 1 and 3", [2]),
        ("#2, row3", [1]),
    ],
)
def test_rows_are_dropped_by_number_and_range(draft: Make, text: str, rows: list[int]) -> None:
    """As people write them."""
    drafts = [draft(number) for number in (1, 2, 3)]

    answers = read_answer(GivenAnswer(approves=True, drop=text), drafts)

    assert [d.row.number for d in drafts if answers[digest_of(d)][0] is Answer.APPROVED] == rows


def test_a_large_question_stays_small_and_leaves_nothing_out(checked: Callable[..., PostRequest]) -> None:
    """The dialog shows as many posts as it has room for, and says where the others are: in the artifact of the run."""
    one = checked("long " * 400, accounts=[INSTAGRAM], scheduled_for=NOON)
    posts = [PlannedPost(number, one) for number in range(1, 1001)]

    dialog, whole = ("\n".join(lines) for lines in question_of("week", "", "1000 rows to approve.", posts))
    _, huge = question_of("week", "", "6000 rows to approve.", posts * 6)
    small = question_of("week", "Again.", "2 rows to approve.", posts[:2])

    assert len(dialog.encode()) < 500_000
    assert len(whole.encode()) < 1_000_000
    assert "And 940 more posts, listed under *Artifacts* of this run." in dialog
    assert all(f"\n| {number} |" in whole for number in range(1, 1001))
    assert dialog.count(one.caption.strip()) == 60
    assert huge[-1].endswith(" more posts are not shown. Your answer counts for them too.")
    assert small[0] == small[1]
    assert "Phones" not in "".join(small[0])
    assert "more post" not in "".join(small[0])


def test_what_the_phones_do_is_asked_with_the_post(
    checked: Callable[..., PostRequest], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the dialog of the UI, and in a terminal."""
    plan = CheckedPlan(phones={(1, "Instagram"): "comments (2 texts)"})
    posts = [PlannedPost(number, checked(accounts=[INSTAGRAM, X], scheduled_for=NOON)) for number in (1, 2)]
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    dialog, _ = question_of("week", "", "2 rows to approve.", posts, plan.phones_of)
    ask_in_terminal("2 rows to approve.", posts, plan.phones_of)

    assert ["<br>Phones: comments (2 texts) on Instagram" in line for line in dialog[-2:]] == [True, False]
    assert capsys.readouterr().out.count("           phones: comments (2 texts) on Instagram\n") == 1


def test_in_a_terminal_captions_are_shown_whole_and_the_end_of_input_is_a_no(
    checked: Callable[..., PostRequest], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is approved has been shown: 2,200 characters, but none that move the cursor."""
    caption = "Fresh\n" + "bread " * 300 + "\x1b[2J#end"
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    answer = ask_in_terminal("1 row to approve.", [PlannedPost(1, checked(caption, accounts=[INSTAGRAM]))])

    told = capsys.readouterr().out
    assert answer == GivenAnswer(approves=False)
    assert ("bread " * 300).strip() in told
    assert "#end\n" in told
    assert "\x1b" not in told


def test_in_a_terminal_rows_are_dropped_only_after_a_second_yes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lone 2 may be meant as "send row 2"; and what is no answer at all is asked again without the whole list."""
    monkeypatch.setattr("sys.stdin", io.StringIO("maybe\n2\nno\n3, 5-7\nY\n"))

    answer = ask_in_terminal("9 rows to approve.", [])

    told = capsys.readouterr().out
    assert answer == GivenAnswer(approves=True, drop="3, 5-7")
    assert "Answer yes, no, or numbers of rows." in told
    assert "Drop 2, and send the others?" in told
    assert told.count("9 rows to approve.") == 1


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


def test_what_is_not_asked_any_more_is_closed(ledger: Ledger) -> None:
    """A new question replaces the one before. An answer that was given before it was closed counts all the same."""
    ledger.ask_for_approval("run", [Approval("a", 1, 1, 0.0), Approval("b", 1, 2, 0.0)])
    ledger.ask_for_approval("run", [Approval("b", 2, 1, 0.0)])
    open_now = ledger.open_questions()
    ledger.close_questions("run")
    ledger.answer_approvals("run", {"b": (Answer.APPROVED, None)})

    assert [q.posts for q in open_now] == [1]
    assert (ledger.open_questions(), ledger.asking_runs()) == ([], [])
    assert {d: (a.question, a.answer) for d, a in ledger.approvals("run").items()} == {
        "a": (1, None), "b": (2, Answer.APPROVED),
    }  # fmt: skip


def test_a_new_question_replaces_one_from_the_future(ledger: Ledger, clock: Clock) -> None:
    """The clock was set back meanwhile, or the run goes on where another one counts."""
    ledger.ask_for_approval("run", [Approval("a", 1, 1, 0.0)])
    clock.now -= 3600
    ledger.ask_for_approval("run", [Approval("a", 2, 1, 0.0)])
    asked = ledger.approvals("run")["a"].question
    ledger.close_questions("run")

    assert (asked, ledger.asking_runs()) == (2, [])


def test_a_post_without_a_time_waits_for_its_answer_for_a_week(ledger: Ledger, clock: Clock) -> None:
    """Afterwards nobody is told of it any more."""
    ledger.ask_for_approval("run", [Approval("a", 1, 1, 0.0)])

    clock.now += 6 * DAY
    then = ledger.open_questions()
    clock.now += 2 * DAY

    assert ([q.flow_run for q in then], ledger.open_questions()) == (["run"], [])


def test_a_run_that_has_ended_leaves_its_unused_slots_to_others(
    ledger: Ledger, clock: Clock, checked: Callable[..., PostRequest]
) -> None:
    """Not one that was used, nor what it has asked and reserved after it began again, nor another run's."""

    def take(caption: str, flow_run: str) -> PostRequest:
        post = checked(caption, accounts=[INSTAGRAM])
        request = SlotRequest("", post.video.sha256, "", {INSTAGRAM.id: caption}, (INSTAGRAM,))
        (at,) = ledger.reserve(SERVICE, [request], lambda r, taken, earliest: earliest + 60 * len(taken[INSTAGRAM.id]),
                               earliest=clock.now + 3600, flow_run=flow_run)  # fmt: skip
        assert isinstance(at, float)
        return post.model_copy(update={"scheduled_for": datetime.fromtimestamp(at, UTC)})

    posts = [take(caption, "dead") for caption in ("used", "unused", "of another run by now", "reserved again")]
    ledger.ask_for_approval("dead", [Approval("a", 1, 1, 0.0)])
    ledger.claim(posts[0], service=SERVICE, owner="o")
    ended, clock.now = clock.now, clock.now + 1
    take("of another run by now", "alive")
    take("reserved again", "dead")

    ledger.abandon_questions("dead", before=ended)

    left = ledger.reservations(SERVICE, {post.video.sha256 for post in posts})
    kept = {post.caption for post in posts for each in left if each.sha256 == post.video.sha256}
    assert kept == {"used", "of another run by now", "reserved again"}
    assert ledger.asking_runs() == []


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
