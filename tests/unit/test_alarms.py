"""What becomes an alarm, when it is told, and in which words; the ledger's part on SQLite and on PostgreSQL."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.clock import Clock
from support.race import at_once

from reelflow.ledger import Ledger, move_ledger
from reelflow.records import phone_states, post_states
from reelflow.records.alarms import LONGEST_QUIET, QUIET_SECONDS, Alarm, AlarmGroup, cause_of, quiet_until
from reelflow.records.phone_states import RequestState, TaskState
from reelflow.records.phones import PhoneActor, PhonePlan, PhoneRequest, PlanPart, TaskRecord, TaskResult
from reelflow.records.post_states import PostState
from reelflow.records.posts import Outcome, PostRequest
from tasks.alarm_messages import message_of

Post = Callable[..., PostRequest]
SERVICE = "https://taisly.test/api"


@pytest.fixture
def ledger(ledger_on_each: Ledger) -> Ledger:
    return ledger_on_each


def _sealed(ledger: Ledger, post: PostRequest) -> str:
    """A post whose upload is complete; its send ID."""
    send_id = ledger.claim(post, service=SERVICE, owner="me", flow_run="run").send_id
    assert send_id
    ledger.begin(send_id, "me")
    ledger.seal(send_id, "me")
    return send_id


def _told(ledger: Ledger) -> list[AlarmGroup]:
    """What is told now."""
    groups = ledger.claim_alarms()
    for group in groups:
        ledger.alarms_told(group.alarms)
    return groups


def _run_alarm(n: int, reason: str = "Taisly cannot be reached") -> Alarm:
    return Alarm(f"run {n}", "run", "FAILED", f"run {n}", "", reason, cause_of("run", "FAILED", reason), str(n))


def test_a_failure_that_a_platform_reports_is_an_alarm(ledger: Ledger, checked: Post) -> None:
    """One for each account that failed, told together, and once however often it is read."""
    post = checked()
    send_id = _sealed(ledger, post)
    ledger.accepted(send_id, "h1")
    failed = [Outcome(account=a, state=PostState.FAILED, detail="too loud") for a in post.accounts[:2]]
    fine = Outcome(account=post.accounts[2], state=PostState.SUCCESS, link="https://x.test/1")

    for _ in range(2):
        ledger.record_outcomes(send_id, [*failed, fine])
    (group,) = _told(ledger)

    assert {a.who for a in group.alarms} == {a.label for a in post.accounts[:2]}
    assert {(a.kind, a.state, a.reason, a.flow_run, a.ref) for a in group.alarms} == {
        ("post", "FAILED", "too loud", "run", send_id)
    }
    assert group.alarms[0].subject == "small.mp4"
    assert _told(ledger) == []


@pytest.mark.parametrize("state", [PostState.REFUSED, PostState.UNCONFIRMED])
def test_an_end_without_a_platforms_word_is_an_alarm(ledger: Ledger, checked: Post, state: PostState) -> None:
    """Of every account at once. What a person decides later is none."""
    post = checked()
    send_id = _sealed(ledger, post)

    ledger.settle(send_id, state, "the reason")
    (group,) = _told(ledger)
    ledger.release_claim(send_id, "confirmed by a person as not published")

    assert [(a.state, a.reason) for a in group.alarms] == [(state, "the reason")] * 3
    assert _told(ledger) == []


def test_success_and_a_cancelled_post_are_no_alarms(ledger: Ledger, checked: Post) -> None:
    """Nor is a claim that was released."""
    for caption, state in (("one", PostState.SUCCESS), ("two", PostState.CANCELLED)):
        send_id = _sealed(ledger, checked(caption))
        ledger.accepted(send_id, caption)
        ledger.settle(send_id, state, "so")
    ledger.release_claim(_sealed(ledger, checked("three")), "not sent", owner="me")

    assert ledger.claim_alarms() == []


def test_an_outcome_and_its_alarm_are_recorded_together_or_not_at_all(
    ledger: Ledger, checked: Post, clock: Clock, url: str
) -> None:
    """A process that dies right after the outcome loses no alarm: another one finds it."""
    send_id = _sealed(ledger, checked())
    ledger.settle(send_id, PostState.UNCONFIRMED, "lost")
    ledger.close()
    another = Ledger(url, clock=clock)

    (group,) = another.claim_alarms()
    another.close()

    assert len(group.alarms) == 3


def test_alarms_of_a_process_that_died_while_it_told_them_are_told_by_another(ledger: Ledger, clock: Clock) -> None:
    """A minute later, and not before: it may still be at it. What could not be told is free at once."""
    ledger.add_alarms([_run_alarm(1)])

    first = ledger.claim_alarms()
    meanwhile = ledger.claim_alarms()
    clock.sleep(61)
    second = ledger.claim_alarms()
    ledger.release_alarms(second[0].alarms)
    third = ledger.claim_alarms()

    assert [len(found) for found in (first, meanwhile, second, third)] == [1, 0, 1, 1]


def test_many_runs_with_one_cause_are_one_message_now_and_one_later(ledger: Ledger, clock: Clock) -> None:
    """The second one says how many more. The pause doubles while the cause lasts, and is over after a quiet day."""
    ledger.add_alarms([_run_alarm(0)])
    (now,) = _told(ledger)
    for n in range(1, 50):
        ledger.add_alarms([_run_alarm(n)])
        assert _told(ledger) == []
    clock.sleep(QUIET_SECONDS + 1)
    (later,) = _told(ledger)
    ledger.add_alarms([_run_alarm(99)])
    clock.sleep(QUIET_SECONDS + 1)
    held_back = _told(ledger)
    clock.sleep(QUIET_SECONDS)
    (last,) = _told(ledger)

    assert (len(now.alarms), now.is_more) == (1, False)
    assert (len(later.alarms), later.is_more) == (49, True)
    assert held_back == []
    assert len(last.alarms) == 1
    assert message_of(later).subject == "reelflow: 49 more runs failed"


def test_another_cause_does_not_wait(ledger: Ledger) -> None:
    """Nor do two reasons that differ only in their numbers count as two."""
    ledger.add_alarms([_run_alarm(1, "Retry in 3 minutes"), _run_alarm(2, "Retry in 4 minutes"), _run_alarm(3, "no")])

    assert [len(group.alarms) for group in _told(ledger)] == [2, 1]


def test_of_many_that_ring_at_once_one_tells_each_cause(url: str, clock: Clock) -> None:
    """Fifty runs may end in the same second."""
    ledgers = [Ledger(url, clock=clock) for _ in range(8)]
    at_once(8, lambda n: ledgers[n].add_alarms([_run_alarm(n), _run_alarm(100, "one of all")]))

    found = at_once(8, lambda n: ledgers[n].claim_alarms())

    for each in ledgers:
        each.close()
    groups = [group for groups in found for group in groups]
    assert sorted(len(group.alarms) for group in groups) == [1, 8]


def _requested(ledger: Ledger) -> str:
    """A request to TikMatrix that is on its way; its ID."""
    actor = PhoneActor("S1", "ada", ("ada",))
    request = PhoneRequest("comment", "comment", "TikTok", (actor,), {"p1": "p1"}, {}, "post_urls")
    plan = PhonePlan((PlanPart((actor,), (("p1", "p1"),)),), ())
    made = ledger.plan_tasks(request, lambda _: plan, since=0.0, host="main", owner="me", flow_run="run")
    ledger.take_turn("main", "me")
    ledger.begin_task_request(made.request_ids[0], "me", 0)
    return made.request_ids[0]


@pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.GONE])
def test_a_phone_task_that_failed_or_is_gone_is_an_alarm(ledger: Ledger, state: TaskState) -> None:
    """Again, if a person had it repeated and it fails again; but not while it may still be repeated."""
    request_id = _requested(ledger)
    task = TaskResult(task_id=7, serial="S1", username="ada", target="p1")
    ledger.tasks_created(request_id, [task])
    ended = TaskRecord(request_id, task.model_copy(update={"state": state, "remark": "offline"}))
    retrying = TaskRecord(request_id, task.model_copy(update={"state": TaskState.RETRYING}))

    ledger.record_tasks([retrying])
    before = _told(ledger)
    ledger.record_tasks([ended])
    ledger.record_tasks([ended])
    (group,) = _told(ledger)

    (alarm,) = group.alarms
    assert before == []
    assert (alarm.subject, alarm.who, alarm.reason, alarm.ref) == ("comment on main", "S1 (ada)", "offline", "7")


def test_a_phone_task_that_a_person_had_repeated_may_fail_again(ledger: Ledger, clock: Clock) -> None:
    """That is another alarm."""
    request_id = _requested(ledger)
    task = TaskResult(task_id=7, serial="S1", username="ada", target="p1")
    ledger.tasks_created(request_id, [task])
    ended = TaskRecord(request_id, task.model_copy(update={"state": TaskState.FAILED}))
    ledger.record_tasks([ended])
    _told(ledger)

    clock.sleep(QUIET_SECONDS + 1)
    ledger.restart_task(ended)
    ledger.record_tasks([ended])

    assert len(_told(ledger)) == 1


@pytest.mark.parametrize("state", [RequestState.REFUSED, RequestState.UNCONFIRMED])
def test_a_request_to_tikmatrix_that_ends_badly_is_an_alarm(ledger: Ledger, state: RequestState) -> None:
    """Once, also if more of its tasks are found later."""
    request_id = _requested(ledger)
    before = {RequestState.SENDING, RequestState.UNCONFIRMED}

    for reason in ("the answer was lost", "still lost"):
        ledger.settle_task_request(request_id, state, reason, before=before)
    groups = _told(ledger)

    assert [(a.state, a.reason, a.who, a.ref) for g in groups for a in g.alarms] == [
        (state, "the answer was lost", "ada", request_id)
    ]


def test_alarms_move_with_the_ledger(ledger: Ledger, tmp_path: Path, clock: Clock) -> None:
    """The new one tells what the old one has not told."""
    ledger.add_alarms([_run_alarm(1)])
    other = Ledger(f"sqlite:///{tmp_path / 'other.db'}", clock=clock)

    move_ledger(ledger, other, commit=lambda: None)
    (group,) = other.claim_alarms()
    other.close()

    assert group.alarms[0].key == "run 1"


def test_how_long_a_cause_is_quiet() -> None:
    """Longer with each message of a day, up to a limit; times that are to come do not count."""
    now = 1_000_000.0

    assert quiet_until([], now) == 0
    assert quiet_until([now], now) == now + QUIET_SECONDS
    assert quiet_until([now - 900, now], now) == now + 2 * QUIET_SECONDS
    assert quiet_until([now - n for n in range(20)], now) == now + LONGEST_QUIET
    assert quiet_until([now + 5, now - 90_000], now) == 0


def _post_alarm(video: str, who: str, state: str = "FAILED", reason: str = "too loud", ref: str = "s1") -> Alarm:
    return Alarm(f"{video} {who}", "post", state, video, who, reason, "c", None, ref)


def test_a_message_names_videos_accounts_and_the_reason() -> None:
    """The reason once; a line for each video."""
    alarms = (_post_alarm("a.mp4", "TikTok @x"), _post_alarm("a.mp4", "X @y"), _post_alarm("b.mp4", "X @y"))

    one = message_of(AlarmGroup(alarms[:1], is_more=False))
    two = message_of(AlarmGroup(alarms[:2], is_more=False))
    all_of_them = message_of(AlarmGroup(alarms, is_more=False))

    assert one.subject == "reelflow: a.mp4 failed (TikTok @x)"
    assert two.subject == "reelflow: a.mp4 failed (2 accounts)"
    assert all_of_them.subject == "reelflow: 3 posts failed"
    assert all_of_them.body.splitlines()[:4] == ["too loud", "", "a.mp4: TikTok @x, X @y", "b.mp4: X @y"]


def test_a_message_says_what_to_do() -> None:
    """With the ID that the form asks for."""
    lost = _post_alarm("a.mp4", "TikTok @x", "UNCONFIRMED", "Taisly's answer was lost")
    request = Alarm("k", "phone request", "UNCONFIRMED", "comment on main", "S1", "lost", "c", None, "r1")

    body = message_of(AlarmGroup((lost,), is_more=False)).body
    phones = message_of(AlarmGroup((request,), is_more=False)).body

    assert "a.mp4: TikTok @x (send ID s1)" in body
    assert "run resolve-post with the send ID" in body
    assert "this request ID: r1" in phones


def test_a_message_about_a_failed_post_begins_with_the_account() -> None:
    """A platform may publish what it reported as failed: sending it again comes last."""
    body = message_of(AlarmGroup((_post_alarm("a.mp4", "X @y"),), is_more=False)).body

    assert body.splitlines()[-1].startswith("Check the account first")


def test_a_message_about_a_post_that_was_not_sent_asks_for_a_new_run_only() -> None:
    """Sent again on purpose it would not be checked, and a late answer may still show that it is out."""
    message = message_of(AlarmGroup((_post_alarm("a.mp4", "X @y", "NOT SENT", ""),), is_more=False))

    assert message.subject == "reelflow: a.mp4 not sent (X @y)"
    assert message.body.splitlines()[-1] == "Start the run again."
    assert "Send again on purpose" not in message.body


def test_a_message_without_a_send_id_leaves_the_advice_to_its_reason() -> None:
    """The reason of a run says what to do already."""
    reason = "lost. Check the account, then run resolve-post with the send ID s1"

    body = message_of(AlarmGroup((_post_alarm("a.mp4", "X @y", "UNCONFIRMED", reason, ""),), is_more=False)).body

    assert "(send ID )" not in body
    assert body.count("resolve-post") == 1


def test_a_long_message_is_cut() -> None:
    """Twenty lines, and how many more there are."""
    alarms = tuple(_post_alarm(f"{n}.mp4", "X @y") for n in range(50))

    body = message_of(AlarmGroup(alarms, is_more=False)).body

    assert "19.mp4" in body
    assert "20.mp4" not in body
    assert "and 30 more" in body


@pytest.mark.parametrize(
    "state", sorted({*post_states.ALARMING, *phone_states.ALARMING, "GONE", "CRASHED", "SKIPPED", "LATE"})
)
def test_every_state_that_rings_has_its_words(state: str) -> None:
    """A message that could not be worded would never be told."""
    group = AlarmGroup((Alarm("k", "run", state, "a run", "", "no", "c"),), is_more=False)

    assert message_of(group).subject.startswith("reelflow: a run ")
