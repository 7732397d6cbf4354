"""Runs on phones whose lease lapsed (a hanging request, a suspended PC, a clock that was set) and that come back later.

Whatever another run or a person has done meanwhile, they must create nothing beside it; and no lease of a dead run may
outlive a clock that was put right.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from support.clock import Clock
from support.meddling import Meddling
from support.phones import HOST, RAILS, SERIALS, URLS, Phones, comment, follow

from reelflow.errors import ClaimLost, LedgerUnavailable, NothingSent, TurnLost
from reelflow.ledger import Ledger, move_ledger
from reelflow.phones import cleanup, creating, watching
from reelflow.phones.form import PhoneForm, WarmUpForm
from reelflow.phones.limits import make_plan
from reelflow.phones.requests import make_request
from reelflow.records.phone_states import RequestState, TaskState
from reelflow.records.phones import TaskRequest
from reelflow.records.posts import PostRequest
from reelflow.tikmatrix import TikMatrixClient

SUSPENDED = 25.0
"""Seconds; longer than a lease."""
MINUTE, HOUR, MONTH = 60.0, 3600.0, 30 * 86400.0
REFUSED = httpx.Response(200, json={"code": 40301, "message": "no licence"})


def _meddling(phones: Phones, method: str, act: Callable[[], object]) -> TikMatrixClient:
    """A client in whose first request of a method somebody does something."""
    done: list[int] = []

    def before(request: httpx.Request) -> None:
        if request.method == method and not done:
            done.append(1)
            act()

    return TikMatrixClient(phones.sandbox.tikmatrix_url, transport=Meddling(before))


def _another(phones: Phones) -> Phones:
    """A second attempt of the same run, or another run."""
    return Phones(phones.sandbox, phones.ledger, phones.clock)


def _start_again(phones: Phones, form: PhoneForm) -> Phones:
    """What Retry does: the same run, with an owner of its own, takes over and sends what was not sent."""
    again = _another(phones)
    again.plan(form)
    mine = again.ledger.take_task_requests([request.id for request in again.task_requests()], again.owner)
    todo = [request for request in again.task_requests() if request.id in mine]
    creating.create_tasks(again.client, again.ledger, todo, owner=again.owner, sleep=again.clock.sleep)
    return again


# A clock that was ahead, and is put right


@pytest.mark.parametrize("ahead", [15, MINUTE, HOUR, MONTH])
def test_a_dead_runs_turn_does_not_outlive_a_clock_that_is_put_right(phones: Phones, ahead: float) -> None:
    """It was killed while it held the turn. The next run waits two leases at most."""
    phones.plan(comment())
    phones.clock.now += ahead
    phones.ledger.take_turn(HOST, "killed")
    phones.clock.now -= ahead

    phones.create()

    assert len(phones.there) == 4
    assert sum(phones.clock.slept) <= 2 * phones.ledger.lease_seconds


@pytest.mark.parametrize("ahead", [MINUTE, HOUR, MONTH])
def test_a_dead_runs_requests_do_not_outlive_a_clock_that_is_put_right(phones: Phones, ahead: float) -> None:
    """Started again, it takes them over; another run drops them and plans the same; none of them counts as alive."""
    phones.clock.now += ahead
    phones.plan(comment(), "killed")
    phones.plan(follow())
    phones.clock.now -= ahead

    assert phones.ledger.runs_alive() == set()
    assert phones.plan(comment(), "run-2").task_count == 4
    _start_again(phones, follow())
    assert [task["script_name"] for task in phones.there] == ["follow"] * 4


def test_a_post_of_before_the_clock_was_put_right_is_no_live_run(
    ledger: Ledger, checked: Callable[[], PostRequest], clock: Clock
) -> None:
    """Else *watch-runs* would take its dead run for alive, for a month."""
    clock.now += MONTH
    ledger.claim(checked(), service="s", owner="killed", flow_run="killed")
    alive = ledger.runs_alive()
    clock.now -= MONTH

    assert (alive, ledger.runs_alive()) == ({"killed"}, set())


@pytest.mark.parametrize("ahead", [HOUR, MONTH])
def test_a_lost_answer_does_not_wait_for_a_clock_that_was_put_right(phones: Phones, ahead: float) -> None:
    """When it was sent is not known any more, so a person may settle it as after ten minutes."""
    phones.plan(comment())
    phones.clock.now += ahead
    phones.begin(phones.task_requests()[0])
    phones.clock.now -= ahead

    phones.settle_lost()

    assert phones.task_requests()[0].state is RequestState.UNCONFIRMED


def test_a_live_run_keeps_its_turn_when_the_clock_is_set_back(phones: Phones) -> None:
    """Its next heartbeat is a lease by the new time."""
    phones.plan(comment())
    phones.ledger.take_turn(HOST, phones.owner)
    phones.clock.now -= HOUR

    phones.ledger.keep_turn(HOST, phones.owner)

    assert not phones.ledger.take_turn(HOST, "another")
    phones.begin(phones.task_requests()[0])


# Another attempt takes over


@pytest.mark.parametrize("answer", [None, REFUSED], ids=["timeout", "refused"])
def test_a_run_that_hangs_before_its_request_does_not_undo_what_another_attempt_sent(
    phones: Phones, answer: httpx.Response | None
) -> None:
    """The second attempt takes over, and is killed when its request has arrived. Its tasks are created once."""
    phones.plan(comment())
    other = _another(phones)

    def hang(request: httpx.Request) -> httpx.Response:
        phones.clock.now += SUSPENDED
        (mine,) = phones.task_requests()
        assert other.ledger.take_task_requests([mine.id], other.owner) == {mine.id}
        other.begin(mine)
        other.client.create_task(mine.script, mine.config, serials=mine.serials)
        if answer is None:
            raise httpx.ReadTimeout("25 s", request=request)
        return answer

    with (
        TikMatrixClient(phones.sandbox.tikmatrix_url, transport=httpx.MockTransport(hang)) as phones.client,
        pytest.raises(ClaimLost, match="Another run has taken over these phone tasks"),
    ):
        phones.create()
    after = phones.task_requests()[0].state
    phones.clock.sleep(MINUTE)
    _start_again(phones, comment())

    assert after is RequestState.SENDING
    assert len(phones.there) == 4


def test_a_heartbeat_takes_nothing_back(ledger_on_each: Ledger, clock: Clock) -> None:
    """The one that took over has died, too: what it sent is not the first one's to undo."""
    ledger = ledger_on_each
    (request,) = _planned(ledger, clock, "run-1")
    clock.sleep(SUSPENDED)
    ledger.take_task_requests([request.id], "other")
    clock.sleep(SUSPENDED)

    assert ledger.renew_task_requests([request.id], "me") == set()
    assert ledger.renew_task_requests([request.id], "other") == {request.id}
    with pytest.raises(ClaimLost):
        ledger.task_request_unsent(request.id, "me", "TikMatrix is away")


def test_a_run_that_gives_up_leaves_what_another_attempt_has(phones: Phones) -> None:
    phones.plan(comment())
    mine, other = phones.task_requests(), _another(phones)
    phones.clock.sleep(SUSPENDED)
    phones.ledger.take_task_requests([mine[0].id], other.owner)

    creating.give_up(phones.ledger, mine, phones.owner, "TikMatrix cannot be reached.")
    planned = phones.task_requests()[0].state
    other.begin(mine[0])
    creating.give_up(phones.ledger, mine, other.owner, "TikMatrix cannot be reached.")

    assert (planned, phones.task_requests()[0].state) == (RequestState.PLANNED, RequestState.SENDING)


def test_what_leaves_while_it_is_cancelled_stays_on_record(phones: Phones) -> None:
    """It was still planned when the person looked."""
    phones.plan(comment())
    seen = phones.task_requests()
    phones.begin(seen[0])

    cleanup.cancel_phone_tasks(phones.client, phones.ledger, seen)

    assert phones.task_requests()[0].state is RequestState.SENDING
    assert phones.plan(comment(), "run-2").task_count == 0


def test_a_plan_is_not_dropped_at_the_moment_in_which_it_leaves(url: str) -> None:
    """Another run takes the first one for dead; that one comes back just then. Either it sends, or it is dropped."""
    clock = Clock()
    mine, other = Ledger(url, clock=clock), Ledger(url, clock=clock)
    (request,) = _planned(mine, clock, "run-1")
    mine.take_turn(HOST, "me")
    clock.now += SUSPENDED
    begun: list[bool] = []

    def begin() -> None:
        try:
            mine.begin_task_request(request.id, "me", 0)
            begun.append(True)
        except ClaimLost:
            begun.append(False)

    thread = threading.Thread(target=begin)
    look = other._task_requests

    def look_and_let_the_other_try(*args: Any) -> Any:
        rows = look(*args)
        if thread.ident is None:
            thread.start()
            thread.join(0.5)
        return rows

    other._task_requests = look_and_let_the_other_try  # type: ignore[method-assign]
    _planned(other, clock, "run-2")
    thread.join(60)
    assert not thread.is_alive()

    (after,) = mine.task_requests(flow_run="run-1")
    assert after.state is (RequestState.SENDING if begun == [True] else RequestState.NOT_CREATED)
    mine.close()
    other.close()


def test_nothing_is_sent_from_a_ledger_that_was_moved_meanwhile(tmp_path: Any, clock: Clock) -> None:
    """The run was suspended, so no lease stood in the way; the new ledger has its plan, and sends it."""
    old, new = (Ledger(f"sqlite:///{tmp_path / name}.db", clock=clock) for name in ("old", "new"))
    (request,) = _planned(old, clock, "run-1")
    old.take_turn(HOST, "me")
    clock.sleep(SUSPENDED)
    move_ledger(old, new, commit=lambda: None)

    with pytest.raises(LedgerUnavailable, match="was replaced by"):
        old.begin_task_request(request.id, "me", 0)
    with pytest.raises(LedgerUnavailable, match="was replaced by"):
        old.take_turn(HOST, "me")
    new.take_turn(HOST, "me")
    new.begin_task_request(request.id, "me", 0)

    old.close()
    new.close()


# Another run takes the turn


def test_a_run_that_has_lost_its_turn_sends_nothing_and_may_be_started_again(phones: Phones) -> None:
    """It hung while it asked for the highest number; another run creates tasks by now."""
    phones.plan(comment())

    def suspend_and_take_the_turn() -> None:
        phones.clock.now += SUSPENDED
        assert phones.ledger.take_turn(HOST, "another")

    with (
        _meddling(phones, "GET", suspend_and_take_the_turn) as phones.client,
        pytest.raises(NothingSent, match=r"Another run has taken the turn .* it is safe to start it again"),
    ):
        phones.create()
    sent = len(phones.there)
    phones.clock.sleep(SUSPENDED)
    _start_again(phones, comment())

    assert (sent, len(phones.there)) == (0, 4)


def test_a_turn_that_was_lost_is_not_taken_back_by_a_heartbeat(ledger_on_each: Ledger, clock: Clock) -> None:
    """The other run has created its tasks and ended its turn: the number that the first one has read is an old one."""
    ledger = ledger_on_each
    (request,) = _planned(ledger, clock, "run-1")
    ledger.take_turn(HOST, "me")
    clock.sleep(SUSPENDED)
    ledger.keep_turn(HOST, "me")  # late, but nobody else came
    clock.sleep(SUSPENDED)
    assert ledger.take_turn(HOST, "other")
    ledger.end_turn(HOST, "other")

    with pytest.raises(TurnLost):
        ledger.keep_turn(HOST, "me")
    with pytest.raises(TurnLost):
        ledger.begin_task_request(request.id, "me", 0)
    ledger.take_turn(HOST, "me")
    ledger.begin_task_request(request.id, "me", 0)


def test_tasks_that_others_create_after_the_turn_was_lost_are_not_taken_for_lost_ones(phones: Phones) -> None:
    """The same warm-up by another run, which has not recorded it yet."""
    phones.plan(WarmUpForm(devices=SERIALS[:1]))
    (request,) = phones.task_requests()
    phones.begin(request)
    phones.clock.sleep(MINUTE)

    def create_in_its_turn() -> None:
        phones.clock.now += SUSPENDED
        phones.ledger.take_turn(HOST, "another")
        phones.client.create_task(request.script, request.config, serials=request.serials)

    with _meddling(phones, "GET", create_in_its_turn) as hanging, pytest.raises(TurnLost):
        phones.settle_lost(hanging)

    assert (phones.task_requests()[0].state, phones.states()) == (RequestState.SENDING, [])


def test_a_lost_answer_after_a_lost_turn_is_looked_for_later(phones: Phones) -> None:
    """The run says what is open, and does not say that nothing was sent."""
    phones.plan(comment())
    phones.sandbox.order_fault("drop_after", "POST", "/api/v1/task")

    def suspend_and_take_the_turn(seconds: float) -> None:
        phones.clock.now += SUSPENDED
        phones.ledger.take_turn(HOST, "another")
        phones.clock.on_sleep = lambda seconds: None

    phones.clock.on_sleep = suspend_and_take_the_turn
    phones.create()
    after = phones.task_requests()[0]
    phones.clock.sleep(MINUTE)
    phones.settle_lost()

    assert (after.state, "was lost" in after.reason) == (RequestState.SENDING, True)
    assert (phones.task_requests()[0].state, len(phones.there)) == (RequestState.CREATED, 4)


# Two runs that look after the same tasks


def test_two_runs_that_watch_a_failed_task_retry_it_once(phones: Phones) -> None:
    """Each has seen the same failure. What one of them records later does not undo the count."""
    phones.sandbox.fail_next(script_name="follow", reason="account banned")
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.watch(seconds=30, retries=1)
    ids = [request.id for request in phones.task_requests()]
    (record,) = phones.ledger.task_records(ids)

    counted = [phones.ledger.count_retry(record) for _ in range(2)]
    phones.ledger.record_tasks([record._replace(task=record.task.model_copy(update={"remark": "seen before"}))])

    (after,) = phones.ledger.phone_tasks(ids)
    assert (record.task.state, counted) == (TaskState.RETRYING, [True, False])
    assert (after.remark, after.retried_by_us) == ("seen before", 1)


def test_a_task_that_another_run_has_seen_complete_counts_though_it_is_cancelled(phones: Phones) -> None:
    form = comment(devices=SERIALS[:1], post_urls=URLS[:1])
    phones.sandbox.world.realtime = True
    phones.plan(form)
    phones.create()
    requests = phones.task_requests()

    def see_it_complete() -> None:
        (record,) = phones.ledger.task_records([requests[0].id])
        done = record.task.model_copy(update={"state": TaskState.COMPLETED})
        phones.ledger.record_tasks([record._replace(task=done)])

    with _meddling(phones, "DELETE", see_it_complete) as client:
        done = cleanup.cancel_phone_tasks(client, phones.ledger, requests)

    assert (done.cancelled, len(done.finished)) == ([], 1)
    assert phones.plan(form, "run-2").task_count == 0


def test_the_finisher_stops_when_the_run_is_started_again(phones: Phones) -> None:
    """It hangs while it cancels the first request; the second one's tasks are the run's own again by then."""
    phones.sandbox.world.realtime = True
    phones.plan(comment(devices=SERIALS[:1], post_urls=URLS[:1]))
    phones.create()
    phones.clock.sleep(1)
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    first, second = phones.task_requests()
    phones.clock.sleep(MINUTE)

    def suspend_and_start_again() -> None:
        phones.clock.now += SUSPENDED
        assert phones.ledger.take_task_requests([second.id], "again") == {second.id}

    with _meddling(phones, "DELETE", suspend_and_start_again) as client:
        done = cleanup.finish_phone_tasks(
            client, phones.ledger, HOST, run_has_ended=lambda run: True,
            settings=watching.WatchSettings(0), sleep=phones.clock.sleep,
        )  # fmt: skip

    assert len(done.cancelled) == 1
    assert [task["script_name"] for task in phones.there] == [second.script]
    assert first.script != second.script


def _planned(ledger: Ledger, clock: Clock, flow_run: str) -> list[TaskRequest]:
    """A plan of a run by "me"."""
    request = make_request(follow(), RAILS)
    ledger.plan_tasks(
        request, lambda history: make_plan(request, RAILS, history, datetime.fromtimestamp(clock(), UTC)),
        since=0, host=HOST, owner="me", flow_run=flow_run,
    )  # fmt: skip
    return ledger.task_requests(flow_run=flow_run)
