"""What the calls of the ledger are tried with: a filled ledger, and fresh posts and phone tasks beside its history."""

from __future__ import annotations

import hashlib
import itertools
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.ledger_rows import ACCOUNTS, NOW, SERVICE, TO, Asked, Sent, fill
from reelflow.ledger import Ledger
from reelflow.records.alarms import Alarm
from reelflow.records.engagements import EngagedPost, NewEngagement
from reelflow.records.phone_states import RequestState
from reelflow.records.phones import PhoneActor, PhoneHistory, PhonePlan, PhoneRequest, PlanPart, TaskRequest, TaskResult
from reelflow.records.posts import Account, Outcome, PostRequest, Video

OWNER = "o" * 32
HOST = "host-0"


class World:
    """A ledger with a history of so many destinations and phone tasks."""

    def __init__(self, url: str, size: int) -> None:
        self.size, self.ledger, self._numbers = size, Ledger(url, clock=lambda: NOW), itertools.count(1)
        fill(self.ledger, size)
        self._database: Path | None = None
        if self.ledger.engine().dialect.name == "sqlite":  # no wait for a disk
            raw = self.ledger.engine().raw_connection()
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raw.cursor().execute("PRAGMA synchronous = OFF")
            raw.close()
            return
        with self.ledger.reading() as connection:
            process = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        self._database = Path(f"/proc/{process}/schedstat")

    def seconds(self) -> float:
        """CPU time until now, of this thread and the server's process for it; or the time, if nothing tells that."""
        if self._database is None:
            return time.thread_time()
        if not self._database.exists():
            return time.perf_counter()
        return time.thread_time() + int(self._database.read_text().split()[0]) / 1e9

    def new(self) -> int:
        """A number that was not used before."""
        return next(self._numbers)

    def sent(self) -> Sent:
        """Some post that succeeded: its state, its run and its day are the same however large the ledger is."""
        return Sent(14 + 100 * (self.new() % 2))

    def post(self) -> PostRequest:
        """A new post; its video is as long as some that were sent on the last day."""
        number = self.new()
        sha256 = hashlib.sha256(f"new {number}".encode()).hexdigest()
        pictures = tuple(random.Random(number).getrandbits(256) for _ in range(4))  # noqa: S311 - not secrets
        return _post(sha256, f"new {number}", Sent(number).duration, pictures, number)

    def old_post(self) -> PostRequest:
        """A post that was sent."""
        sent = self.sent()
        return _post(sent.sha256, sent.caption, sent.duration, (), sent.number)

    def claimed(self) -> str:
        """A send that is this attempt's."""
        return self.ledger.claim(self.post(), service=SERVICE, owner=OWNER, flow_run=f"run-{self.new()}").send_id or ""

    def begun(self) -> str:
        """One whose upload has begun."""
        send = self.claimed()
        self.ledger.begin(send, OWNER)
        return send

    def sealed(self) -> str:
        """One that may be out."""
        send = self.begun()
        self.ledger.seal(send, OWNER)
        return send

    def accepted(self) -> tuple[str, list[Outcome]]:
        """One that Taisly has, and its outcomes until now."""
        send = self.sealed()
        self.ledger.accepted(send, f"new-history-{self.new()}")
        return send, self.ledger.sends([send])[0][1]

    def alarm(self) -> Alarm:
        """A new alarm."""
        number = self.new()
        return Alarm(f"new {number}", "post", "FAILED", "a.mp4", "TikTok @a", "no", "post FAILED: no", f"run-{number}")

    def engagement(self) -> NewEngagement:
        """What phones do for a new post."""
        post = self.post()
        about = EngagedPost.of(post, SERVICE)
        return NewEngagement(about, tuple(a.id for a in post.accounts), {"n": self.new()}, "a.mp4", due=NOW + 1e6)

    def taken_engagement(self) -> str:
        """One that is this attempt's."""
        return self.ledger.ask_for_engagement(self.engagement(), flow_run=f"run-{self.new()}", owner=OWNER).id

    def phone_request(self, *, script: str = "follow") -> PhoneRequest:
        """Two accounts follow five users whom they do not follow yet, and one whom they do."""
        number = self.new()
        actors = tuple(PhoneActor(f"PHONE{n}", f"user.{n}", (f"TikTok user.{n}",)) for n in range(2))
        new = {f"new.{number}.{n}": f"New.{number}.{n}" for n in range(5)}
        targets = {**new, Asked(10).targets[0][0]: Asked(10).targets[0][1]}
        return PhoneRequest(script, "follow", "TikTok", actors, targets, target_field="target_users")

    def plan(self, request: PhoneRequest, engagement: str | None = None) -> PhonePlan:
        """Plan it."""
        return self.ledger.plan_tasks(
            request, decide(request), since=NOW - 3600, host=HOST, owner=OWNER, flow_run=f"run-{self.new()}",
            engagement=engagement,
        )  # fmt: skip

    def planned(self) -> str:
        """A request for phone tasks that is this attempt's."""
        return self.plan(self.phone_request()).request_ids[0]

    def sending(self) -> str:
        """One that has left."""
        request = self.planned()
        self.ledger.take_turn(HOST, OWNER)
        self.ledger.begin_task_request(request, OWNER, self.highest)
        return request

    @property
    def highest(self) -> int:
        """The highest number of the tasks on `HOST` before the new ones."""
        return self.size // 2

    def tasks(self) -> list[TaskResult]:
        """Ten new ones."""
        first = self.highest + 1000 + 10 * self.new()
        return [TaskResult(task_id=first + n, serial="PHONE0", username="user.0", target=f"n{n}") for n in range(10)]

    def created(self) -> tuple[str, list[TaskResult]]:
        """A request that has created tasks."""
        request, tasks = self.sending(), self.tasks()
        self.ledger.tasks_created(request, tasks)
        return request, tasks

    def lost(self) -> TaskRequest:
        """The request of the history whose answer was lost."""
        (found,) = self.ledger.task_requests(ids=[Asked(1).id])
        assert found.state is RequestState.SENDING  # noqa: S101 - the history has it
        return found


def decide(request: PhoneRequest) -> Callable[[PhoneHistory], PhonePlan]:
    """A plan of everything that was not done before."""

    def plan(history: PhoneHistory) -> PhonePlan:
        done = {target for _, target in history.done}
        left = tuple((key, text) for key, text in request.targets.items() if key not in done)
        return PhonePlan((PlanPart(request.actors, left),), ())

    return plan


def _post(sha256: str, caption: str, duration: float, pictures: tuple[int, ...], number: int) -> PostRequest:
    video = Video(
        path=Path("clip.mp4"), sha256=sha256, size_bytes=1, modified_ns=1, width=540, height=960, duration=duration,
        pictures=pictures,
    )  # fmt: skip
    accounts = [Account(id=f"account-{(number * TO + n) % ACCOUNTS}", platform="TikTok") for n in range(TO)]
    return PostRequest(video=video, accounts=accounts, caption=caption, scheduled_for=None, preview_second=0)


Call = Callable[[World], Iterator[Any]]
"""One call of the ledger: prepared until its first `yield`, and measured from there to the next one, or its end."""
