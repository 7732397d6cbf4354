"""Heartbeats of a run, in their own thread while the body works."""

import threading

import pytest

from reelflow.errors import ClaimLost, LedgerUnavailable
from reelflow.heartbeat import heartbeat

EVERY = 0.005
PATIENCE = 10.0
"""Seconds for a beat to come on a machine under load."""


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "reelflow-heartbeat"]


def test_it_beats_as_long_as_the_body_runs() -> None:
    beats = threading.Semaphore(0)

    with heartbeat(beats.release, EVERY):
        assert all(beats.acquire(timeout=PATIENCE) for _ in range(3))

    assert _threads() == []


def test_a_ledger_that_cannot_be_used_is_logged_and_tried_again(engine_log: pytest.LogCaptureFixture) -> None:
    beats = threading.Semaphore(0)

    def renew() -> None:
        beats.release()
        raise LedgerUnavailable("disk is full")

    with heartbeat(renew, EVERY):
        assert all(beats.acquire(timeout=PATIENCE) for _ in range(2))

    assert "The heartbeat could not be recorded: disk is full" in engine_log.text


def test_it_stops_once_another_run_has_taken_over() -> None:
    beats: list[int] = []

    def renew() -> None:
        beats.append(1)
        raise ClaimLost("Another run has taken over.")

    with heartbeat(renew, EVERY):
        for thread in _threads():
            thread.join(PATIENCE)
        assert _threads() == []

    assert len(beats) == 1
