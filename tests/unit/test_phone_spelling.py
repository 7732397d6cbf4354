"""TikMatrix spells phones, usernames and statuses in its own way: whose a task is, is seen all the same."""

import pytest
from support.phones import HOST, RAILS, SERIALS, URLS, Phones, comment, follow

from reelflow.phones import cleanup
from reelflow.phones.form import ManageForm
from reelflow.phones.limits import Guardrails, read_phones
from reelflow.phones.managing import manage_tasks, select_tasks
from reelflow.records.phone_states import RequestState
from reelflow.sandbox.catalog import REAL_SERIALS

WAYS = [
    {"serials": "real_serial"},
    {"serials": "real_serial", "devices": "serial"},
    {"serials": "real_serial", "devices": "not offered"},
    {"usernames": "with @"},
    {"usernames": "in capitals"},
    {"statuses": "digits"},
    {"statuses": "words"},
    {"logged_in": "named"},
    {"serials": "real_serial", "usernames": "in capitals", "statuses": "words", "logged_in": "named"},
]
FORMS = {
    "as phones": {},
    "as accounts": {"devices": [], "usernames": ["ada.daily", "ben.daily"]},
}


@pytest.fixture(params=WAYS, ids=lambda way: ", ".join(way.values()))
def dialect(request: pytest.FixtureRequest, phones: Phones) -> dict[str, str]:
    phones.sandbox.set_dialect(**request.param)
    way: dict[str, str] = request.param
    return way


@pytest.mark.parametrize("who", FORMS)
def test_tasks_are_ours_however_tikmatrix_spells_them(phones: Phones, dialect: dict[str, str], who: str) -> None:
    """Watched to their end, and none counts as gone."""
    phones.plan(follow(users=["One", "two"], **FORMS[who]))
    phones.create()

    phones.watch()

    assert phones.states() == ["COMPLETED"] * 4


@pytest.mark.parametrize("who", FORMS)
def test_a_lost_answer_is_found_however_tikmatrix_spells_it(phones: Phones, dialect: dict[str, str], who: str) -> None:
    """Where it names phones by a serial that nobody can look up, a person is asked instead of making them twice."""
    phones.plan(follow(users=["One", "two"], **FORMS[who]))
    phones.sandbox.order_fault("drop_after", "POST", "/api/v1/task")

    phones.create()
    phones.clock.sleep(700)
    phones.settle_lost()

    cannot_tell = who == "as phones" and "real_serial" in dialect.values() and dialect.get("devices") is not None
    (request,) = phones.task_requests()
    assert request.state is (RequestState.UNCONFIRMED if cannot_tell else RequestState.CREATED)
    assert len(phones.states()) == (0 if cannot_tell else 4)
    assert phones.plan(follow(users=["One", "two"], **FORMS[who])).parts == ()


@pytest.mark.parametrize("who", FORMS)
def test_the_records_have_our_spelling(phones: Phones, who: str) -> None:
    """So that a report names phones, accounts and users as their owner does."""
    phones.sandbox.set_dialect(serials="real_serial", usernames="in capitals")
    phones.plan(follow(users=["One"], **FORMS[who]))
    phones.create()

    phones.watch()

    tasks = phones.ledger.phone_tasks([phones.task_requests()[0].id])
    named = {task.serial for task in tasks} if who == "as phones" else {task.username for task in tasks}
    assert named == (set(SERIALS[:2]) if who == "as phones" else {"ada.daily", "ben.daily"})
    assert {task.target for task in tasks} == {"One"}


@pytest.mark.parametrize("who", FORMS)
def test_what_was_cancelled_before_it_ran_does_not_count_however_it_is_spelled(
    phones: Phones, dialect: dict[str, str], who: str
) -> None:
    """Only where no phone can be looked up, it counts: it may be any phone's."""
    form = comment(post_urls=URLS, **FORMS[who])
    phones.plan(form)
    phones.create()

    done = cleanup.cancel_run(phones.client, phones.ledger, "run-1", HOST, sleep=phones.clock.sleep)
    again = phones.plan(form, "run-2")

    cannot_tell = who == "as phones" and dialect.get("devices") is not None
    assert len(done.cancelled) == 6
    assert again.task_count == (0 if cannot_tell else sum(not task.started for task in done.cancelled))


def test_a_phone_may_be_listed_by_its_other_serial(phones: Phones) -> None:
    """The owner lists the phone as the phone names itself; TikMatrix shows its tasks under its own name for it."""
    real = REAL_SERIALS[SERIALS[0]]
    rails = Guardrails(read_phones([f"{real}: ada.daily"]), RAILS.limits, RAILS.zone)
    phones.plan(follow(devices=[real], users=["one"]), rails=rails)
    phones.create()

    selection = select_tasks(phones.client, phones.ledger, HOST, ManageForm(device=real), rails)
    phones.watch()

    assert [task.serial for task in selection.tasks] == [real]
    assert phones.states() == ["COMPLETED"]


def test_a_person_manages_tasks_however_they_are_spelled(phones: Phones, dialect: dict[str, str]) -> None:
    """By the serial that the host block lists; a phone that cannot be looked up is not a listed one."""
    phones.plan(follow(devices=SERIALS[:1], users=["one", "two"]))
    phones.create()
    form = ManageForm(action="delete", device=SERIALS[0], status="pending", dry_run=False)

    selection = select_tasks(phones.client, phones.ledger, HOST, form, RAILS)
    done = manage_tasks(phones.client, phones.ledger, form, selection)

    assert done.done == ([] if dialect.get("devices") else [2])


def test_another_phones_task_with_our_number_is_not_ours(phones: Phones) -> None:
    """A phone that TikMatrix lists and that is not the one that was asked for, though its task is the like of ours."""
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.watch(seconds=0)
    phones.sandbox.restart_phones(lost=True, ids_from_1=True)
    phones.client.create_task("follow", {"target_users": ["one"]}, serials=[SERIALS[3]])

    phones.watch(seconds=0)

    assert phones.states() == ["GONE"]
