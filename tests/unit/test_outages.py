"""A ledger that is away for a moment, at each step of a post: it is waited for."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.clock import Clock, RealClock
from support.outage import Outage

from reelflow.errors import InputError, LedgerUnavailable
from reelflow.ledger import Ledger
from reelflow.posts.sending import send_post
from reelflow.posts.watching import watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest

Post = Callable[..., PostRequest]
AWAY = 1.1
"""Seconds; as long as a PostgreSQL takes to restart."""


@pytest.fixture
def ledger(outage: Outage) -> Iterator[Ledger]:
    """On PostgreSQL, reached through the outage, with the patience of a run."""
    found = Ledger(outage.url, patience=30)
    found.engine()
    yield found
    found.close()


def _go_away(outage: Outage) -> None:
    outage.cut()
    threading.Timer(AWAY, outage.restore).start()


class Cut(Ledger):
    """A ledger that goes away just before one of the steps of a send."""

    def __init__(self, ledger: Ledger, step: str, outage: Outage) -> None:
        super().__init__(ledger.url.render_as_string(hide_password=False), patience=30)
        self._step, self._outage = step, outage

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "__dict__").get("_step"):
            self._step = ""
            _go_away(self._outage)
        return super().__getattribute__(name)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("step", ["claim", "take_request", "begin", "seal", "accepted", "finish_request"])
def test_a_ledger_away_for_a_second_fails_no_post(
    sandbox: Any, outage: Outage, ledger: Ledger, checked: Post, step: str
) -> None:
    """Before each step of a send: one post, known to be accepted."""
    away = Cut(ledger, step, outage)
    taisly, post = sandbox.rate_limited(away, RealClock()), checked()

    send_post(taisly, post)
    watch_posts(taisly, None, seconds=60, first_pause=0.1)

    away.close()
    assert {o.state for o, _ in ledger.outcomes(post, service=taisly.service)} == {PostState.SUCCESS}
    assert len(sandbox.posts) == 1


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_connection_is_waited_for_while_other_threads_have_them_all(ledger: Ledger) -> None:
    """As they do where the server hangs: theirs do not come back for a while."""
    pool: Any = ledger.engine().pool
    pool._timeout = 0.2  # in place of half a minute
    with ExitStack() as others:
        for _ in range(pool.size() + pool._max_overflow):
            others.enter_context(ledger.reading())
        threading.Timer(1, others.pop_all().close).start()

        assert ledger.runs_alive() == set()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_ledger_that_stays_away_is_given_up_after_its_patience(outage: Outage, ledger: Ledger, clock: Clock) -> None:
    """With one clear sentence; a wrong name or password is not waited for."""
    address = ledger.url.render_as_string(hide_password=False)
    wrong = Ledger(address.replace("reelflow@", "nobody@"), patience=60, sleep=clock.sleep)
    with pytest.raises(LedgerUnavailable):
        wrong.runs_alive()
    assert clock.slept == []
    outage.cut()
    away = Ledger(address, patience=60, sleep=clock.sleep)

    with pytest.raises(LedgerUnavailable, match="cannot be used"):
        away.runs_alive()

    assert 59 < clock.passed <= 61


def test_a_ledger_that_cannot_be_one_is_refused_at_once(clock: Clock) -> None:
    with pytest.raises(InputError):
        Ledger("mysql://somewhere/else", patience=60, sleep=clock.sleep).runs_alive()
    assert clock.slept == []
