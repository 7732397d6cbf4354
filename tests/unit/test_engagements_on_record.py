"""What the phones are to do for a post, on record: whose it is, what may follow, and who may take it over."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from support.clock import Clock
from support.phones import HOST, RAILS, SERIALS, Phones, comment

from reelflow.errors import ClaimLost
from reelflow.ledger import Ledger
from reelflow.phones.form import WarmUpForm
from reelflow.phones.limits import make_plan
from reelflow.phones.requests import make_request
from reelflow.records.engagements import (
    OPEN,
    EngagedPost,
    Engagement,
    EngagementState,
    NewEngagement,
    PartResult,
)
from reelflow.records.phone_states import RequestState
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, PostRequest
from tasks.alarm_messages import message_of
from tasks.phones.engagements import skip_if_not_sent

Post = Callable[..., PostRequest]
SERVICE = "https://taisly.test"
FORM = {"devices": ["A1"], "comments": ["nice"]}
DONE, FAILED, SKIPPED, CANCELLED = (EngagementState[name] for name in ("DONE", "FAILED", "SKIPPED", "CANCELLED"))
WAITING, STARTED = EngagementState.WAITING, EngagementState.STARTED


def _new(post: PostRequest, **changes: Any) -> NewEngagement:
    values = {
        "post": EngagedPost.of(post, SERVICE),
        "account_ids": tuple(account.id for account in post.accounts),
        "form": FORM,
        "file": post.video.path.name,
        "host": "studio",
    }
    return NewEngagement(**(values | changes))


def _ask(ledger: Ledger, post: PostRequest, *, owner: str = "", flow_run: str = "run-1", **changes: Any) -> Engagement:
    return ledger.ask_for_engagement(_new(post, **changes), flow_run=flow_run, owner=owner)


def _state(ledger: Ledger, engagement: Engagement) -> EngagementState:
    (found,) = ledger.engagements(ids=[engagement.id])
    return found.state


def _send(ledger: Ledger, post: PostRequest, **ends: Any) -> str:
    """Send a post as far as Taisly's answer, and record how it ended by platform."""
    claim = ledger.claim(post, service=SERVICE, owner="sender", flow_run="run-1")
    send_id = str(claim.send_id)
    ledger.begin(send_id, "sender")
    ledger.seal(send_id, "sender")
    ledger.accepted(send_id, f"h-{send_id}")
    told = [Outcome(account=a, state=ends[a.platform], link="l") for a in post.accounts if a.platform in ends]
    ledger.record_outcomes(send_id, told)
    return send_id


def test_the_same_post_and_form_are_one_engagement(ledger_on_each: Ledger, checked: Post) -> None:
    """Whichever run asks, and however often; another form is another one, and another post, too."""
    first = _ask(ledger_on_each, checked("one"))

    again = _ask(ledger_on_each, checked("one"), flow_run="run-2")

    others = [
        _ask(ledger_on_each, checked("one"), form={**FORM, "comments": ["great"]}),
        _ask(ledger_on_each, checked("one"), host="attic"),
        _ask(ledger_on_each, checked("two")),
        _ask(ledger_on_each, checked("one", repeat=1)),
    ]
    assert (first.id, first.state, first.form, first.parts) == (again.id, WAITING, FORM, ())
    assert len({first.id, *(other.id for other in others)}) == 5


@pytest.mark.parametrize("ended", [FAILED, SKIPPED, CANCELLED])
def test_what_came_to_nothing_waits_again_when_a_person_asks_again(
    ledger_on_each: Ledger, checked: Post, clock: Clock, ended: EngagementState
) -> None:
    """As a new attempt: a run that was started before is not taken for the next one."""
    engagement = _ask(ledger_on_each, checked("one"))
    ledger_on_each.settle_engagement(engagement.id, ended, "because")
    clock.sleep(1)

    again = _ask(ledger_on_each, checked("one"))

    assert (again.id, again.state, again.reason, again.attempts) == (engagement.id, WAITING, "", 0)
    assert again.run_key != engagement.run_key


@pytest.mark.parametrize("ended", [FAILED, CANCELLED])
def test_a_run_that_is_started_again_by_itself_asks_for_nothing_again(
    ledger_on_each: Ledger, checked: Post, ended: EngagementState
) -> None:
    """Nobody asked: what failed or was cancelled is not repeated, and what a person asked since stays."""
    engagement = _ask(ledger_on_each, checked("one"), owner="me")
    ledger_on_each.settle_engagement(engagement.id, ended, "why", owner="me")
    newer = _ask(ledger_on_each, checked("one"), flow_run="run-2", form={"devices": ["A1"], "comments": ["better"]})

    again = ledger_on_each.ask_for_engagement(
        _new(checked("one")), flow_run="run-1", owner="me again", replaces=lambda other: True, is_restart=True
    )

    assert (again.id, again.state, again.reason) == (engagement.id, ended, "why")
    assert _state(ledger_on_each, newer) is WAITING


def test_a_run_that_is_started_again_by_itself_goes_on_with_what_it_asked(ledger: Ledger, checked: Post) -> None:
    """What it had asked waits, or had not been asked yet."""
    engagement = _ask(ledger, checked("one"))

    again = ledger.ask_for_engagement(_new(checked("one")), flow_run="run-1", owner="me", is_restart=True)
    first = ledger.ask_for_engagement(_new(checked("two")), flow_run="run-1", owner="me", is_restart=True)

    assert (again.id, again.state, again.owner) == (engagement.id, WAITING, "me")
    assert (first.state, first.owner) == (WAITING, "me")


def test_asking_again_repeats_the_parts_that_failed_only(ledger: Ledger, checked: Post) -> None:
    """What they have created on phones is on record all the same."""
    engagement = _ask(ledger, checked("one"))
    ledger.claim_engagement(engagement.id, "me", "run-1")
    done = PartResult("warm-up", "TikTok", (), "2 of 2 warm-ups completed.", failed=False)
    for part in (done, PartResult("comment", "TikTok", ("u",), "TikMatrix cannot be reached.", failed=True)):
        ledger.record_part(engagement.id, "me", part)
    ledger.settle_engagement(engagement.id, FAILED, owner="me")

    again = _ask(ledger, checked("one"))

    assert (again.state, again.parts) == (WAITING, (done,))


def test_an_alarm_says_that_the_post_itself_is_out(ledger: Ledger, checked: Post) -> None:
    """Its subject is the phones' part, which is not the post."""
    engagement = _ask(ledger, checked("one"))
    ledger.settle_engagement(engagement.id, SKIPPED, "the post was published more than 12 hours before", is_alarm=True)

    (group,) = ledger.claim_alarms()
    message = message_of(group)

    assert message.subject == "reelflow: the phones' part of small.mp4 skipped"
    assert "The post itself is unaffected. To warm up or comment all the same, run" in message.body


def test_what_is_done_stays_done_unless_the_post_has_gone_to_more_accounts(
    ledger_on_each: Ledger, checked: Post
) -> None:
    post = checked("one")
    engagement = _ask(ledger_on_each, post, account_ids=(post.accounts[0].id,))
    ledger_on_each.claim_engagement(engagement.id, "me", "run-1")
    ledger_on_each.settle_engagement(engagement.id, DONE, owner="me")

    same = _ask(ledger_on_each, post, account_ids=(post.accounts[0].id,))
    more = _ask(ledger_on_each, post)

    assert (same.state, more.state) == (DONE, WAITING)
    assert set(more.account_ids) == {account.id for account in post.accounts}


def test_a_newer_form_for_the_same_phones_replaces_one_that_waits(ledger_on_each: Ledger, checked: Post) -> None:
    """A text with a typo is corrected by starting the run again; one that a run has already is left alone."""
    waiting = _ask(ledger_on_each, checked("one"))
    held = _ask(ledger_on_each, checked("one"), form={"comments": ["held"]}, owner="a run")

    new = _new(checked("one"), form={**FORM, "comments": ["great"]})
    ledger_on_each.ask_for_engagement(new, flow_run="run-2", replaces=lambda other: True)

    assert (_state(ledger_on_each, waiting), _state(ledger_on_each, held)) == (CANCELLED, WAITING)


def test_one_run_at_a_time_has_it_and_a_dead_one_loses_it(ledger_on_each: Ledger, checked: Post, clock: Clock) -> None:
    """The lease is longer than those of requests to TikMatrix, so that they are free by then."""
    engagement = _ask(ledger_on_each, checked("one"))
    first = ledger_on_each.claim_engagement(engagement.id, "first", "run-1")

    second = ledger_on_each.claim_engagement(engagement.id, "second", "run-2")
    alive = ledger_on_each.runs_alive()
    clock.sleep(ledger_on_each.lease_seconds * 2 + 1)
    third = ledger_on_each.claim_engagement(engagement.id, "third", "run-3")

    assert first is not None
    assert (first.state, first.attempts, second, alive) == (STARTED, 1, None, {"run-1"})
    assert third is not None
    assert (third.run, third.attempts) == ("run-3", 2)
    part = PartResult("comment", "TikTok", ("u",), "1 of 1 comment completed.", failed=False)
    for act in (
        lambda: ledger_on_each.renew_engagement(engagement.id, "first"),
        lambda: ledger_on_each.record_part(engagement.id, "first", part),
    ):
        with pytest.raises(ClaimLost):
            act()
    assert not ledger_on_each.settle_engagement(engagement.id, DONE, owner="first")
    ledger_on_each.record_part(engagement.id, "third", part)
    assert ledger_on_each.settle_engagement(engagement.id, DONE, owner="third")
    (found,) = ledger_on_each.engagements(states=[DONE])
    assert found.parts == (part,)
    assert ledger_on_each.runs_alive() == set()


def test_what_waits_again_is_free_although_its_run_still_sends_heartbeats(ledger: Ledger, checked: Post) -> None:
    """That run ends a moment later."""
    engagement = _ask(ledger, checked("one"))
    ledger.claim_engagement(engagement.id, "first", "run-1")
    ledger.settle_engagement(engagement.id, WAITING, owner="first")

    with pytest.raises(ClaimLost):
        ledger.renew_engagement(engagement.id, "first")

    assert ledger.claim_engagement(engagement.id, "second", "run-2") is not None


def test_the_run_that_asks_has_it_while_it_sends(ledger: Ledger, checked: Post, clock: Clock) -> None:
    """So nobody else acts on the outcome that it waits for; once it is released, or its run dead, anybody may."""
    held = _ask(ledger, checked("one"), owner="asker")

    assert ledger.claim_engagement(held.id, "other", "run-2") is None
    ledger.release_engagement(held.id, "asker")
    assert ledger.claim_engagement(held.id, "other", "run-2") is not None


def test_a_run_that_ended_without_having_it_is_counted_once(ledger: Ledger, checked: Post) -> None:
    """Two that notice it start one next run."""
    engagement = _ask(ledger, checked("one"))

    ledger.count_attempt(engagement)
    ledger.count_attempt(engagement)

    (found,) = ledger.engagements(ids=[engagement.id])
    assert found.attempts == 1
    assert found.run_key != engagement.run_key


@pytest.mark.parametrize("before", EngagementState)
@pytest.mark.parametrize("after", EngagementState)
def test_only_what_is_drawn_may_follow(
    ledger: Ledger, checked: Post, before: EngagementState, after: EngagementState
) -> None:
    """What has ended is not changed by whoever comes late; only `ask_for_engagement` lets it wait again."""
    engagement = _ask(ledger, checked("one"))
    if before is STARTED or before is DONE:
        ledger.claim_engagement(engagement.id, "me", "run-1")
    if before not in OPEN:
        assert ledger.settle_engagement(engagement.id, before, owner="me" if before is DONE else None)

    moved = ledger.settle_engagement(engagement.id, after, "x", owner="me" if before in (STARTED, DONE) else None)

    assert moved is (before in OPEN and before in after.may_come_from)
    assert _state(ledger, engagement) is (after if moved else before)


def test_outcomes_are_those_of_the_post_whichever_send_brought_it(ledger_on_each: Ledger, checked: Post) -> None:
    """One platform was sent to by a second run."""
    post = checked("one")
    engagement = _ask(ledger_on_each, post)
    _send(ledger_on_each, post.model_copy(update={"accounts": post.accounts[:1]}), TikTok=PostState.SUCCESS)

    before = ledger_on_each.engagement_outcomes(engagement)
    _send(ledger_on_each, post, Instagram=PostState.FAILED)
    after = ledger_on_each.engagement_outcomes(engagement)

    assert [outcome.state for outcome, _ in before] == [PostState.SUCCESS]
    states = {outcome.account.platform: outcome.state for outcome, _ in after}
    assert states == {"TikTok": PostState.SUCCESS, "Instagram": PostState.FAILED, "X": PostState.ACCEPTED}


def test_cancelling_the_post_cancels_it_and_cancelling_a_run_cancels_what_that_asked_for(
    ledger_on_each: Ledger, checked: Post
) -> None:
    """A post that is still to come out somewhere keeps it."""
    post, other = checked("one"), checked("two")
    engagement, by_run = _ask(ledger_on_each, post), _ask(ledger_on_each, other, flow_run="run-2")
    send_id = _send(ledger_on_each, post)
    ((send, _),) = ledger_on_each.sends([send_id])

    too_early = ledger_on_each.cancel_engagements_of_send(send, "the post was cancelled")
    ledger_on_each.settle(send_id, PostState.CANCELLED, "cancelled before it was published")
    cancelled = ledger_on_each.cancel_engagements_of_send(send, "the post was cancelled")
    of_run = ledger_on_each.cancel_engagements_of_run("run-2", "its run was cancelled")

    assert too_early == []
    assert [each.id for each in cancelled] == [engagement.id]
    assert [each.id for each in of_run] == [by_run.id]
    assert _state(ledger_on_each, engagement) is CANCELLED


def test_a_post_that_another_live_run_is_about_to_send_keeps_its_phones(
    ledger: Ledger, clock: Clock, checked: Post
) -> None:
    """Once that run is dead, and sent nothing, they are skipped."""
    engagement = _ask(ledger, checked("one"))
    ledger.claim(checked("one"), service=SERVICE, owner="sender", flow_run="another run")

    skip_if_not_sent(ledger, engagement.id)
    meanwhile = _state(ledger, engagement)
    clock.sleep(3 * ledger.lease_seconds)
    skip_if_not_sent(ledger, engagement.id)

    assert (meanwhile, _state(ledger, engagement)) == (WAITING, SKIPPED)


def test_what_fails_without_a_run_is_an_alarm_once(ledger: Ledger, checked: Post) -> None:
    engagement = _ask(ledger, checked("one"))

    for _ in range(2):
        ledger.settle_engagement(engagement.id, FAILED, "3 runs were interrupted", is_alarm=True)

    (group,) = ledger.claim_alarms()
    assert [(alarm.kind, alarm.state, alarm.ref) for alarm in group.alarms] == [("engagement", "FAILED", engagement.id)]


# What an interrupted run has created on phones


def _plan(phones: Phones, flow_run: str, engagement: str, form: Any) -> Any:
    request, now = make_request(form, RAILS), datetime.fromtimestamp(phones.ledger.now(), UTC)
    return phones.ledger.plan_tasks(
        request, lambda history: make_plan(request, RAILS, history, now), since=RAILS.day_start(now).timestamp(),
        host=HOST, owner=phones.owner, flow_run=flow_run, engagement=engagement,
    )  # fmt: skip


@pytest.mark.parametrize("form", [WarmUpForm(devices=SERIALS[:2]), comment()], ids=["warm-up", "comment"])
def test_what_an_interrupted_run_created_is_not_created_again(phones: Phones, form: Any) -> None:
    """Warm-ups, too, which have no target that could be known again; the next run watches what there is."""
    _plan(phones, "run-1", "e1", form)
    phones.create()
    before = len(phones.there)
    phones.clock.sleep(3 * phones.ledger.lease_seconds)

    plan = _plan(phones, "run-2", "e1", form)
    phones.create()

    assert plan.parts == ()
    assert (len(phones.there), plan.task_count) == (before, before)
    assert [request.flow_run for request in phones.task_requests()] == ["run-2"]


def test_what_an_interrupted_run_planned_and_did_not_send_is_created_once(phones: Phones) -> None:
    _plan(phones, "run-1", "e1", WarmUpForm(devices=SERIALS[:2]))
    phones.clock.sleep(3 * phones.ledger.lease_seconds)

    _plan(phones, "run-2", "e1", WarmUpForm(devices=SERIALS[:2]))
    phones.create()

    assert len(phones.there) == 2
    assert {request.state for request in phones.task_requests()} == {RequestState.NOT_CREATED, RequestState.CREATED}


def test_another_engagement_has_warm_ups_of_its_own(phones: Phones) -> None:
    """They count for the same daily limit."""
    for number in (1, 2):
        _plan(phones, f"run-{number}", f"e{number}", WarmUpForm(devices=SERIALS[:1]))
    phones.create()

    assert len(phones.there) == 2


def test_accounts_are_those_of_the_post(checked: Post) -> None:
    """Its key has none, so that a post which is sent to one more account stays the same post."""
    tiktok = Account(id="a1", platform="TikTok")

    assert EngagedPost.of(checked("one"), SERVICE) == EngagedPost.of(checked("one", accounts=[tiktok]), SERVICE)
