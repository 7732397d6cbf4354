"""How long phones are waited for: by time that passes, not by the time of day, and as long as TikMatrix asks."""

import httpx
import pytest
from support.phones import HOST, SERIALS, Phones, comment, follow

from reelflow.errors import NothingSent
from reelflow.records.phone_states import RequestState
from reelflow.tikmatrix import TikMatrixClient
from reelflow.transport import LONGEST_WAIT

HOURS = 3600.0


def _set_clock_once(phones: Phones, by: float) -> None:
    """At the first pause, somebody sets the clock of this machine."""

    def jump(seconds: float) -> None:
        phones.clock.now += by
        phones.clock.on_sleep = lambda seconds: None

    phones.clock.on_sleep = jump


@pytest.mark.parametrize("by", [-2 * HOURS, 2 * HOURS])
def test_a_watch_lasts_as_long_as_asked_though_the_clock_is_set(phones: Phones, by: float) -> None:
    """Two hours back or forward: ten minutes are watched, no more and no less."""
    phones.sandbox.world.realtime = True  # nothing finishes within this test
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.clock.slept.clear()
    _set_clock_once(phones, by)

    phones.watch(seconds=600)

    assert sum(phones.clock.slept) == pytest.approx(600, abs=5)
    assert phones.states() == ["RUNNING"]


@pytest.mark.parametrize("by", [-2 * HOURS, 2 * HOURS])
def test_the_turn_is_waited_for_as_long_as_asked_though_the_clock_is_set(phones: Phones, by: float) -> None:
    phones.plan(comment())
    phones.ledger.lease_seconds = 1e6
    phones.ledger.take_turn(HOST, "somebody else")
    _set_clock_once(phones, by)

    with pytest.raises(NothingSent, match="Another run is creating tasks"):
        phones.create(patience=60)

    assert sum(phones.clock.slept) == pytest.approx(60, abs=2)


def test_a_failure_seen_before_the_clock_was_set_back_becomes_final(phones: Phones) -> None:
    """It counts from the next look, and not from a time that has yet to come."""
    phones.sandbox.world.auto_retry = 0
    phones.sandbox.fail_next(script_name="follow", reason="account banned")
    phones.plan(follow(devices=SERIALS[:1], users=["one"]))
    phones.create()
    phones.watch(seconds=30)
    seen = phones.states()

    phones.clock.now -= 2 * HOURS
    phones.watch(seconds=600)

    assert (seen, phones.states()) == (["RETRYING"], ["FAILED"])


def _busy(times: int, retry_after: float) -> tuple[TikMatrixClient, list[httpx.Request]]:
    """A TikMatrix that is busy `times` times."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"code": 0, "data": {"total": 0, "list": []}})
        asked.append(request)
        if len(asked) <= times:
            return httpx.Response(429, json={"code": 42900, "message": "RATE_LIMIT", "retryAfter": retry_after})
        return httpx.Response(200, json={"code": 0, "data": {"task_ids": [1, 2, 3, 4], "created_count": 4}})

    return TikMatrixClient("http://localhost:1/api/v1", transport=httpx.MockTransport(answer)), asked


@pytest.mark.parametrize(
    ("asked_for", "patience", "waited"),
    [(0, 120, 1), (30, 120, 30), (119, 120, 119), (1e9, 2 * LONGEST_WAIT, LONGEST_WAIT)],
    ids=["no wait", "as asked", "all the patience", "an hour at most"],
)
def test_the_wait_that_tikmatrix_asks_for_is_respected(
    phones: Phones, asked_for: float, patience: float, waited: float
) -> None:
    """After a 429 the request is sent again when TikMatrix said, and not before."""
    phones.client, asked = _busy(1, asked_for)
    phones.plan(comment())

    phones.create(patience=patience)

    assert phones.clock.slept == [waited]
    assert (len(asked), phones.task_requests()[0].state) == (2, RequestState.CREATED)


def test_a_wait_beyond_the_patience_ends_the_run_at_once(phones: Phones) -> None:
    """Sending earlier than TikMatrix asked would be refused again; nothing was sent, and the run says so."""
    phones.client, asked = _busy(9, 600)
    phones.plan(comment())

    with pytest.raises(NothingSent, match=r"retry in 10 minutes.* it is safe to start the run again"):
        phones.create(patience=120)

    assert (len(asked), phones.clock.slept) == (1, [])
    assert phones.task_requests()[0].state is RequestState.PLANNED


def test_all_waits_for_tikmatrix_together_are_within_the_patience(phones: Phones) -> None:
    phones.client, asked = _busy(9, 50)
    phones.plan(comment())

    with pytest.raises(NothingSent):
        phones.create(patience=120)

    assert (len(asked), phones.clock.slept) == (3, [50, 50])
