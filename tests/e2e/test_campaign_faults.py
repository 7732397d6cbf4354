"""A campaign exactly once, each post in one slot, whatever breaks: real processes, real HTTP, killed and cut at random.

Short rounds in `make test`; `make soak` runs the long ones.
"""

import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import support
from support.clips import numbered
from support.rounds import SEED, rounds
from support.sandbox_process import SandboxProcess

from reelflow.ledger import Ledger
from reelflow.posts.cleanup import resolve_post, unconfirmed_sends
from reelflow.posts.form import ResolveForm
from reelflow.sandbox.faults import STATUSES

pytestmark = pytest.mark.slow
CAMPAIGNER = str(Path(support.__file__).parent / "campaigner.py")
VIDEOS = 12
HOURS = (9, 12, 15, 18)
ROUNDS = rounds(2, 25)
KILLS = rounds(4, 6)
"""In each round; then the campaign may end."""
TRIES = 40
"""Starts of a campaign within which it must be done."""
ANSWERS = 4
"""Rounds of answers of a person, who has to wait until a post that is missing at Taisly is unconfirmed."""
FAULTS = ("drop_before", "drop_after", "drop_mid_body", "status_before", "status_after", "garbage_after", "slow")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SandboxProcess]:
    box = SandboxProcess(tmp_path / "sandbox")
    box.start()
    yield box
    box.stop()


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos of which no two look alike."""
    clips, folder = tmp_path_factory.mktemp("clips"), tmp_path_factory.mktemp("week")
    for number in range(VIDEOS):
        os.link(numbered(clips, number), folder / f"{number:02}.mp4")
        (folder / f"{number:02}.txt").write_text(f"Video {number}", "utf-8")
    return folder


class Campaigners:
    """Processes that carry out the same campaign."""

    def __init__(self, place: Path, environment: dict[str, str], **config: Any) -> None:
        self._config, self._log = place / "campaign.json", place / "campaign.log"
        self._config.write_text(json.dumps(config))
        self._environment = environment

    def start(self) -> subprocess.Popen[str]:
        with self._log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, CAMPAIGNER, str(self._config)],
                env=self._environment, stdout=log, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self._log.read_text()


def _answer_for_the_person(runs: Campaigners, box: SandboxProcess, ledger: Ledger) -> int:
    """Look at Taisly for each post that nobody but a person can settle, and start again; how many there were.

    They are those that were killed right before their last piece: it may have left. A post that is neither at Taisly
    nor waiting for a person is lost, and stays lost here.
    """
    answers = 0
    for _ in range(ANSWERS):
        if sum(len(post["platforms"]) for post in box.posts) >= 2 * VIDEOS:
            break
        there = {(post["sha256"], account) for post in box.posts for account in post["platforms"]}
        for send, outcomes in unconfirmed_sends(ledger):
            assert there.isdisjoint((send.sha256, each.account.id) for each in outcomes), send
            resolve_post(ledger, send.id, ResolveForm(send_id=send.id, answer="not published"))
            answers += 1
        assert runs.start().wait(120) == 0, runs.log
    return answers


@pytest.mark.parametrize(
    ("round_number", "url"), [(n, ("sqlite", "postgresql")[n % 2]) for n in range(ROUNDS)], indirect=["url"]
)
def test_each_video_is_scheduled_once_in_a_slot_of_its_own(
    round_number: int, box: SandboxProcess, week: Path, tmp_path: Path, url: str
) -> None:
    """Two runs of one campaign at once, killed again and again, with faults of the service; then left alone."""
    chance = random.Random(f"{SEED} {round_number}")
    environment = {**os.environ, "REELFLOW_LEDGER_URL": url, "REELFLOW_LEASE_SECONDS": "1.0"}
    runs = Campaigners(
        tmp_path, environment, url=box.url, ledger=url, folder=str(week), grace=3,
        accounts=["Instagram", "YouTube"],
        slots=[f"all: daily {', '.join(f'{hour}:00' for hour in HOURS)}"],
    )  # fmt: skip

    box.order_fault("slow", "POST", "/api/private/post", seconds=0.6, times=None)  # so that kills find it at work
    begun = list[int]()
    for _ in range(KILLS):
        for _ in range(chance.randint(0, 2)):
            box.order_fault(
                chance.choice(FAULTS), "POST", "/api/private/post",
                status=chance.choice(STATUSES), seconds=0.2, after=chance.randint(0, 3),
            )  # fmt: skip
        both = [runs.start() for _ in range(chance.randint(1, 2))]
        time.sleep(chance.uniform(1.8, 4.0))
        for process in both:
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        begun.append(len(box.posts))
    box.clear_faults()
    tries = 0
    while runs.start().wait(120) != 0:
        tries += 1
        assert tries < TRIES, runs.log
    last = runs.start().wait(120)
    with contextlib.closing(Ledger(url)) as ledger:
        answers = _answer_for_the_person(runs, box, ledger)

    posts = box.posts
    destinations = collections.Counter((post["sha256"], account) for post in posts for account in post["platforms"])
    slots = collections.Counter((post["scheduled"], account) for post in posts for account in post["platforms"])
    local = [
        datetime.fromtimestamp(post["scheduled"] / 1000, UTC).astimezone(ZoneInfo("Europe/Berlin")) for post in posts
    ]
    print(
        f"{len(posts)} posts of {VIDEOS} videos, {tries} more tries, {answers} left to a person, {begun} at the kills",
        flush=True,
    )
    assert last == 0
    assert len(destinations) == 2 * VIDEOS, runs.log
    assert set(destinations.values()) == {1}, runs.log
    assert set(slots.values()) == {1}, runs.log
    assert {moment.hour for moment in local} <= set(HOURS)
    assert {(moment.minute, moment.second) for moment in local} == {(0, 0)}
