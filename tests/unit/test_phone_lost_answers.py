"""An answer that is lost, and tasks that are done and deleted before anybody looks: nothing is done a second time."""

import pytest
from support.phones import HOST, SERIALS, Phones, comment, follow

from reelflow.phones.form import ManageForm
from reelflow.phones.resolving import resolve
from reelflow.records.phone_states import GRACE, RequestState
from reelflow.records.phones import TaskRequest, TaskResult
from reelflow.tikmatrix import TikMatrixClient
from tasks.phones.wording import trouble_of


def _lose(phones: Phones, *, stored: bool) -> None:
    """A run of four comments is killed just after its request has left; its tasks exist, or it never arrived."""
    phones.plan(comment())
    request = phones.task_requests()[-1]
    phones.begin(request, _highest(phones))
    if stored:
        phones.client.create_task(request.script, request.config, serials=request.serials)
    phones.clock.sleep(60)


def _highest(phones: Phones) -> int:
    return max((task["id"] for task in phones.there), default=0)


def _clear(phones: Phones, keep: int = 0) -> None:
    """The tasks are done, and their owner clears TikMatrix's list of them."""
    for _ in range(100):
        if {task["status"] for task in phones.there} <= {2}:
            break
        phones.client.tasks()
    else:
        pytest.fail("the tasks do not end")
    for task in phones.there[keep:]:
        phones.client.delete_task(task["id"])


def _settle(phones: Phones) -> TaskRequest:
    phones.clock.sleep(GRACE + 1)
    phones.settle_lost()
    return phones.task_requests()[0]


def _settled_after_a_later_task(phones: Phones) -> RequestState:
    """The end of a request that created nothing and whose answer was lost, once TikMatrix has a later task of ours."""
    phones.plan(comment())
    lost = phones.task_requests()[-1]
    phones.begin(lost, _highest(phones))
    _later_task(phones)
    phones.clock.sleep(GRACE + 1)
    phones.settle_lost()
    return phones.ledger.task_requests(ids=[lost.id])[0].state


def _later_task(phones: Phones) -> None:
    """Another run creates a task, whose number TikMatrix tells."""
    phones.clock.sleep(60)
    phones.plan(follow(devices=SERIALS[:1], users=["later"]), "run-later")
    phones.create()


def test_tasks_done_and_deleted_before_the_next_look_are_not_made_again(phones: Phones) -> None:
    """The answer was lost and TikMatrix shows nothing: nobody can know, so nothing is sent and a person is told."""
    _lose(phones, stored=True)
    _clear(phones)

    request = _settle(phones)
    again = phones.plan(comment(), "run-2")
    trouble = trouble_of(request, 0, phones.ledger.now())

    assert (request.state, again.task_count) == (RequestState.UNCONFIRMED, 0)
    assert "4 comments skipped (may have commented on this post before)" in again.left_out[0]
    assert "manage-phone-tasks" in str(trouble)
    assert request.id in str(trouble)


def test_tasks_done_and_deleted_are_not_made_again_though_later_tasks_have_higher_numbers(phones: Phones) -> None:
    """The numbers that are missing between may have been ours."""
    _lose(phones, stored=True)
    _clear(phones)
    _later_task(phones)

    request = _settle(phones)

    assert request.state is RequestState.UNCONFIRMED
    assert phones.plan(comment(), "run-2").task_count == 0


def test_a_request_that_never_arrived_is_free_once_a_later_task_has_the_next_number(phones: Phones) -> None:
    """Until then it is unconfirmed; a later look settles it without a person."""
    _lose(phones, stored=False)

    before = _settle(phones)
    _later_task(phones)
    after = _settle(phones)

    assert (before.state, after.state) == (RequestState.UNCONFIRMED, RequestState.NOT_CREATED)
    assert "created none" in str(trouble_of(after, 0, phones.ledger.now()))
    assert phones.plan(comment(), "run-2").task_count == 4


def test_other_peoples_tasks_between_do_not_hide_that_nothing_was_created(phones: Phones) -> None:
    """Each number between is a task that is there and is not ours."""
    _lose(phones, stored=False)
    phones.client.create_task("follow", {"target_users": ["theirs"]}, serials=[SERIALS[4]])
    _later_task(phones)

    assert _settle(phones).state is RequestState.NOT_CREATED


def test_another_persons_next_task_alone_proves_nothing(phones: Phones) -> None:
    """It may have been created just before our request."""
    _lose(phones, stored=False)
    phones.client.create_task("follow", {"target_users": ["theirs"]}, serials=[SERIALS[4]])

    assert _settle(phones).state is RequestState.UNCONFIRMED


def test_tasks_deleted_before_the_request_do_not_hide_that_nothing_was_created(phones: Phones) -> None:
    """A cancelled run's tasks had the highest numbers, as the ledger knows."""
    phones.plan(follow(), "run-0")
    phones.create()
    for task in phones.there:
        phones.client.delete_task(task["id"])
    phones.clock.sleep(60)

    assert _settled_after_a_later_task(phones) is RequestState.NOT_CREATED


def test_a_tikmatrix_that_gives_numbers_twice_proves_nothing(phones: Phones) -> None:
    """It counts from 1 again, so that the next number says nothing about what was created before."""
    phones.plan(follow(), "run-0")
    phones.create()
    phones.clock.sleep(60)
    phones.sandbox.restart_phones(lost=True, ids_from_1=True)

    assert _settled_after_a_later_task(phones) is RequestState.UNCONFIRMED


def test_of_tasks_partly_deleted_the_missing_ones_are_not_made_again(phones: Phones) -> None:
    """One of four is still there: it is watched, and the three others may have been done."""
    _lose(phones, stored=True)
    _clear(phones, keep=1)

    request = _settle(phones)
    phones.watch()

    assert (request.state, phones.states()) == (RequestState.UNCONFIRMED, ["COMPLETED"])
    assert phones.plan(comment(), "run-2").task_count == 0


def test_what_was_partly_stored_is_completed_once_the_numbers_prove_it(phones: Phones) -> None:
    """Two of four were stored and the answer was lost: the next run asks for the other two, and for no more."""
    phones.plan(comment())
    (request,) = phones.task_requests()
    phones.begin(request, 0)
    phones.client.create_task(request.script, request.config, serials=SERIALS[:1])
    phones.clock.sleep(60)

    unsure = _settle(phones)
    waiting = phones.plan(comment(), "run-2")
    _later_task(phones)
    sure = _settle(phones)
    again = phones.plan(comment(), "run-3")

    assert (unsure.state, waiting.task_count) == (RequestState.UNCONFIRMED, 0)
    assert (sure.state, len(phones.ledger.phone_tasks([sure.id]))) == (RequestState.CREATED, 2)
    assert [actor.serial for part in again.parts for actor in part.actors] == [SERIALS[1]]
    assert again.task_count == 2


@pytest.mark.parametrize(
    ("action", "state", "planned"),
    [("mark done", RequestState.CREATED, 0), ("mark not done", RequestState.NOT_CREATED, 4)],
)
def test_a_person_settles_an_unconfirmed_request(
    phones: Phones, action: str, state: RequestState, planned: int
) -> None:
    """Done: it goes on counting, and is no trouble any more. Not done: the next run makes it."""
    _lose(phones, stored=False)
    request = _settle(phones)

    dry = resolve(phones.ledger, HOST, ManageForm(action=action, request_ids=[request.id]))
    before = phones.task_requests()[0].state
    form = ManageForm(action=action, request_ids=[request.id, "unknown"], dry_run=False)
    done = resolve(phones.ledger, HOST, form)
    again = resolve(phones.ledger, HOST, form)

    assert (dry.requests, before) == ([request.id], RequestState.UNCONFIRMED)
    assert (done.requests, done.left_alone) == ([request.id], ["request unknown does not exist on this PC"])
    assert again.left_alone[0] == f"request {request.id} is not unconfirmed"
    settled = phones.task_requests()[0]
    trouble = trouble_of(settled, 0, phones.ledger.now())
    assert (settled.state, trouble is None) == (state, action == "mark done")
    assert phones.plan(comment(), "run-2").task_count == planned


def test_of_a_request_partly_found_a_person_settles_the_rest(phones: Phones) -> None:
    """One task was found and is done; the three others were not done, and only they are made again."""
    _lose(phones, stored=True)
    _clear(phones, keep=1)
    request = _settle(phones)

    resolve(phones.ledger, HOST, ManageForm(action="mark not done", request_ids=[request.id], dry_run=False))

    assert phones.task_requests()[0].state is RequestState.CREATED
    assert phones.plan(comment(), "run-2").task_count == 3


def test_an_answer_that_comes_after_all_settles_an_unconfirmed_request(phones: Phones) -> None:
    """The process had stopped for a while in the middle of its request."""
    _lose(phones, stored=False)
    request = _settle(phones)
    answer = phones.client.create_task(request.script, request.config, serials=request.serials)

    phones.ledger.tasks_created(request.id, [TaskResult(task_id=task_id) for task_id in answer.task_ids])

    assert phones.task_requests()[0].state is RequestState.CREATED
    assert len(phones.states()) == 4


def test_only_unanswered_requests_cost_a_look(phones: Phones) -> None:
    """Without one, TikMatrix need not run; after three days only a person settles it, and no list is read."""
    _lose(phones, stored=False)
    _settle(phones)
    phones.clock.sleep(4 * 86400)
    with TikMatrixClient("http://localhost:1/api/v1") as away:
        phones.settle_lost(away)

    assert phones.task_requests()[0].state is RequestState.UNCONFIRMED
