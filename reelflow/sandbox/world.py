"""What the sandbox knows: accounts, posts, phones, phone tasks, and how they change.

Everything advances by being read, so that a test is exact and instant: a post or a phone task needs a few reads
to finish. With `realtime` it takes seconds instead. Chance comes from the seed alone.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

API_KEY = "taisly_sandbox"
FREE_KEY = "taisly_free"
"""A key as an account on the FREE plan would have it, if that plan had keys: always answered with 403."""
REQUESTS_PER_HOUR = {"STARTER": 50, "INFLUENCER": 200, "PRO": 1000}
DEVICE_LIMIT = {"Starter": 3, "Pro": 20, "Team": 50, "Business": 100}
HOUR = 3600.0
READS_TO_FINISH = (1, 3)
SECONDS_TO_FINISH = (4.0, 15.0)
RETRY_AFTER_READS = 3
RETRY_AFTER_SECONDS = (5.0, 60.0)
PENDING, RUNNING, COMPLETED, FAILED = range(4)

ACCOUNTS = [
    {"id": "64f1c0de00000000000000a1", "platform": "TikTok", "displayName": "@mara.bakes"},
    {"id": "64f1c0de00000000000000a2", "platform": "TikTok", "displayName": "@mara.behind.the.oven"},
    {"id": "64f1c0de00000000000000b1", "platform": "Instagram", "displayName": "mara.bakes"},
    {"id": "64f1c0de00000000000000c1", "platform": "YouTube", "displayName": "Mara Bakes"},
    {"id": "64f1c0de00000000000000d1", "platform": "X", "displayName": "@marabakes"},
    {"id": "64f1c0de00000000000000e1", "platform": "Facebook", "displayName": "Mara Bakes"},
]
_LINKS = {
    "TikTok": "https://www.tiktok.com/@mara.bakes/video/{}",
    "Instagram": "https://www.instagram.com/reel/{}/",
    "YouTube": "https://www.youtube.com/shorts/{}",
    "X": "https://x.com/marabakes/status/{}",
    "Facebook": "https://www.facebook.com/reel/{}",
}
_NAMES = ["ada", "ben", "cleo", "dan", "eva", "finn", "gia", "hugo", "ida", "jon", "kim", "lea",
          "max", "nia", "ole", "pia", "quin", "rosa", "sam", "tess"]  # fmt: skip
DEVICES = {f"R58N{i:02d}SANDBOX": [f"{name}.daily", f"{name}.studio"] for i, name in enumerate(_NAMES, 1)}
"""Twenty phones, as many as the licence Pro runs at once, with two usernames each."""
PHONES = [f"{serial}: {', '.join(users)}" for serial, users in DEVICES.items()]
"""The same, as an owner lists them."""


@dataclass
class Destination:
    """One platform of one post."""

    account: str
    platform: str
    reads_left: int
    ready_at: float
    status: str = "PENDING"
    reason: str | None = None
    fails_with: str | None = None
    link: str | None = None


@dataclass
class Post:
    """One post. Times are Unix milliseconds, as Taisly writes them."""

    id: str
    sha256: str
    file: str
    caption: str
    preview: float
    created: int
    scheduled: int | None
    destinations: list[Destination]
    repost_of: str | None = None
    reposted: bool = False


@dataclass
class PhoneTask:
    """One script on one phone."""

    id: int
    script_name: str
    script_args: dict[str, Any]
    serial: str
    steps_left: int
    seconds: float
    status: int = PENDING
    remark: str = ""
    source: str = "api"
    retry_count: int = 0
    created: float = 0.0
    start_time: str | None = None
    end_time: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    retry_in: float = 0.0
    reads_since_failure: int = 0
    fails_with: str | None = None
    failures_left: int = 0


@dataclass
class Data:
    """Everything that a reset forgets and a kept folder remembers."""

    keys: list[str] = field(default_factory=lambda: [API_KEY])
    posts: list[Post] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)
    phone_tasks: list[PhoneTask] = field(default_factory=list)
    counter: int = 0
    task_counter: int = 0
    asked_at: list[float] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    fail_next: list[dict[str, Any]] = field(default_factory=list)
    clock_offset: float = 0.0


class World:
    """The state of both services.

    Args:
        folder: Where uploaded videos are kept, and the state itself when `keep`.
        plan: Taisly's plan; sets the hourly quota.
        license_plan: TikMatrix's licence.
        seed: Chance is the same for the same seed and the same requests.
        realtime: Let things take seconds instead of reads.
        auto_retry: How often TikMatrix repeats a failed task by itself.
        keep: Remember everything in `folder` over a restart.
        requests_per_hour: Another number than the plan's, for tests under load.
    """

    def __init__(
        self,
        folder: Path,
        *,
        plan: str = "STARTER",
        license_plan: str = "Pro",
        seed: int = 0,
        realtime: bool = False,
        auto_retry: int = 3,
        keep: bool = False,
        requests_per_hour: int | None = None,
    ) -> None:
        self.folder = folder
        self.videos = folder / "videos"
        self.videos.mkdir(parents=True, exist_ok=True)
        self.plan = plan
        self.license_plan = license_plan
        self.seed = seed
        self.realtime = realtime
        self.auto_retry = auto_retry
        self.requests_per_hour = requests_per_hour
        self._kept = folder / "state.json" if keep else None
        self.data = _load(self._kept) if self._kept and self._kept.exists() else Data()
        if API_KEY not in self.data.keys:
            self.data.keys.append(API_KEY)

    # Time, chance and memory

    def now(self) -> float:
        """The sandbox's clock in Unix seconds; tests may set it off (POST /sandbox/clock)."""
        return time.time() + self.data.clock_offset

    def _chance(self, *what: object) -> random.Random:
        return random.Random(":".join(map(str, (self.seed, *what))))  # noqa: S311 - play, not secrets

    def new_id(self) -> str:
        """An id that looks like Taisly's."""
        self.data.counter += 1
        return f"{self.data.counter:08x}{self._chance('id', self.data.counter).getrandbits(64):016x}"

    def reset(self) -> None:
        """Forget everything but the seed and the plan."""
        self.data = Data()
        for video in self.videos.iterdir():
            video.unlink(missing_ok=True)
        self.save()

    def save(self) -> None:
        """Write the state down, if it is to be kept; in one move, so that a killed sandbox loses nothing."""
        if self._kept is None:
            return
        fresh = self._kept.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self.data)))
        fresh.replace(self._kept)

    # Taisly

    def over_quota(self) -> float | None:
        """Count one request against the plan; seconds to wait if it is over the hourly number."""
        now = self.now()
        self.data.asked_at = [at for at in self.data.asked_at if at > now - HOUR]
        if len(self.data.asked_at) >= (self.requests_per_hour or REQUESTS_PER_HOUR[self.plan]):
            return self.data.asked_at[0] + HOUR - now
        self.data.asked_at.append(now)
        return None

    def add_post(
        self,
        *,
        sha256: str,
        file: str,
        caption: str,
        preview: float,
        accounts: list[str],
        scheduled: int | None,
        repost_of: str | None = None,
    ) -> Post:
        """Take a post."""
        post_id, now = self.new_id(), self.now()
        platforms = {a["id"]: a["platform"] for a in ACCOUNTS}
        post = Post(
            id=post_id,
            sha256=sha256,
            file=file,
            caption=caption,
            preview=preview,
            created=round(now * 1000),
            scheduled=scheduled,
            destinations=[self._destination(post_id, account, platforms[account], now) for account in accounts],
            repost_of=repost_of,
        )
        self.data.posts.append(post)
        return post

    def _destination(self, post_id: str, account: str, platform: str, now: float) -> Destination:
        chance = self._chance(post_id, account)
        return Destination(
            account=account,
            platform=platform,
            reads_left=chance.randint(*READS_TO_FINISH),
            ready_at=now + chance.uniform(*SECONDS_TO_FINISH),
            fails_with=self._take_failure("platform", platform),
            link=_LINKS[platform].format(chance.randint(10**17, 10**18)),
        )

    def _take_failure(self, by: str, *values: str) -> str | None:
        for wish in self.data.fail_next:
            if wish.get(by) in values and wish["times"] > 0:
                wish["times"] -= 1
                self.data.fail_next = [w for w in self.data.fail_next if w["times"] > 0]
                return str(wish["reason"])
        return None

    def read_post(self, post: Post) -> None:
        """Let one read of the history advance `post`."""
        now = self.now()
        if post.scheduled is not None and now * 1000 < post.scheduled:
            return
        for d in post.destinations:
            if d.status != "PENDING":
                continue
            d.reads_left -= 1
            if now >= max(d.ready_at, (post.scheduled or 0) / 1000) if self.realtime else d.reads_left <= 0:
                d.status = "FAILED" if d.fails_with else "SUCCESS"
                d.reason, d.link = (d.fails_with, None) if d.fails_with else (None, d.link)
        self._repost(post)

    def _repost(self, post: Post) -> None:
        """Apply the repost rules to what came out; a repost is a post of its own, and makes no further one."""
        if post.repost_of or post.reposted or any(d.status == "PENDING" for d in post.destinations):
            return
        post.reposted = True
        out = {d.account for d in post.destinations if d.status == "SUCCESS"}
        for rule in self.data.rules:
            targets = [t for t in rule["to"] if t not in {d.account for d in post.destinations}]
            if rule["from"] in out and not rule["isPaused"] and targets:
                self.add_post(
                    sha256=post.sha256,
                    file=post.file,
                    caption=post.caption,
                    preview=post.preview,
                    accounts=targets,
                    scheduled=None,
                    repost_of=post.id,
                )

    def closes_circle(self, source: str, targets: list[str]) -> bool:
        """Whether a rule from `source` to `targets` would lead back to `source`."""
        seen, todo = set(), list(targets)
        while todo:
            at = todo.pop()
            if at == source:
                return True
            if at not in seen:
                seen.add(at)
                todo += [t for rule in self.data.rules if rule["from"] == at for t in rule["to"]]
        return False

    # TikMatrix

    def add_task(self, script: str, args: dict[str, Any], serial: str) -> PhoneTask:
        """Queue one script on one phone."""
        self.data.task_counter += 1
        task_id = self.data.task_counter
        chance = self._chance("task", task_id)
        fails = self._take_failure("script_name", script) or self._take_failure("serial", serial)
        task = PhoneTask(
            id=task_id,
            script_name=script,
            script_args=args,
            serial=serial,
            steps_left=chance.randint(*READS_TO_FINISH),
            seconds=chance.uniform(*SECONDS_TO_FINISH),
            created=self.now(),
            retry_in=chance.uniform(*RETRY_AFTER_SECONDS),
            fails_with=fails,
            failures_left=self.auto_retry + 1 if fails else 0,
        )
        self.data.phone_tasks.append(task)
        return task

    def restart_phones(self, *, lost: bool, ids_from_1: bool) -> None:
        """Restart the desktop program: running tasks wait again, or all are lost; new ids may begin from 1."""
        if lost:
            self.data.phone_tasks = []
        for task in self.data.phone_tasks:
            if task.status == RUNNING:
                task.status, task.started_at, task.start_time = PENDING, None, None
        if ids_from_1:
            self.data.task_counter = 0
        self.save()

    def tick(self) -> None:
        """Let one read of the tasks advance the phones: one task at a time on each."""
        now = self.now()
        for serial in DEVICES:
            mine = [t for t in self.data.phone_tasks if t.serial == serial]
            for task in mine:
                if task.status == FAILED:
                    self._auto_retry(task, now)
            running = next((t for t in mine if t.status == RUNNING), None)
            if running is not None:
                running.steps_left -= 1
                started = running.started_at or now
                if now - started >= running.seconds if self.realtime else running.steps_left <= 0:
                    self._finish(running, now)
                    running = None
                    if not self.realtime:
                        continue
            if running is None and (first := next((t for t in mine if t.status == PENDING), None)):
                first.status, first.started_at, first.start_time = RUNNING, now, self.local_time(now)
                first.end_time = None

    def _finish(self, task: PhoneTask, now: float) -> None:
        task.finished_at, task.end_time = now, self.local_time(now)
        chance = self._chance("again", task.id, task.retry_count)
        task.steps_left = chance.randint(*READS_TO_FINISH)
        if task.failures_left > 0:
            task.failures_left -= 1
            task.status, task.remark, task.reads_since_failure = FAILED, task.fails_with or "failed", 0
        else:
            task.status, task.remark = COMPLETED, ""

    def _auto_retry(self, task: PhoneTask, now: float) -> None:
        if task.retry_count >= self.auto_retry:
            return
        task.reads_since_failure += 1
        waited = now - (task.finished_at or now)
        if waited >= task.retry_in if self.realtime else task.reads_since_failure >= RETRY_AFTER_READS:
            task.retry_count += 1
            task.status = PENDING

    @staticmethod
    def local_time(now: float) -> str:
        """A time as the desktop's task table writes it: the PC's clock, no zone."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))


def _load(kept: Path) -> Data:
    raw = json.loads(kept.read_text())
    raw["posts"] = [Post(**{**p, "destinations": [Destination(**d) for d in p["destinations"]]}) for p in raw["posts"]]
    raw["phone_tasks"] = [PhoneTask(**t) for t in raw["phone_tasks"]]
    return Data(**raw)
