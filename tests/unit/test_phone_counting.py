"""What did not run does not count, for limits and as done before: the next run completes what is missing."""

from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from support.phones import HOST, RAILS, SERIALS, URLS, Phones, comment, follow

from reelflow.errors import ClaimLost, ServiceError
from reelflow.phones import cleanup
from reelflow.phones.form import ManageForm
from reelflow.phones.limits import Guardrails, read_phones
from reelflow.phones.managing import manage_tasks, select_tasks
from reelflow.phones.resolving import resolve
from reelflow.phones.watching import WatchSettings
from reelflow.records.phone_states import RequestState
from reelflow.records.phones import PhonePlan
from reelflow.tikmatrix import TikMatrixClient

ONE_FOLLOW = Guardrails(read_phones([f"{SERIALS[0]}: ada.daily"]), {"follow": 1}, ZoneInfo("UTC"))
AWAY = "http://localhost:1/api/v1"


def _finish(phones: Phones, client: TikMatrixClient | None = None, **more: Any) -> cleanup.FinishResult:
    return cleanup.finish_phone_tasks(
        client or phones.client, phones.ledger, HOST, run_has_ended=lambda run: True,
        settings=WatchSettings(600), sleep=phones.clock.sleep, **more,
    )  # fmt: skip


def _planned(plan: PhonePlan) -> set[tuple[str, str]]:
    return {(actor.name, text) for part in plan.parts for actor in part.actors for _, text in part.targets}


def test_what_a_killed_run_had_planned_and_not_sent_does_not_count(phones: Phones) -> None:
    """Killed before its request left: the next run, in the same minute, asks for all of it."""
    phones.plan(comment())
    alive = phones.plan(comment(), "run-2")
    phones.clock.sleep(phones.ledger.lease_seconds + 1)

    again = phones.plan(comment(), "run-3")

    assert (alive.task_count, again.task_count) == (0, 4)
    assert phones.task_requests()[0].state is RequestState.NOT_CREATED


def test_a_limit_is_free_again_after_a_run_was_killed_before_it_sent(phones: Phones) -> None:
    form = follow(devices=SERIALS[:1], users=["one"])
    phones.plan(form, "run-1", ONE_FOLLOW)
    phones.clock.sleep(phones.ledger.lease_seconds + 1)

    assert phones.plan(form, "run-2", ONE_FOLLOW).task_count == 1


def test_a_killed_run_that_is_started_again_sends_what_it_had_planned(phones: Phones) -> None:
    """Its own plan is not dropped, and no second one is made."""
    phones.plan(comment())
    phones.clock.sleep(phones.ledger.lease_seconds + 1)

    again = phones.plan(comment())

    assert (again.parts, again.task_count) == ((), 4)
    assert [request.state for request in phones.task_requests()] == [RequestState.PLANNED]


def test_a_run_that_was_taken_for_dead_sends_nothing(phones: Phones) -> None:
    """Another run has planned the same meanwhile: the stalled one notices before its request leaves."""
    phones.plan(comment())
    (request,) = phones.task_requests()
    phones.clock.sleep(phones.ledger.lease_seconds + 1)
    phones.plan(comment(), "run-2")

    with pytest.raises(ClaimLost):
        phones.begin(request, 0)


@pytest.mark.parametrize("logged_in", ["not named", "named"])
def test_tasks_that_tikmatrix_did_not_create_are_made_by_the_next_run(phones: Phones, logged_in: str) -> None:
    """It created two of four and said so: the run reports it, and the next one asks for the other two."""
    phones.sandbox.set_dialect(logged_in=logged_in)
    phones.plan(comment())
    real = phones.client

    class Half(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.method != "POST":
                return super().handle_request(request)
            created = real.create_task("comment", {"target_post_urls": URLS[:2], "comment_content": "nice"},
                                       serials=SERIALS[:1])  # fmt: skip
            return httpx.Response(200, json={"code": 0, "data": {"task_ids": created.task_ids, "created_count": 2}})

    with TikMatrixClient(phones.sandbox.tikmatrix_url, transport=Half()) as phones.client:
        phones.create()
    phones.client = real

    again = phones.plan(comment(), "run-2")

    assert _planned(again) == {(SERIALS[1], url) for url in URLS[:2]}
    assert again.left_out[0].startswith("2 comments skipped (already requested a comment on this post)")


def test_while_it_cannot_be_told_which_tasks_are_missing_all_of_them_count(phones: Phones) -> None:
    answers = {"POST": {"task_ids": [1, 2]}, "GET": {"total": 0, "list": []}}
    phones.client = TikMatrixClient(
        AWAY, transport=httpx.MockTransport(lambda r: httpx.Response(200, json={"code": 0, "data": answers[r.method]}))
    )
    phones.plan(comment())
    phones.create()

    assert phones.plan(comment(), "run-2").task_count == 0


@pytest.mark.parametrize("logged_in", ["not named", "named"])
def test_tasks_that_the_finisher_cancelled_before_they_ran_are_made_by_the_next_run(
    phones: Phones, logged_in: str
) -> None:
    """Also where TikMatrix names the account that is logged in, beside the phone that was asked for."""
    phones.sandbox.set_dialect(logged_in=logged_in)
    phones.plan(comment(devices=SERIALS[:1], post_urls=URLS))
    phones.create()
    phones.clock.sleep(60)

    done = _finish(phones)
    again = phones.plan(comment(devices=SERIALS[:1], post_urls=URLS), "run-2")

    waiting = {(SERIALS[0], task.target) for task in done.cancelled if not task.started}
    assert len(waiting) == 2
    assert _planned(again) == waiting
    assert again.left_out == (f"1 comment skipped (may have commented on this post before): {SERIALS[0]}: {URLS[0]}",)


def test_a_task_that_had_begun_and_waits_again_counts(phones: Phones) -> None:
    """TikMatrix was restarted in the middle of it: the comment may have been written."""
    form = comment(devices=SERIALS[:1], post_urls=URLS[:1])
    phones.plan(form)
    phones.create()
    phones.watch(seconds=0)
    phones.sandbox.restart_phones()
    phones.sandbox.world.advance_phones = lambda: None  # the phone is away
    phones.clock.sleep(60)

    done = _finish(phones)
    del phones.sandbox.world.advance_phones

    assert [task.state for task in done.cancelled] == ["CANCELLED"]
    assert phones.plan(form, "run-2").task_count == 0


def test_tasks_deleted_by_hand_in_tikmatrix_may_have_run_until_a_person_says_that_they_did_not(phones: Phones) -> None:
    """Nobody can see what a deleted task had done; marked as not done, it is made again."""
    form = comment(devices=SERIALS[:1], post_urls=URLS[:2])
    phones.plan(form)
    phones.create()
    phones.watch(seconds=0)
    for task in phones.there:
        phones.client.delete_task(task["id"])
    phones.watch()
    unknown = phones.plan(form, "run-2")

    marked = resolve(phones.ledger, HOST, ManageForm(action="mark not done", task_ids=[2, 9], dry_run=False))
    again = phones.plan(form, "run-3")

    assert (unknown.task_count, "may have commented" in unknown.left_out[0]) == (0, True)
    assert (marked.tasks, marked.left_alone) == ([2], ["task 9 is not gone"])
    assert _planned(again) == {(SERIALS[0], URLS[1])}


def test_a_comment_that_was_written_is_said_to_be_written(phones: Phones) -> None:
    phones.plan(comment())
    phones.create()
    phones.watch()

    again = phones.plan(comment(), "run-2")

    assert again.task_count == 0
    assert "4 comments skipped (commented on this post before)" in again.left_out[0]


@pytest.mark.parametrize("broken", ["away", "in the middle"])
def test_a_killed_runs_tasks_are_cancelled_once_tikmatrix_is_back(phones: Phones, broken: str) -> None:
    """finish-phone-tasks found TikMatrix away, or lost it while it cancelled: the next one comes back to them."""
    phones.plan(follow(devices=SERIALS[:1], users=[f"user{n}" for n in range(9)]))
    phones.create()
    phones.clock.sleep(60)

    if broken == "away":
        with TikMatrixClient(AWAY) as away, pytest.raises(ServiceError):
            _finish(phones, away)
    else:
        phones.sandbox.order_fault("drop_before", "DELETE", "*", times=None)
        with pytest.raises(ServiceError):
            _finish(phones)
        phones.sandbox.clear_faults()
    done = _finish(phones)

    assert done.still_open == 0
    assert {task["status"] for task in phones.there} <= {2, 3}  # what had finished, or was stopped before, is left
    assert len(done.cancelled) >= 7  # each of the two looks may let one come to its end


def test_a_deleted_task_that_was_never_seen_cannot_be_marked(phones: Phones) -> None:
    """TikMatrix told only its number, so nobody can say whose it was: all of its request's tasks go on counting."""
    form = comment(devices=SERIALS[:1])
    phones.plan(form)
    phones.create()
    for task in phones.there:
        phones.client.delete_task(task["id"])
    phones.watch()

    marked = resolve(phones.ledger, HOST, ManageForm(action="mark not done", task_ids=[2], dry_run=False))

    assert marked.left_alone == ["task 2 was deleted before its account and target were seen"]
    assert phones.plan(form, "run-2").task_count == 0


def test_a_killed_runs_tasks_that_are_found_late_are_cancelled(phones: Phones) -> None:
    """Its answer was lost, and the first look did not show them yet."""
    phones.plan(comment())
    (request,) = phones.task_requests()
    phones.begin(request, 0)
    phones.clock.sleep(60)
    early = _finish(phones)
    phones.client.create_task(request.script, request.config, serials=request.serials)

    done = _finish(phones)

    assert (early.cancelled, len(early.unanswered)) == ([], 1)
    assert len(done.cancelled) == 4
    assert phones.there == []


def test_a_number_given_again_is_not_recorded_as_ours_when_it_is_deleted(phones: Phones) -> None:
    """A person deletes somebody else's task that has the number of one of ours."""
    phones.plan(comment(devices=SERIALS[:1], post_urls=URLS[:1]))
    phones.create()
    phones.sandbox.restart_phones(lost=True, ids_from_1=True)
    phones.client.create_task("follow", {"target_users": ["theirs"]}, serials=SERIALS[:1])
    form = ManageForm(action="delete", task_ids=[1], only_ours=False, dry_run=False)

    selection = select_tasks(phones.client, phones.ledger, HOST, form, RAILS)
    done = manage_tasks(phones.client, phones.ledger, form, selection)

    assert (done.done, phones.states()) == ([1], ["PENDING"])
    assert phones.plan(comment(devices=SERIALS[:1], post_urls=URLS[:1]), "run-2").task_count == 0


def _check_that_task_1_of_another_account_is_left_alone(phones: Phones) -> None:
    phones.sandbox.restart_phones(lost=True, ids_from_1=True)
    phones.client.create_task("follow", {"target_users": ["one"]}, usernames=["ada.studio"])

    form = ManageForm(action="stop", task_ids=[1], dry_run=False)
    selection = select_tasks(phones.client, phones.ledger, HOST, form, RAILS)
    phones.watch(seconds=0)

    assert selection.left_alone == ["task 1 was not created by reelflow"]
    assert phones.states() == ["GONE"]


def test_a_task_of_another_account_with_our_number_is_not_ours(phones: Phones) -> None:
    """The same script, phone and target: the username tells them apart, for a watch and for a person."""
    phones.plan(follow(devices=[], usernames=["ada.daily"], users=["one"]))
    phones.create()
    _check_that_task_1_of_another_account_is_left_alone(phones)


def test_a_task_of_another_account_on_the_same_phone_with_our_number_is_not_ours(phones: Phones) -> None:
    """Requested by phone: the account that TikMatrix named at first tells the two apart."""
    phones.sandbox.set_dialect(logged_in="named")
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.watch(seconds=0)
    _check_that_task_1_of_another_account_is_left_alone(phones)
