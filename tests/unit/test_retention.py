"""Tidying the ledger: what goes, and that nothing that anybody decides changes by it. SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from annotated_types import Le
from support.clock import Clock
from support.journal import journal_of
from support.old_ledgers import Past, Rehearsal, answers, phone_request, plan_phones
from support.phones import HOST, URLS, comment
from support.race import at_once

from blocks import TaislyAccount
from reelflow.errors import LedgerUnavailable
from reelflow.ledger import Ledger, move_ledger
from reelflow.ledger.schema import events, sends
from reelflow.records.alarms import Alarm
from reelflow.records.approvals import Answer, Approval
from reelflow.records.phone_states import RequestState, TaskState
from reelflow.records.phones import TaskResult
from reelflow.records.post_states import PostState
from reelflow.records.posts import Outcome, PostRequest
from reelflow.records.retention import LONGEST_DUPLICATE, Leftover
from reelflow.time_zones import DAY

Post = Callable[..., PostRequest]
SERVICE = "https://taisly.test"
MANY = 1200
"""Rows: more than are removed at once."""


@pytest.fixture
def ledger(ledger_on_each: Ledger) -> Ledger:
    return ledger_on_each


def _send(ledger: Ledger, post: PostRequest, state: PostState) -> str:
    """A send that ended so."""
    claim = ledger.claim(post, service=SERVICE, owner="me", flow_run="run")
    send = str(claim.send_id)
    ledger.begin(send, "me")
    if state is PostState.UNCONFIRMED:
        ledger.settle(send, state, "its answer was lost")
        return send
    ledger.accepted(send, send)
    ledger.record_outcomes(send, [Outcome(account=account, state=state) for account in claim.accounts])
    return send


def _fill_journal(ledger: Ledger, rows: int = MANY) -> None:
    """Write that much about sends that nobody knows, before everything else."""
    values = {"at": 1.0, "send_id": "old", "owner": "", "state": PostState.SUCCESS, "reason": "long ago"}
    with ledger.transaction() as connection:
        connection.execute(events.insert(), [values] * rows)


def _journal(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(events)) or 0


@pytest.mark.parametrize(("seed", "days"), [(3, 30), (4, 365)])
def test_no_answer_changes_by_tidying(ledger: Ledger, url: str, clock: Clock, seed: int, days: int) -> None:
    """Of random ledgers, three years old: who may post, comment or take a slot, what is open, and what is a loss."""
    past = Past(ledger, clock, seed)
    past.happen()
    with closing(Rehearsal(url, clock=clock)) as rehearsal:
        before = dict(answers(rehearsal, past.moments))

        removed = ledger.tidy(days)

        after = dict(answers(rehearsal, past.moments))
    changed = {question: (was, after.get(question)) for question, was in before.items() if after.get(question) != was}
    assert changed == {}
    assert len([what for what, rows in removed.items() if rows]) > len(Leftover) / 2


def test_a_dry_run_counts_what_would_go(ledger: Ledger, clock: Clock) -> None:
    """And removes nothing; after the real run nothing is left to remove."""
    Past(ledger, clock, 5).happen()
    before = ledger.size().rows

    counted = ledger.tidy(90, dry_run=True)
    same = ledger.size().rows
    removed = ledger.tidy(90)
    after = ledger.size().rows

    assert (same, removed) == (before, counted)
    assert sum(removed.values()) > 0
    rows = sum(number for what, number in removed.items() if not what.is_emptied)
    assert sum(before.values()) - sum(after.values()) == rows
    assert set(ledger.tidy(90).values()) == {0}


def test_the_journal_of_a_post_stays_while_its_outcome_is_not_known(
    ledger: Ledger, clock: Clock, checked: Post
) -> None:
    """It is what a person finds the outcome with. That of a published post goes once it is old enough."""
    out = _send(ledger, checked(), PostState.SUCCESS)
    unconfirmed = _send(ledger, checked("two"), PostState.UNCONFIRMED)
    clock.sleep(300 * DAY)
    young = _send(ledger, checked("three"), PostState.SUCCESS)
    told = len(journal_of(ledger, young))
    clock.sleep(100 * DAY)

    ledger.tidy(365)

    assert journal_of(ledger, out) == []
    assert [event["state"] for event in journal_of(ledger, unconfirmed)][-1] == PostState.UNCONFIRMED
    assert len(journal_of(ledger, young)) == told > 0


def test_the_pictures_of_a_post_stay_as_long_as_another_may_be_compared_with_them(
    ledger: Ledger, clock: Clock, checked: Post
) -> None:
    """A block may refuse the same video for a year, so a shorter time makes no difference; unconfirmed, for ever."""
    videos = [checked(name).video.model_copy(update={"pictures": (1, 2, 3, 4)}) for name in ("one", "two")]
    out = _send(ledger, checked("one", video=videos[0]), PostState.SUCCESS)
    open_one = _send(ledger, checked("two", video=videos[1], accounts=checked().accounts[:1], repeat=20_000),
                     PostState.UNCONFIRMED)  # fmt: skip

    def pictures() -> dict[str, str]:
        with ledger.reading() as connection:
            return {row.id: row.pictures for row in connection.execute(sa.select(sends.c.id, sends.c.pictures))}

    clock.sleep(360 * DAY)
    ledger.tidy(30)
    within_a_year = pictures()
    clock.sleep(10 * DAY)
    ledger.tidy(30)

    assert within_a_year == {out: "[1, 2, 3, 4]", open_one: "[1, 2, 3, 4]"}
    assert pictures() == {out: "[]", open_one: "[1, 2, 3, 4]"}


def test_no_block_may_refuse_a_video_for_longer_than_it_can_be_compared() -> None:
    (bound,) = [each.le for each in TaislyAccount.model_fields["duplicate_hours"].metadata if isinstance(each, Le)]

    assert float(str(bound)) * 3600 == LONGEST_DUPLICATE


def test_an_alarm_stays_until_it_was_told(ledger: Ledger, clock: Clock) -> None:
    """However old it is; the time counts from when it was told."""
    ledger.add_alarms([Alarm(f"key {n}", "run", "FAILED", f"run {n}", "", "why", f"cause {n}") for n in range(2)])
    told, untold = (alarm for group in ledger.claim_alarms() for alarm in group.alarms)
    clock.sleep(100 * DAY)
    ledger.alarms_told([told])
    clock.sleep(20 * DAY)
    ledger.tidy(30)
    soon = ledger.size().rows["alarms"]
    clock.sleep(20 * DAY)

    removed = ledger.tidy(30)

    assert (soon, removed[Leftover.ALARMS]) == (2, 1)
    assert [alarm.key for group in ledger.claim_alarms() for alarm in group.alarms] == [untold.key]


def test_a_question_is_never_asked_under_a_number_of_before(ledger: Ledger, clock: Clock) -> None:
    """Prefect would answer it with the answer of then. What a person has dropped stays dropped."""
    asked = [Approval(f"digest {n}", question, n, 0) for n, question in ((1, 1), (2, 1), (3, 2), (4, 2))]
    ledger.ask_for_approval("run", asked)
    ledger.answer_approvals("run", {each.digest: (Answer.APPROVED, "other words") for each in asked[1:]})
    ledger.answer_approvals("run", {asked[0].digest: (Answer.DROPPED, None)})
    ledger.ask_for_approval("waits", [Approval("digest", 1, 1, 0), Approval("other", 1, 1, 0)])
    ledger.answer_approvals("waits", {"digest": (Answer.APPROVED, None)})
    clock.sleep(400 * DAY)

    ledger.tidy(365)

    left = ledger.approvals("run").values()
    assert [(each.digest, each.question, each.answer) for each in left] == [
        ("digest 1", 1, Answer.DROPPED), ("digest 4", 2, Answer.APPROVED),
    ]  # fmt: skip
    assert len(ledger.approvals("waits")) == 2


def test_the_settings_of_a_request_stay_until_it_is_settled(ledger: Ledger, clock: Clock) -> None:
    """One that a person has to settle keeps all of it; of one whose tasks have ended, the comments stay claims."""
    requests = [phone_request(comment(post_urls=[url])) for url in URLS[:2]]
    plans = [plan_phones(ledger, request, f"run {n}", f"me {n}") for n, request in enumerate(requests)]
    ledger.take_turn(HOST, "me 0")
    ended, unsettled = plans[0].request_ids[0], plans[1].request_ids[0]
    ledger.begin_task_request(ended, "me 0", 0)
    ledger.tasks_created(ended, [TaskResult(task_id=n, state=TaskState.COMPLETED) for n in (1, 2)])
    ledger.end_turn(HOST, "me 0")
    ledger.take_turn(HOST, "me 1")
    ledger.begin_task_request(unsettled, "me 1", 2)
    lost = {RequestState.SENDING}
    ledger.settle_task_request(unsettled, RequestState.UNCONFIRMED, "its answer was lost", before=lost)
    clock.sleep(400 * DAY)

    removed = ledger.tidy(30)

    assert removed[Leftover.PHONE_SETTINGS] == 1
    assert [bool(ledger.task_requests(ids=[each])[0].config) for each in (ended, unsettled)] == [False, True]
    assert all(plan_phones(ledger, request, "next", "me").parts == () for request in requests)


def test_tidying_that_was_killed_is_finished_by_the_next_run(ledger: Ledger, url: str, checked: Post) -> None:
    """What it had removed by then is gone, and the rest is there."""
    _fill_journal(ledger)

    def die(_seconds: float) -> None:
        raise KeyboardInterrupt

    with closing(Ledger(url, sleep=die)) as killed, pytest.raises(KeyboardInterrupt):
        killed.tidy(30)

    left = _journal(ledger)
    assert 0 < left < MANY
    assert ledger.tidy(30)[Leftover.JOURNAL] == left
    assert ledger.claim(checked(), service=SERVICE, owner="me").accounts


def test_a_ledger_that_is_replaced_meanwhile_keeps_the_rest(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """What is at the old place by then is nobody's to remove; the copy has what was there when it was made."""
    _fill_journal(ledger)
    with closing(Ledger(f"sqlite:///{tmp_path / 'other.db'}")) as other:

        def move(_seconds: float) -> None:
            move_ledger(ledger, other, commit=lambda: None)

        with closing(Ledger(url, sleep=move)) as working, pytest.raises(LedgerUnavailable, match="was replaced by"):
            working.tidy(30)

        left = _journal(ledger)
        with pytest.raises(LedgerUnavailable, match="was replaced by"):
            ledger.tidy(30, dry_run=True)
        assert _journal(other) == left > 0
        assert other.tidy(30)[Leftover.JOURNAL] == left


def test_runs_go_on_while_the_ledger_is_tidied(url: str, checked: Post) -> None:
    """Two tidy at once and two publish: each row goes once, and every post gets its claim and its journal."""
    ledgers = [Ledger(url) for _ in range(4)]
    _fill_journal(ledgers[0], 3 * MANY)

    def act(number: int) -> list[str] | int:
        if number < 2:
            return ledgers[number].tidy(30)[Leftover.JOURNAL]
        return [_send(ledgers[number], checked(f"{number} {n}"), PostState.SUCCESS) for n in range(10)]

    *removed, first, second = at_once(4, act)

    assert isinstance(first, list)
    assert isinstance(second, list)
    assert sum(each for each in removed if isinstance(each, int)) == 3 * MANY
    assert all(journal_of(ledgers[0], send) for send in [*first, *second])
    for each in ledgers:
        each.close()


def test_a_tidied_ledger_can_be_moved_and_lacks_no_send(ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
    """Its sends are all there, so that it is not taken for one that was restored from a backup."""
    Past(ledger, clock, 6).happen()
    known = ledger.identity()
    ledger.tidy(30)

    with closing(Ledger(f"sqlite:///{tmp_path / 'other.db'}", clock=clock)) as other:
        clock.sleep(2 * DAY)
        move_ledger(ledger, other, commit=lambda: None)

        assert other.identity().sends == known.sends > 0
        assert other.expect_sends(known.sends) == 0
        assert other.has_send(known.last_send)


def test_the_room_of_what_was_removed_is_used_again(ledger: Ledger) -> None:
    """The file of a SQLite ledger does not get smaller: its free part is what the next rows take."""
    _fill_journal(ledger, 3 * MANY)
    before = ledger.size()

    ledger.tidy(30)
    after = ledger.size()

    assert (before.rows["events"], after.rows["events"]) == (3 * MANY, 0)
    assert before.total_bytes > 0
    if after.free_bytes is not None:
        assert after.total_bytes == before.total_bytes
        assert after.free_bytes > before.free_bytes + 100 * MANY  # type: ignore[operator]
