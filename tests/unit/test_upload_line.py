"""The line of uploads of one machine: in order, a few at once, and nothing that a killed process leaves holds it up."""

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clock import Clock
from support.quota import take
from support.waiting import until

from reelflow.errors import Busy, InputError
from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.sending import send_post
from reelflow.posts.upload_line import (
    AT_ONCE,
    STOPPED_SECONDS,
    STUCK_SECONDS,
    UploadLine,
    default_folder,
    uploads_at_once,
)
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest

HOLD = """
import sys, time
from pathlib import Path
from reelflow.posts.upload_line import UploadLine
with UploadLine(float(sys.argv[2]), folder=Path(sys.argv[1])).turn():
    print("has its turn", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def _process(folder: Path, since: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    """A process that has a turn, or waits for one."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), str(since)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def _has_its_turn(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "has its turn\n"


def _waiting(folder: Path) -> int:
    return len(list((folder / "waiting").iterdir()))


class Uploads:
    """Uploads in threads, each of which ends when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun: list[float] = []
        self.free = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def add(self, since: float) -> None:
        """One more, which waits in the line when this returns, or has its turn."""
        before = len(self.begun) + _waiting(self.folder) if (self.folder / "waiting").exists() else 0
        self._threads.append(threading.Thread(target=self._upload, args=(since,)))
        self._threads[-1].start()
        until("its place in the line", lambda: len(self.begun) + _waiting(self.folder) > before)

    def _upload(self, since: float) -> None:
        with UploadLine(since, folder=self.folder).turn():
            self.begun.append(since)
            assert self.free.acquire(timeout=60)

    def end(self) -> None:
        for _ in self._threads:
            self.free.release()
        for thread in self._threads:
            thread.join(60)


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[Uploads]:
    (tmp_path / "line" / "waiting").mkdir(parents=True)
    found = Uploads(tmp_path / "line")
    yield found
    found.end()


def test_a_few_are_uploaded_at_once_and_the_others_in_the_order_of_submission(uploads: Uploads) -> None:
    """However they came to ask."""
    for since in (1.0, 2.0, 3.0, 4.0, 70.0, 50.0, 60.0):
        uploads.add(since)
    at_first = list(uploads.begun)

    for number in range(3):
        uploads.free.release()
        until("the next upload", lambda number=number: len(uploads.begun) == AT_ONCE + number + 1)  # type: ignore[misc]

    assert at_first == [1.0, 2.0, 3.0, 4.0]
    assert uploads.begun[AT_ONCE:] == [50.0, 60.0, 70.0]
    assert _waiting(uploads.folder) == 0


def test_other_processes_count(uploads: Uploads, tmp_path: Path) -> None:
    """Of any run; one that is killed leaves its turn, and its place in the line, to the next."""
    with contextlib.ExitStack() as processes:
        busy = [processes.enter_context(_process(uploads.folder)) for _ in range(AT_ONCE)]
        assert all(map(_has_its_turn, busy))
        first = processes.enter_context(_process(uploads.folder, 1.0))
        until("its place in the line", lambda: _waiting(uploads.folder) == 1)
        uploads.add(2.0)
        waited = not uploads.begun

        first.kill()
        first.wait(20)
        busy[0].kill()
        until("our upload", lambda: uploads.begun)

    assert waited


def test_uploads_that_are_stuck_hold_up_nobody_for_ever(
    uploads: Uploads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that was stopped keeps its turn; after half an hour without a move one begins beside it."""
    with contextlib.ExitStack() as processes:
        busy = [processes.enter_context(_process(uploads.folder)) for _ in range(AT_ONCE)]
        assert all(map(_has_its_turn, busy))
        for turn in uploads.folder.glob("turn-*"):
            os.utime(turn, (turn.stat().st_atime, turn.stat().st_mtime - STUCK_SECONDS - 1))

        with caplog.at_level(logging.WARNING, logger="reelflow"):
            uploads.add(1.0)
            until("an upload beside them", lambda: uploads.begun)
        uploads.add(2.0)

    assert "have not moved on for long" in caplog.text
    assert uploads.begun[0] == 1.0


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_is_stopped_in_the_line_holds_up_nobody(uploads: Uploads) -> None:
    """As by Ctrl-Z, or a debugger: it has not looked for a minute, and those behind it go first."""
    with contextlib.ExitStack() as processes:
        busy = [processes.enter_context(_process(uploads.folder)) for _ in range(AT_ONCE)]
        assert all(map(_has_its_turn, busy))
        first = processes.enter_context(_process(uploads.folder, 1.0))
        until("its place in the line", lambda: _waiting(uploads.folder) == 1)
        (place,) = (uploads.folder / "waiting").iterdir()
        made = place.stat().st_mtime
        until("its second look", lambda: place.stat().st_mtime > made)
        first.send_signal(signal.SIGSTOP)
        os.utime(place, (0, place.stat().st_mtime - STOPPED_SECONDS))
        uploads.add(2.0)

        busy[0].kill()
        until("our upload", lambda: uploads.begun)


def test_each_machine_has_a_line_of_its_own() -> None:
    """Also where the user's folder is on a drive that several of them use."""
    assert default_folder().name == re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())


def test_a_folder_that_cannot_be_written_means_no_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Uploads begin at once, and one line says so."""
    (tmp_path / "file").write_text("not a folder")
    line = UploadLine(folder=tmp_path / "file")

    with caplog.at_level(logging.INFO, logger="reelflow"), line.turn(), line.turn():
        pass

    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"Uploads of this machine are not counted, since {tmp_path / 'file'} cannot be used"
    ]


@pytest.mark.parametrize("given", ["0", "65", "-1", "four", "2.5", "٣", "9" * 30])
def test_a_number_of_uploads_that_makes_no_sense_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it is, and what it may be."""
    monkeypatch.setenv("REELFLOW_UPLOADS_AT_ONCE", given)

    with pytest.raises(InputError, match=r"REELFLOW_UPLOADS_AT_ONCE is .* whole number from 1 to 64"):
        UploadLine()


@pytest.mark.parametrize(("given", "number"), [("1", 1), (" 12 ", 12), ("", AT_ONCE)])
def test_the_environment_of_a_machine_sets_the_number(given: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the worker, or of the process that serves."""
    monkeypatch.setenv("REELFLOW_UPLOADS_AT_ONCE", given)

    assert uploads_at_once() == number


def test_a_post_waits_for_its_turn_as_one_of_which_nothing_was_sent(
    taisly: RateLimitedTaisly, ledger: Ledger, checked: Callable[..., PostRequest], clock: Clock, sandbox: Any
) -> None:
    """It keeps its claim, with heartbeats, and loses none of its patience; a crash then leaves it to be sent."""
    ledger.lease_seconds = 0.3
    seen = list[PostState]()

    @contextlib.contextmanager
    def turn() -> Iterator[None]:
        for _ in range(4):
            threading.Event().wait(0.2)
            seen.extend(o.state for state in PostState for _, found in ledger.find(state=state) for o in found)
            assert ledger.claim(checked(), service=taisly.service, owner="another", flow_run=None).waiting
        yield

    result = send_post(taisly, checked(), patience=0.5, turn=turn)

    assert set(seen) == {PostState.CLAIMED}
    assert (result.sent_now, len(sandbox.posts)) == (True, 1)


def test_room_that_was_lost_in_the_line_is_asked_for_again(
    taisly: RateLimitedTaisly, ledger: Ledger, checked: Callable[..., PostRequest], clock: Clock, sandbox: Any
) -> None:
    """The key began to rest meanwhile: nothing is sent before it has rested, and others have the turn until then."""
    turns = list[float]()

    @contextlib.contextmanager
    def turn() -> Iterator[None]:
        turns.append(clock.passed)
        if len(turns) == 1:
            clock.sleep(1200)
            ledger.block_key(taisly.key, 300)
        yield

    send_post(taisly, checked(), patience=600, turn=turn)

    assert turns[0] == 0
    assert turns[1] >= 1500
    assert len(turns) == 2
    assert sandbox.requests("POST /api/private/post") == 1
    assert ledger.requests_in_last_hour(taisly.key) == 1


def test_room_counts_from_when_the_upload_begins(
    taisly: RateLimitedTaisly, ledger: Ledger, checked: Callable[..., PostRequest], clock: Clock, sandbox: Any
) -> None:
    """However long it waited: after an hour others have the room, and it is not used beside theirs."""
    counted = list[int]()

    @contextlib.contextmanager
    def turn() -> Iterator[None]:
        clock.sleep(3000)
        yield

    def upload(part: PostRequest) -> None:
        clock.sleep(3000)
        counted.append(ledger.requests_in_last_hour(taisly.key))

    send_post(taisly, checked(), patience=600, turn=turn, before_upload=upload)

    assert counted == [1]


def test_room_that_others_have_after_an_hour_is_waited_for(
    ledger: Ledger, checked: Callable[..., PostRequest], clock: Clock, sandbox: Any
) -> None:
    """The plan's requests of this hour are used up by the time of our turn."""
    taisly, waits = sandbox.rate_limited(ledger, clock, plan="STARTER"), [3700.0]

    @contextlib.contextmanager
    def turn() -> Iterator[None]:
        if waits:
            clock.sleep(waits.pop())
            for _ in range(taisly.per_hour):
                take(ledger, taisly.key, taisly.per_hour)
        yield

    with pytest.raises(Busy, match=r"used up.*Nothing was sent"):
        send_post(taisly, checked(), patience=600, turn=turn)

    assert sandbox.requests("POST /api/private/post") == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_is_ended_while_it_waits_leaves_the_line(uploads: Uploads) -> None:
    """As a run that is cancelled."""
    with contextlib.ExitStack() as processes:
        busy = [processes.enter_context(_process(uploads.folder)) for _ in range(AT_ONCE)]
        assert all(map(_has_its_turn, busy))
        waiting = processes.enter_context(_process(uploads.folder, 1.0))
        until("its place in the line", lambda: _waiting(uploads.folder) == 1)

        waiting.send_signal(signal.SIGINT)
        waiting.wait(20)

    assert _waiting(uploads.folder) == 0
