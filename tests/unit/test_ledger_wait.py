"""Posts that wait for their ledger, without Prefect, a ledger or posts."""

import threading
from collections.abc import Callable

import pytest
from support.clock import Clock

from reelflow.campaigns.ledger_wait import PAUSES, WAIT_SECONDS, LedgerWait
from reelflow.errors import LedgerReplaced, LedgerUnavailable


def _away(times: int, then: Callable[[], str] = lambda: "done") -> Callable[[], str]:
    """A use of the ledger that fails so many times."""
    failures = iter([LedgerUnavailable("PostgreSQL is restarting.")] * times)

    def use_ledger() -> str:
        for failure in failures:
            raise failure
        return then()

    return use_ledger


def _nothing() -> None:
    """The check of a run that goes on."""


def test_the_log_says_once_for_each_outage_that_posts_wait(clock: Clock, engine_log: pytest.LogCaptureFixture) -> None:
    """However often a post tries, and whatever others that need not wait do meanwhile."""
    wait = LedgerWait(clock.sleep, _nothing)

    def others() -> str:
        return wait.during(lambda: "") + wait.during(_away(1, lambda: "both"))

    assert wait.during(_away(5, others)) == "both"
    assert len(engine_log.messages) == 1
    assert engine_log.messages[0].endswith("The reason: PostgreSQL is restarting.")
    wait.during(_away(1))
    assert len(engine_log.messages) == 2


def test_the_pauses_of_a_post_end(clock: Clock) -> None:
    """With the error of the last try."""
    wait = LedgerWait(clock.sleep, _nothing)

    assert wait.during(_away(PAUSES)) == "done"
    assert sum(clock.slept) == WAIT_SECONDS
    with pytest.raises(LedgerUnavailable):
        wait.during(_away(PAUSES + 1))


@pytest.mark.parametrize("before", [0, 3])
def test_a_replaced_ledger_is_not_waited_for(clock: Clock, before: int) -> None:
    """It does not come back, whether it is the first error or not."""

    def replaced() -> str:
        raise LedgerReplaced("Another ledger is used now.")

    with pytest.raises(LedgerReplaced):
        LedgerWait(clock.sleep, _nothing).during(_away(before, replaced))
    assert len(clock.slept) == before


def _passes(times: int) -> Callable[[], None]:
    """A check that passes so many times."""
    passes = iter([None] * times)

    def check() -> None:
        for _ in passes:
            return
        raise InterruptedError("The run was ended.")

    return check


@pytest.mark.parametrize(("checks", "pauses"), [(0, 0), (1, 1), (2, 1), (3, 2)])
def test_what_ends_the_run_ends_the_wait(clock: Clock, checks: int, pauses: int) -> None:
    """It is asked before and after each pause."""
    wait = LedgerWait(clock.sleep, _passes(checks))

    with pytest.raises(InterruptedError):
        wait.during(_away(PAUSES))
    assert len(clock.slept) == pauses


def test_many_posts_wait_at_once(clock: Clock) -> None:
    """Each has its own pauses."""
    wait, found = LedgerWait(clock.sleep, _nothing), list[str]()
    threads = [threading.Thread(target=lambda: found.append(wait.during(_away(PAUSES)))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (found, len(clock.slept)) == (["done"] * 8, 8 * PAUSES)
