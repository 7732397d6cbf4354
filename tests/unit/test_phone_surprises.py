"""What TikMatrix and its owner do meanwhile: in the middle of a request, a watch or a cancellation."""

from typing import Any

import httpx
import pytest
from support.meddling import Meddling
from support.phones import HOST, SERIALS, Phones, comment, follow

from reelflow.errors import InputError
from reelflow.ledger import Ledger
from reelflow.phones import cleanup, creating
from reelflow.records.phone_states import RequestState
from reelflow.records.phones import TaskResult
from reelflow.tikmatrix import TikMatrixClient, listing
from tasks.phones.wording import trouble_of


def test_a_task_deleted_in_tikmatrix_while_it_is_cancelled_is_no_trouble(phones: Phones) -> None:
    phones.plan(follow(devices=SERIALS[:1]))
    phones.create()
    phones.watch(seconds=0)
    owners = phones.client

    def delete_first(request: httpx.Request) -> None:
        if request.url.path.endswith("/stop"):
            owners.delete_task(int(request.url.path.split("/")[-2]))

    with TikMatrixClient(phones.sandbox.tikmatrix_url, transport=Meddling(delete_first)) as client:
        done = cleanup.cancel_phone_tasks(client, phones.ledger, phones.task_requests())

    assert len(done.cancelled) == 2
    assert phones.states() == ["CANCELLED"] * 2
    assert phones.there == []


def test_what_was_planned_and_not_sent_is_cancelled_without_a_request(phones: Phones) -> None:
    """It does not count: the same comments may be asked for again."""
    phones.plan(comment())

    done = cleanup.cancel_run(phones.client, phones.ledger, "run-1", HOST, sleep=phones.clock.sleep)

    (request,) = phones.task_requests()
    assert (request.state, request.reason) == (RequestState.NOT_CREATED, "cancelled before it was sent")
    assert (done.cancelled, done.finished) == ([], [])
    assert phones.sandbox.requests("POST /api/v1/task") == 0
    assert phones.plan(comment(), "run-2").task_count == 4


def test_a_request_that_is_given_up_does_not_count(phones: Phones) -> None:
    """TikMatrix does not run: what was planned is settled, with the reason, and may be asked for again."""
    phones.plan(comment())

    creating.give_up(phones.ledger, phones.task_requests(), phones.owner, "TikMatrix cannot be reached.")

    (request,) = phones.task_requests()
    assert request.state is RequestState.NOT_CREATED
    assert "created none: TikMatrix cannot be reached." in str(trouble_of(request, 0, phones.ledger.now()))
    assert phones.plan(comment(), "run-2").task_count == 4


def test_fewer_tasks_than_were_asked_for_are_said(phones: Phones) -> None:
    """A phone was unplugged: those that there are, are watched, and the run has failed with the rest."""
    answers = {"POST": {"task_ids": [1, 2, 2]}, "GET": {"total": 0, "list": []}}
    phones.client = TikMatrixClient(
        "http://localhost:1/api/v1",
        transport=httpx.MockTransport(lambda r: httpx.Response(200, json={"code": 0, "data": answers[r.method]})),
    )
    phones.plan(comment())

    phones.create()

    (request,) = phones.task_requests()
    tasks = phones.ledger.phone_tasks([request.id])
    assert [task.task_id for task in tasks] == [1, 2]
    assert trouble_of(request, len(tasks), phones.ledger.now()) == "TikMatrix created 2 tasks; 4 were requested."


def test_tasks_are_recorded_once_whoever_brings_the_answer(phones: Phones) -> None:
    """Another run has found them in the list before this one's answer came."""
    phones.plan(comment())
    phones.create()
    (request,) = phones.task_requests()

    phones.ledger.tasks_created(
        request.id, [TaskResult(task_id=n) for n in (7, 8, 9, 10)], "found after its answer was lost"
    )

    assert len(phones.states()) == 4
    assert phones.task_requests() == [request]


def test_another_accounts_task_is_not_taken_for_a_lost_one(phones: Phones) -> None:
    """The same follow, created by somebody else just after our request, as another username."""
    phones.plan(follow(devices=[], usernames=["ada.daily"], users=["one"]))
    (request,) = phones.task_requests()
    phones.begin(request)
    phones.client.create_task("follow", {"target_users": ["one"]}, usernames=["ben.daily"])
    phones.clock.sleep(60)

    phones.settle_lost()

    assert phones.task_requests()[0].state is RequestState.SENDING
    assert phones.states() == []


def test_an_id_that_now_belongs_to_another_script_is_not_ours(phones: Phones) -> None:
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.sandbox.restart_phones(lost=True, ids_from_1=True)
    phones.client.create_task("account_warmup", {}, serials=SERIALS[:1])

    phones.watch(seconds=0)

    (task,) = phones.ledger.phone_tasks([phones.task_requests()[0].id])
    assert (task.state, task.remark) == ("GONE", "TikMatrix no longer has it; the ID 1 now belongs to another task")


@pytest.mark.parametrize("auto_retry", [True, False])
def test_a_retry_that_tikmatrix_does_not_take_counts_as_one(phones: Phones, auto_retry: bool) -> None:
    """The request may have arrived, so it is not made again."""
    phones.sandbox.world.auto_retry = 0
    phones.sandbox.fail_next(script_name="follow", reason="no luck")
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.sandbox.order_fault("status_before", "POST", "*/retry", status=503)

    phones.watch(retries=1, auto_retry=auto_retry)

    (task,) = phones.ledger.phone_tasks([phones.task_requests()[0].id])
    assert (task.state, task.retried_by_us) == ("FAILED", 1)
    assert phones.sandbox.requests("POST /api/v1/task/{id}/retry") == 1


def _listing(count: int, *, newest_first: bool, total: bool = True) -> TikMatrixClient:
    tasks = [{"id": n, "script_name": "follow"} for n in range(1, count + 1)]

    def answer(request: httpx.Request) -> httpx.Response:
        page, size = int(request.url.params["page"]), int(request.url.params["page_size"])
        ordered = tasks[::-1] if newest_first else tasks
        found = ordered[(page - 1) * size : page * size]
        return httpx.Response(200, json={"code": 0, "data": {"list": found, **({"total": count} if total else {})}})

    return TikMatrixClient("http://localhost:1/api/v1", transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250, 300])
@pytest.mark.parametrize("newest_first", [True, False])
def test_a_listing_is_read_to_its_end_whichever_way_it_is_sorted(count: int, newest_first: bool) -> None:
    """Each page once, and the pages from the newest to the oldest."""
    pages = list(listing.newest_first(_listing(count, newest_first=newest_first)))

    ids = [sorted((task.id for task in page), reverse=True) for page in pages]
    assert [task_id for page in ids for task_id in page] == list(range(count, 0, -1))


def test_a_listing_without_a_total_is_read_until_a_page_is_not_full() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        found = [{"id": n} for n in range(200, 0, -1)][(page - 1) * 100 : page * 100]
        return httpx.Response(200, json={"code": 0, "data": found})

    client = TikMatrixClient("http://localhost:1/api/v1", transport=httpx.MockTransport(answer))

    assert [len(page) for page in listing.newest_first(client)] == [100, 100]


def test_a_listing_without_a_total_whose_oldest_tasks_come_first_is_read_to_its_end() -> None:
    """Its newest tasks are on its last page, so that is where the highest number is."""
    client = _listing(250, newest_first=False, total=False)

    assert [len(page) for page in listing.newest_first(client)] == [50, 100, 100]
    assert listing.highest_id(client) == 250


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("newest_first", [True, False])
def test_more_than_fifty_pages_are_read_as_far_as_needed(newest_first: bool, total: bool) -> None:
    """Of 5,500 tasks the very oldest is found in the listing, and does not count as gone."""
    client = _listing(5500, newest_first=newest_first, total=total)

    found = listing.find_tasks(client, "follow", {1, 5500})

    assert [task_id for task_id, task in sorted(found.items()) if task] == [1, 5500]


def test_a_listing_that_repeats_its_last_page_ends() -> None:
    """A build that ignores the page asked for cannot hold up a run."""
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(1)
        return httpx.Response(200, json={"code": 0, "data": [{"id": n} for n in range(100, 0, -1)]})

    client = TikMatrixClient("http://localhost:1/api/v1", transport=httpx.MockTransport(answer))

    assert [len(page) for page in listing.newest_first(client)] == [100]
    assert len(asked) == 2


@pytest.mark.parametrize("who", [{}, {"serials": SERIALS[:1], "usernames": ["ada.daily"]}])
def test_a_task_is_for_phones_or_for_accounts(phones: Phones, who: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="not both"):
        phones.client.create_task("follow", {"target_user": "a"}, **who)

    assert phones.sandbox.requests() == 0


def test_a_time_to_start_at_is_sent(phones: Phones, ledger: Ledger) -> None:
    """By the clock of the phone PC; the sandbox takes it in the documented form."""
    seen: list[bytes] = []
    phones.plan(follow(devices=SERIALS[:1], users=["one"], start_at="23:30"))
    with TikMatrixClient(
        phones.sandbox.tikmatrix_url, transport=Meddling(lambda request: seen.append(request.read()))
    ) as phones.client:
        phones.create()

    assert any(b'"start_time":"23:30"' in body for body in seen)
    assert phones.task_requests()[0].state is RequestState.CREATED
