"""Tasks that a person lists, stops, deletes or retries: against the sandbox, with a ledger."""

from typing import Any

import pytest
from support.phones import HOST, RAILS, SERIALS, Phones, comment, follow

from reelflow.phones.cleanup import finish_phone_tasks
from reelflow.phones.form import ManageForm
from reelflow.phones.managing import ManageResult, Selection, manage_tasks, select_tasks
from reelflow.phones.watching import WatchSettings


def _manage(phones: Phones, **form: Any) -> tuple[Selection, ManageResult]:
    wanted = ManageForm(**({"dry_run": False} | form))
    selection = select_tasks(phones.client, phones.ledger, HOST, wanted, RAILS)
    return selection, manage_tasks(phones.client, phones.ledger, HOST, wanted, selection)


@pytest.fixture
def failed(phones: Phones) -> Phones:
    """One task of ours, which has failed for good."""
    phones.sandbox.world.auto_retry = 0
    phones.sandbox.fail_next(script_name="follow", reason="no luck")
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.watch(auto_retry=False)
    requests = [request.id for request in phones.task_requests()]
    phones.ledger.release_task_requests(requests, phones.owner, left_open=False)
    return phones


def test_a_task_that_is_retried_by_hand_is_watched_again(failed: Phones) -> None:
    """By the next run that finishes open tasks, since the task's own run has ended."""
    before = failed.states()

    _, done = _manage(failed, action="retry", task_ids=[1])
    restarted = failed.states()
    finish_phone_tasks(
        failed.client, failed.ledger, HOST, run_has_ended=lambda run: True, settings=WatchSettings(600),
        sleep=failed.clock.sleep,
    )  # fmt: skip

    assert (before, done.done, restarted) == (["FAILED"], [1], ["PENDING"])
    assert failed.states() == ["COMPLETED"]


def test_what_a_person_does_to_other_peoples_tasks_is_not_on_record(failed: Phones) -> None:
    failed.client.create_task("follow", {"target_users": ["theirs"]}, serials=SERIALS[1:2])

    _, done = _manage(failed, action="stop", only_ours=False, task_ids=[2])

    assert done.done == [2]
    assert failed.there[1]["remark"] == "stopped"
    assert failed.states() == ["FAILED"]


def test_a_named_task_that_does_not_match_the_filters_is_left_alone(failed: Phones) -> None:
    selection, done = _manage(failed, action="delete", task_ids=[1], status="pending")

    assert selection.left_alone == ["task 1 does not match the filters"]
    assert done.done == []
    assert len(failed.there) == 1


def test_a_task_that_is_stopped_by_hand_is_seen_by_its_watcher(phones: Phones) -> None:
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()

    _manage(phones, action="stop", task_ids=[1])
    phones.watch(auto_retry=False)

    (task,) = phones.ledger.phone_tasks([phones.task_requests()[0].id])
    assert (task.state, task.remark) == ("FAILED", "stopped")


def test_a_task_deleted_by_hand_before_it_ran_does_not_count(phones: Phones) -> None:
    """The same comment may be asked for again; one that has begun may not."""
    form = comment(devices=SERIALS[:1])
    phones.plan(form)
    phones.create()
    phones.watch(seconds=0)  # the first of the two begins

    _manage(phones, action="delete")
    again = phones.plan(form, "run-2")

    assert phones.states() == ["CANCELLED", "CANCELLED"]
    assert [text for part in again.parts for _, text in part.targets] == form.targets()[1:]
