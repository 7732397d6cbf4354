"""Making, watching and cancelling phone tasks: against the sandbox over HTTP, with a ledger, and time that is made."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from support.clock import Clock
from support.phones import HOST, PHONES, RAILS, SERIALS, URLS, Phones, comment, follow
from support.race import at_once

from reelflow.errors import ClaimLost, NothingSent, ServiceError
from reelflow.ledger import Ledger
from reelflow.phones import cleanup, watching
from reelflow.phones.form import UnfollowForm, WarmUpForm
from reelflow.phones.limits import Guardrails, make_plan, read_phones
from reelflow.phones.requests import make_request
from reelflow.records.phone_states import RequestState, TaskState
from reelflow.records.phones import TaskResult
from reelflow.tikmatrix import TikMatrixClient, listing
from tasks.phones.cancel import summarize_cancel
from tasks.phones.wording import trouble_of


def test_tasks_are_made_watched_and_recorded(phones: Phones) -> None:
    """One request for all of them; phone, account, target, times and outcome of each are on record."""
    phones.plan(comment())
    phones.create()
    watched = phones.watch()

    tasks = phones.ledger.phone_tasks([request.id for request in phones.task_requests()])
    assert phones.sandbox.requests("POST /api/v1/task") == 1
    assert phones.states() == ["COMPLETED"] * 4
    assert {(t.serial, t.target) for t in tasks} == {(s, u) for s in SERIALS[:2] for u in URLS[:2]}
    assert all(t.started and t.ended for t in tasks)
    assert len(watched.news) == 4


def test_a_hundred_tasks_cost_one_request_a_look(phones: Phones) -> None:
    """The listing is read, not each task; other people's tasks in it are not touched."""
    phones.client.create_task("follow", {"target_users": ["other"]}, serials=[SERIALS[4]])
    phones.plan(follow(devices=SERIALS[:4], users=[f"user{n}" for n in range(24)]))
    phones.create()
    before = phones.sandbox.requests("GET /api/v1/task")

    watched = phones.watch()

    assert phones.states() == ["COMPLETED"] * 96
    assert phones.sandbox.requests("GET /api/v1/task") - before == watched.looks
    assert phones.sandbox.requests("GET /api/v1/task/{id}") == 0
    assert phones.sandbox.requests("GET /api/v1/task/stats") == 0


def test_a_failure_is_final_only_after_tikmatrix_had_its_time(phones: Phones) -> None:
    """The sandbox repeats it by itself; the second try succeeds, and the run does not call it failed meanwhile."""
    phones.sandbox.fail_next(script_name="follow", reason="app crashed")
    phones.sandbox.world.auto_retry = 1
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.sandbox.world.data.phone_tasks[0].failures_left = 1
    phones.watch()

    (task,) = phones.ledger.phone_tasks([phones.task_requests()[0].id])
    assert (task.state, task.retried_by_tikmatrix) == (TaskState.COMPLETED, 1)


@pytest.mark.parametrize(("auto_retry", "least"), [(True, 65), (False, 0)])
def test_a_failure_that_stays_is_failed(phones: Phones, auto_retry: bool, least: float) -> None:
    """With TikMatrix's own words; at once, if the owner says that TikMatrix repeats nothing."""
    phones.sandbox.world.auto_retry = 0
    phones.sandbox.fail_next(script_name="follow", reason="account banned")
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.watch(auto_retry=auto_retry)

    (task,) = phones.ledger.phone_tasks([phones.task_requests()[0].id])
    waited = phones.clock.now - phones.clock.start
    assert (task.state, task.remark) == (TaskState.FAILED, "account banned")
    assert least <= waited <= least + 60


def test_failed_tasks_are_repeated_as_often_as_asked_and_alone(phones: Phones) -> None:
    """By TikMatrix's retry of that one task, with growing pauses; never by retry-all."""
    phones.sandbox.world.auto_retry = 0
    phones.sandbox.fail_next(script_name="follow", reason="no luck", times=1)
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.sandbox.world.data.phone_tasks[0].failures_left = 99
    phones.watch(retries=2, seconds=86400)

    (task,) = phones.ledger.phone_tasks([phones.task_requests()[0].id])
    assert (task.state, task.retried_by_us) == (TaskState.FAILED, 2)
    assert phones.sandbox.requests("POST /api/v1/task/{id}/retry") == 2
    assert phones.sandbox.requests("POST /api/v1/task/retry-all") == 0
    assert phones.clock.now - phones.clock.start >= 65 + 180


def test_nothing_is_repeated_in_quiet_hours(phones: Phones) -> None:
    """The task stays open, for after them."""
    phones.sandbox.world.auto_retry = 0
    phones.sandbox.fail_next(script_name="follow", reason="no luck")
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.watch(retries=1, seconds=900, may_retry=lambda: False)

    assert phones.states() == ["RETRYING"]
    assert phones.sandbox.requests("POST /api/v1/task/{id}/retry") == 0


def test_a_deadline_leaves_tasks_and_names_them(phones: Phones) -> None:
    """They are not failed; a later watch finds their end."""
    phones.plan(follow())
    phones.create()

    phones.watch(seconds=0)
    left = phones.states()
    phones.watch()

    assert set(left) <= {"PENDING", "RUNNING"}
    assert phones.states() == ["COMPLETED"] * 4


def test_a_task_that_is_deleted_in_tikmatrix_is_gone(phones: Phones) -> None:
    """The others go on."""
    phones.plan(follow())
    phones.create()
    phones.watch(seconds=0)

    phones.client.delete_task(phones.there[0]["id"])
    phones.watch()

    assert sorted(phones.states()) == ["COMPLETED"] * 3 + ["GONE"]


@pytest.mark.parametrize("lost", [False, True])
def test_tikmatrix_restarts(phones: Phones, lost: bool) -> None:
    """With its tasks kept they go on; without them they are gone, in a few requests and not one for each."""
    phones.plan(follow(users=[f"user{n}" for n in range(20)]))
    phones.create()
    phones.watch(seconds=0)

    phones.sandbox.restart_phones(lost=lost)
    phones.watch()

    assert set(phones.states()) == ({"GONE"} if lost else {"COMPLETED"})
    assert phones.sandbox.requests("GET /api/v1/task/{id}") <= listing.PROOFS


def test_an_id_that_is_given_a_second_time_is_not_taken_for_ours(phones: Phones) -> None:
    """After a restart with ids from 1, somebody else's task stands under our number: ours is gone, theirs untouched."""
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.watch(seconds=0)
    phones.sandbox.restart_phones(lost=True, ids_from_1=True)
    phones.client.create_task("follow", {"target_users": ["theirs"]}, serials=[SERIALS[3]])

    phones.watch(seconds=0)
    cleanup.cancel_phone_tasks(phones.client, phones.ledger, phones.task_requests())

    assert phones.states() == ["GONE"]
    assert [task["script_args"]["target_user"] for task in phones.there] == ["theirs"]


def test_tikmatrix_stops_in_the_middle_and_comes_back(phones: Phones) -> None:
    """Looks that fail are tried again; the run does not end for them."""
    phones.plan(follow())
    phones.create()

    phones.sandbox.order_fault("drop_before", "GET", "/api/v1/task", times=3)
    watched = phones.watch()

    assert phones.states() == ["COMPLETED"] * 4
    assert watched.trouble is None


def test_a_licence_that_ends_ends_the_watch(phones: Phones) -> None:
    """With its reason; the tasks stay open."""
    phones.plan(follow())
    phones.create()

    phones.sandbox.world.license_plan = "Starter"
    watched = phones.watch()

    assert "licence does not include the API" in str(watched.trouble)
    assert watched.looks == 1


@pytest.mark.parametrize("fault", ["drop_after", "garbage_after", "status_after"])
def test_a_lost_answer_is_found_again(phones: Phones, fault: str) -> None:
    """TikMatrix made the tasks: they are ours, and no second set is asked for."""
    phones.plan(comment())
    phones.sandbox.order_fault(fault, "POST", "/api/v1/task")

    phones.create()
    phones.watch()

    assert phones.states() == ["COMPLETED"] * 4
    assert len(phones.there) == 4


@pytest.mark.parametrize("fault", ["drop_before", "status_before"])
def test_an_answer_that_is_lost_without_a_trace_is_not_repeated(phones: Phones, fault: str) -> None:
    """It is said; once TikMatrix gave the next number to a later task, it does not count any more."""
    phones.plan(comment())
    phones.sandbox.order_fault(fault, "POST", "/api/v1/task")

    phones.create()
    (request,) = phones.task_requests()
    again = phones.plan(comment(), "run-2")
    posts = phones.sandbox.requests("POST /api/v1/task")
    phones.plan(follow(), "run-3")
    phones.create()
    phones.clock.sleep(700)
    phones.settle_lost()
    later = phones.task_requests()[0]
    free = phones.plan(comment(), "run-4")

    assert (request.state, posts) == (RequestState.SENDING, 1)
    assert "Nothing was sent again" in str(trouble_of(request, 0, phones.ledger.now()))
    assert (again.task_count, later.state, free.task_count) == (0, RequestState.NOT_CREATED, 4)


def test_tasks_missing_after_a_lost_answer_are_said(phones: Phones) -> None:
    """One of four is found when the time to wait is over: the others may have been done, and the run has failed."""
    phones.plan(comment())
    phones.sandbox.order_fault("drop_after", "POST", "/api/v1/task")
    phones.sandbox.order_fault("drop_before", "GET", "/api/v1/task", times=None, after=1)
    phones.create()
    phones.sandbox.clear_faults()
    for task in phones.there[1:]:
        phones.client.delete_task(task["id"])
    phones.clock.sleep(700)
    phones.settle_lost()
    (request,) = phones.task_requests()

    trouble = trouble_of(request, len(phones.ledger.phone_tasks([request.id])), phones.ledger.now())

    assert request.state is RequestState.UNCONFIRMED
    assert "for 4 tasks was lost; TikMatrix shows 1 of them. Tasks that TikMatrix no longer shows may have" in trouble


def test_what_certainly_did_not_arrive_is_repeated(ledger: Ledger, sandbox: Any, clock: Clock) -> None:
    """A refused connection is tried again; what never arrives leaves nothing behind."""
    tries = []

    def refuse(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            tries.append(request)
            raise httpx.ConnectError("connection refused")
        return httpx.Response(200, json={"code": 0, "data": {"total": 0, "list": []}})

    phones = Phones(sandbox, ledger, clock)
    phones.client = TikMatrixClient("http://localhost:1/api/v1", transport=httpx.MockTransport(refuse))
    phones.plan(comment())

    with pytest.raises(NothingSent, match="it is safe to start the run again"):
        phones.create()

    assert len(tries) == 4
    assert phones.task_requests()[0].state is RequestState.PLANNED


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (40001, "rejected the parameters (40001: no)"),
        (40002, "received no script name (40002"),
        (40003, "does not run this script"),
        (40004, "found no account"),
        (40301, "needs Pro, Team or Business"),
        (40401, "has no such task"),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_each_refusal_is_said_and_counts_for_nothing(
    ledger: Ledger, sandbox: Any, clock: Clock, code: int, words: str, status: int
) -> None:
    """As HTTP 200 with a code, or as an HTTP error; the accounts' limits are not touched by it."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(status, json={"code": code, "message": "no", "data": None})
        return httpx.Response(200, json={"code": 0, "data": []})

    phones = Phones(sandbox, ledger, clock)
    phones.client = TikMatrixClient("http://localhost:1/api/v1", transport=httpx.MockTransport(answer))
    phones.plan(comment())

    phones.create()
    (request,) = phones.task_requests()
    again = phones.plan(comment(), "run-2")

    assert request.state is RequestState.REFUSED
    assert words in str(trouble_of(request, 0, 0))
    assert again.task_count == 4


def test_the_limits_hold_across_runs(phones: Phones) -> None:
    """The ledger counts, whichever run asks."""
    rails = Guardrails(read_phones(PHONES), {"follow": 3}, ZoneInfo("UTC"))

    first = phones.plan(follow(), "run-1", rails)
    second = phones.plan(follow(users=["three", "four"]), "run-2", rails)

    assert (sum(part.task_count for part in first.parts), second.task_count) == (4, 2)
    assert "daily limit of 3 follows" in second.left_out[0]


def test_a_second_comment_on_the_same_post_is_left_out(phones: Phones) -> None:
    """In another run, on another day, under another spelling of the address."""
    phones.plan(comment(), "run-1")
    phones.create()
    phones.clock.sleep(3 * 86400)

    second = phones.plan(comment(post_urls=[URLS[0] + "/?lang=de", URLS[2]]), "run-2")

    assert second.task_count == 2
    assert "already requested a comment on this post" in second.left_out[0]


def test_whom_this_ledger_followed_may_be_unfollowed(phones: Phones) -> None:
    """And nobody else."""
    phones.plan(follow(devices=SERIALS[:1], users=["friend"]))

    plan = phones.plan(UnfollowForm(devices=SERIALS[:2], users=["friend", "stranger"]), "run-2")

    assert [(part.actors[0].serial, part.targets) for part in plan.parts] == [(SERIALS[0], (("friend", "friend"),))]


def test_a_run_that_is_started_again_asks_for_nothing_twice(phones: Phones) -> None:
    """The same flow run, planned again, has its tasks already; another flow run has none of them."""
    phones.plan(WarmUpForm(devices=SERIALS[:2]))
    phones.create()

    again = phones.plan(WarmUpForm(devices=SERIALS[:3]))
    phones.create()

    assert sum(part.task_count for part in again.parts) == 1
    assert sorted(task["serial"] for task in phones.there) == SERIALS[:3]


def test_cancelling_a_run_cancels_what_has_not_ended(phones: Phones) -> None:
    """Running tasks are stopped, waiting ones deleted, ended ones left; what never ran does not count."""
    phones.plan(comment(devices=SERIALS[:1], post_urls=URLS))
    phones.create()
    for _ in range(100):
        if "COMPLETED" in phones.states():
            break
        phones.watch(seconds=0)

    done = cleanup.cancel_run(phones.client, phones.ledger, "run-1", HOST, sleep=phones.clock.sleep)
    again = phones.plan(comment(devices=SERIALS[:1], post_urls=URLS), "run-2")

    assert sorted(phones.states()) == ["CANCELLED", "CANCELLED", "COMPLETED"]
    assert [task["status"] for task in phones.there] == [2]
    assert len(done.finished) == 1
    assert 1 <= again.task_count <= 2
    assert summarize_cancel(done) in (
        "Cancelled 2 phone tasks (1 pending, 1 running). 1 had already finished.",
        "Cancelled 2 phone tasks (2 pending, 0 running). 1 had already finished.",
    )


def test_cancelling_a_request_in_flight_finds_its_tasks(phones: Phones) -> None:
    """The process died between the request and its answer: what it made is found, and cancelled."""
    phones.plan(comment())
    (request,) = phones.task_requests()
    phones.begin(request)
    phones.client.create_task(request.script, request.config, serials=request.serials)

    cleanup.cancel_run(phones.client, phones.ledger, "run-1", HOST, sleep=phones.clock.sleep)

    assert len(phones.states()) == 4
    assert phones.states().count("CANCELLED") >= 3  # the look itself may let one come to its end
    assert {task["status"] for task in phones.there} <= {2}


def _finish(phones: Phones, broken: Callable[[str], bool] = lambda run: True, **more: Any) -> cleanup.FinishResult:
    return cleanup.finish_phone_tasks(
        phones.client,
        phones.ledger,
        HOST,
        run_has_ended=broken,
        settings=watching.WatchSettings(600),
        sleep=phones.clock.sleep,
        **more,
    )


def test_the_finisher_takes_back_what_a_killed_run_left(phones: Phones) -> None:
    """But not while its lease says that it lives."""
    phones.plan(follow())
    phones.create()

    alive = _finish(phones)
    phones.clock.sleep(30)
    done = _finish(phones)

    assert (alive.cancelled, alive.still_open) == ([], 4)
    assert len(done.cancelled) == 4
    assert phones.there == []


def test_the_finisher_follows_what_was_left_at_a_deadline(phones: Phones) -> None:
    """Those tasks were not interrupted, so they are not cancelled."""
    phones.plan(follow())
    phones.create()
    phones.ledger.release_task_requests([b.id for b in phones.task_requests()], phones.owner, left_open=True)

    done = _finish(phones)

    assert (len(done.news), done.cancelled, done.still_open) == (4, [], 0)


def test_the_finisher_leaves_a_run_alone_that_still_runs(phones: Phones) -> None:
    """A heartbeat may be late; only after ten minutes without one does a running run count as dead."""
    phones.plan(follow())
    phones.create()
    phones.clock.sleep(60)

    early = _finish(phones, broken=lambda run: False)
    phones.clock.sleep(700)
    late = _finish(phones, broken=lambda run: False)

    assert (early.cancelled, len(late.cancelled)) == ([], 4)


def test_the_finisher_finds_what_a_killed_run_asked_for(phones: Phones) -> None:
    """The request arrived, the answer did not: its tasks are found and cancelled with the rest."""
    phones.plan(comment())
    (request,) = phones.task_requests()
    phones.begin(request)
    phones.client.create_task(request.script, request.config, serials=request.serials)
    phones.clock.sleep(60)

    done = _finish(phones)

    assert len(done.cancelled) + len(phones.there) == 4
    assert {task["status"] for task in phones.there} <= {2}


def test_one_run_at_a_time_makes_tasks_on_a_host(phones: Phones) -> None:
    """So that new ids can be told apart; who waits in vain sends nothing."""
    phones.plan(comment())
    phones.ledger.take_turn(HOST, "somebody else")
    phones.ledger.lease_seconds = 1e6
    phones.ledger.take_turn(HOST, "somebody else")

    with pytest.raises(NothingSent, match="Another run is creating tasks"):
        phones.create()

    assert phones.there == []


@pytest.mark.parametrize("newest_first", [True, False])
def test_the_order_of_the_listing_does_not_matter(
    ledger: Ledger, sandbox: Any, clock: Clock, newest_first: bool
) -> None:
    """It is not documented: the highest id and new tasks are found on whichever page they are."""
    tasks = [{"id": n, "script_name": "follow", "serial": SERIALS[0], "status": "2", "source": "api",
              "script_args": '{"target_user": "u"}'} for n in range(1, 351)]  # fmt: skip
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        page, size = int(request.url.params["page"]), int(request.url.params["page_size"])
        asked.append(page)
        ordered = tasks[::-1] if newest_first else tasks
        return httpx.Response(
            200, json={"code": 0, "data": {"total": 350, "items": ordered[(page - 1) * size : page * size]}}
        )

    client = TikMatrixClient("http://localhost:1/api/v1", transport=httpx.MockTransport(answer))

    assert listing.highest_id(client) == 350
    highest, newer = listing.newer_than(client, 340)
    assert (highest, sorted(task.id for task in newer)) == (350, list(range(341, 351)))
    assert len(asked) <= 6


def test_secrets_go_out_and_stay_nowhere(phones: Phones) -> None:
    """The ChatGPT key is on the wire alone: not in the ledger's file, not in what TikMatrix shows."""
    phones.plan(WarmUpForm(devices=SERIALS[:1], write_with_chatgpt=True))

    phones.create(secrets={"chatgpt_settings": {"api_key": "sk-verysecret", "model": "m"}})

    path = phones.ledger.url.database
    assert path is not None
    from pathlib import Path

    raw = b"".join(file.read_bytes() for file in Path(path).parent.glob("ledger.db*"))
    assert b"sk-verysecret" not in raw
    assert "sk-verysecret" not in str(phones.there)
    assert phones.there[0]["script_args"]["chatgpt_settings"] == {"model": "m"}


def test_trouble_before_the_request_sends_nothing(phones: Phones) -> None:
    """The highest id cannot be read: so nothing is asked for."""
    phones.plan(comment())
    phones.sandbox.order_fault("status_before", "GET", "/api/v1/task", times=None, status=500)

    with pytest.raises(ServiceError):
        phones.create()

    assert phones.sandbox.requests("POST /api/v1/task") == 0
    assert phones.task_requests()[0].state is RequestState.PLANNED


def test_limits_hold_for_runs_that_plan_at_once(url: str, clock: Clock) -> None:
    """On SQLite and on PostgreSQL: of eight runs that want two follows each, three follows are planned."""
    rails = Guardrails(read_phones(PHONES), {"follow": 3}, ZoneInfo("UTC"))
    request = make_request(follow(devices=SERIALS[:1]), rails)
    ledgers = [Ledger(url, clock=clock) for _ in range(8)]

    plans = at_once(
        8,
        lambda n: ledgers[n].plan_tasks(
            request, lambda history: make_plan(request, rails, history, datetime.fromtimestamp(clock(), UTC)),
            since=0, host=HOST, owner="me", flow_run=f"run-{n}",
        ),
    )  # fmt: skip

    for each in ledgers:
        each.close()
    assert sum(plan.task_count for plan in plans) == 3


def test_the_record_of_phones_is_the_same_on_both_databases(url: str, clock: Clock) -> None:
    """Planned, begun, made, watched, taken over and dropped."""
    ledger = Ledger(url, clock=clock)
    request = make_request(follow(), RAILS)
    ledger.plan_tasks(
        request, lambda history: make_plan(request, RAILS, history, datetime.fromtimestamp(clock(), UTC)),
        since=0, host=HOST, owner="me", flow_run="run-1",
    )  # fmt: skip
    (request,) = ledger.task_requests(flow_run="run-1")

    ledger.take_turn(HOST, "me")
    ledger.begin_task_request(request.id, "me", 7)
    ledger.tasks_created(request.id, [TaskResult(task_id=n) for n in (9, 8, 9)])
    (row, _) = ledger.task_records([request.id])
    done = row.task.model_copy(update={"serial": "A1", "state": TaskState.COMPLETED})
    ledger.record_tasks([row._replace(task=done, failed_at=5.0)])
    early = ledger.take_task_requests([request.id], "another")
    clock.sleep(60)
    late = ledger.take_task_requests([request.id], "another")

    assert [task.task_id for task in ledger.phone_tasks([request.id])] == [8, 9]
    assert ledger.task_records([request.id])[0].task.serial == "A1"
    assert (early, late) == (set(), {request.id})
    assert ledger.tasks_on_record(HOST, [8, 9, 10], since=clock.now) == {9}
    assert [found.task.task_id for _, found in ledger.records_of_tasks(HOST, [9])] == [9]
    assert [found.highest_before for found in ledger.open_task_requests(HOST)] == [7]
    with pytest.raises(ClaimLost):
        ledger.begin_task_request(request.id, "me", 7)
    ledger.close()


def test_older_tasks_that_look_the_same_are_never_adopted(phones: Phones) -> None:
    """Somebody made the like of it before; the request whose answer was lost made nothing."""
    phones.client.create_task("follow", {"target_users": ["one"]}, serials=SERIALS[:1])
    phones.client.create_task("comment", {"target_post_urls": URLS, "comment_content": "x"}, serials=SERIALS[:1])
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.sandbox.order_fault("drop_before", "POST", "/api/v1/task")

    phones.create()

    assert phones.task_requests()[0].state is RequestState.SENDING
    assert phones.states() == []


def test_a_lost_answer_is_found_though_ids_start_again_from_1(phones: Phones) -> None:
    """TikMatrix was restarted in between and counts from 1 again: what is there now is newer than the request."""
    phones.client.create_task("follow", {"target_users": [f"u{n}" for n in range(9)]}, serials=SERIALS[:1])
    phones.plan(comment())
    (request,) = phones.task_requests()
    phones.begin(request)
    phones.sandbox.restart_phones(lost=True, ids_from_1=True)
    phones.client.create_task(request.script, request.config, serials=request.serials)
    phones.clock.sleep(60)

    phones.settle_lost()

    assert phones.task_requests()[0].state is RequestState.CREATED
    assert len(phones.states()) == 4
