"""Time that runs out."""

import time

from support.clock import Clock

from reelflow.countdown import Countdown


def test_what_is_slept_counts_although_it_took_no_time(clock: Clock) -> None:
    """Never beyond the end."""
    waiting = Countdown(10, clock.sleep)

    waiting.sleep(7)
    waiting.sleep(7)

    assert clock.slept[0] == 7
    assert 2.5 < clock.slept[1] <= 3
    assert waiting.left == 0


def test_time_with_a_limit_of_its_own_does_not_count(clock: Clock) -> None:
    """Such as the wait for a turn."""
    waiting = Countdown(0.5, clock.sleep)

    with waiting.stopped():
        time.sleep(0.6)

    assert 0.3 < waiting.left <= 0.5
