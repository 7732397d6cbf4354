"""Tasks that a person lists, stops, deletes or retries: against the sandbox, with a ledger."""

from typing import Any

import httpx
import pytest
from support.meddling import Meddling
from support.phones import HOST, RAILS, SERIALS, URLS, Phones, comment, follow

from reelflow.phones.cleanup import finish_phone_tasks
from reelflow.phones.form import ManageForm
from reelflow.phones.limits import Guardrails, read_phones
from reelflow.phones.managing import ManageResult, Selection, manage_tasks, select_tasks
from reelflow.phones.watching import WatchSettings, watch_tasks
from reelflow.records.phone_states import RESTARTABLE, UNFINISHED, TaskState
from reelflow.records.phones import TaskRecord
from reelflow.tikmatrix import TikMatrixClient


def _manage(phones: Phones, **form: Any) -> tuple[Selection, ManageResult]:
    wanted = ManageForm(**({"dry_run": False} | form))
    selection = select_tasks(phones.client, phones.ledger, HOST, wanted, RAILS)
    return selection, manage_tasks(phones.client, phones.ledger, wanted, selection)


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
    assert [text for part in again.parts for _, text in part.targets] == list(form.targets().values())[1:]


def test_a_task_deleted_by_hand_while_its_run_looks_is_cancelled_and_not_gone(phones: Phones) -> None:
    """The run's look began before the deletion and ends after it: what the person did stays on record, and no alarm."""
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    requests = [request.id for request in phones.task_requests()]
    deleted: list[bool] = []

    def delete_first(request: httpx.Request) -> None:
        if not deleted:
            deleted.append(True)
            _manage(phones, action="delete")

    with TikMatrixClient(phones.sandbox.tikmatrix_url, transport=Meddling(delete_first)) as client:
        watched = watch_tasks(client, phones.ledger, requests, WatchSettings(0), sleep=phones.clock.sleep)

    assert phones.states() == ["CANCELLED"]
    assert watched.news == []


@pytest.fixture
def one_task(phones: Phones) -> Phones:
    """A task of ours that has not begun."""
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    return phones


def _in_state(phones: Phones, state: TaskState) -> TaskRecord:
    (record,) = phones.ledger.task_records([request.id for request in phones.task_requests()])
    return record._replace(task=record.task.model_copy(update={"state": state}))


@pytest.mark.parametrize("after", TaskState)
@pytest.mark.parametrize("before", TaskState)
def test_what_is_seen_changes_unfinished_tasks_only(one_task: Phones, before: TaskState, after: TaskState) -> None:
    """Row by row: whoever recorded an end first is right."""
    one_task.ledger.record_tasks([_in_state(one_task, before)])
    change = _in_state(one_task, after)

    recorded = one_task.ledger.record_tasks([change])

    assert recorded == ([change] if before in UNFINISHED else [])
    assert one_task.states() == [after if before in UNFINISHED else before]


@pytest.mark.parametrize("before", TaskState)
def test_a_person_restarts_finished_tasks_that_tikmatrix_may_have(one_task: Phones, before: TaskState) -> None:
    """Row by row; one that we deleted is not there to be restarted."""
    one_task.ledger.record_tasks([_in_state(one_task, before)])

    one_task.ledger.restart_task(_in_state(one_task, before))

    restarted = before in RESTARTABLE
    assert one_task.states() == [TaskState.PENDING if restarted else before]
    assert [request.left_open for request in one_task.task_requests()] == [restarted]


def test_the_account_of_a_task_is_told_where_it_is_known(phones: Phones) -> None:
    """TikMatrix names it if the task was asked for by username; else it is the only one that the phone has."""
    one, two = SERIALS[:2]
    rows = [f"{one}: ada.daily", f"{two}: ben.daily, ben.studio"]
    rails = Guardrails(read_phones(rows), RAILS.limits, RAILS.zone)
    phones.plan(follow(devices=[], usernames=["ben.daily"], users=["one"]), rails=rails)
    phones.clock.sleep(1)  # requests are made in the order in which they were planned
    phones.plan(comment(devices=[one, two], post_urls=URLS[:1]), "run-2", rails=rails)
    phones.create()
    phones.client.create_task("unfollow", {"target_users": ["theirs"]}, serials=[one])

    tasks = select_tasks(phones.client, phones.ledger, HOST, ManageForm(only_ours=False), rails).tasks

    assert [(task.job, task.who) for task in tasks] == [
        ("follow", f"{two} (ben.daily)"),
        ("comment", f"{one} (ada.daily)"),
        ("comment", two),
        ("unfollow", one),
    ]
