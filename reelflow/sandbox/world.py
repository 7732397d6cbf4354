"""How the sandbox's posts and phone tasks change.

Everything advances by being read, so that a test is exact and instant: a post or a phone task needs a few reads
to finish. With `realtime` it takes seconds instead. All chance comes from the seed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from reelflow.sandbox.catalog import (
    ACCOUNTS,
    API_KEY,
    DEVICE_LIMIT,
    DEVICES,
    POST_LINKS,
    REQUESTS_PER_HOUR,
    accounts_of,
    key_of,
)
from reelflow.sandbox.dialect import read_dialect
from reelflow.sandbox.records import COMPLETED, FAILED, PENDING, RUNNING, Data, Destination, PhoneTask, Post

HOUR = 3600.0
CHANGES_KEPT = 20
"""Changes of repost rules and of API keys that are remembered."""
READS_TO_FINISH = (1, 3)
"""The fewest and the most reads that a post or a phone task takes."""
SECONDS_TO_FINISH = (4.0, 15.0)
"""The same in seconds, with `realtime`."""
RETRY_AFTER_READS = 3
"""Reads after which TikMatrix retries a failed task."""
RETRY_AFTER_SECONDS = (5.0, 60.0)
"""The fewest and the most seconds for the same, with `realtime`: TikMatrix's auto-retry time."""


class World:
    """The state of both services.

    Args:
        folder: Where uploaded videos are stored, and the state itself with `keep`.
        plan: Taisly's plan; sets the hourly quota.
        license_plan: TikMatrix's licence.
        seed: The same seed and the same requests give the same outcomes.
        realtime: Let posts and phone tasks take seconds instead of reads.
        auto_retry: How often TikMatrix retries a failed task on its own.
        keep: Remember everything in `folder` across restarts.
        requests_per_hour: Overrides the plan's quota, for tests under load.
        clients: Names of further Taisly accounts, each with a key, accounts, a history and a quota of its own.

    Raises:
        ValueError: There is no such plan or licence.
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
        clients: Sequence[str] = (),
    ) -> None:
        if plan not in REQUESTS_PER_HOUR:
            raise ValueError(f"There is no plan {plan!r} with an API at Taisly. Use {', '.join(REQUESTS_PER_HOUR)}.")
        if license_plan not in DEVICE_LIMIT:
            raise ValueError(f"There is no TikMatrix licence {license_plan!r}. Use {', '.join(DEVICE_LIMIT)}.")
        self.videos = folder / "videos"
        self.videos.mkdir(parents=True, exist_ok=True)
        self.plan = plan
        self.license_plan = license_plan
        self.seed = seed
        self.realtime = realtime
        self.auto_retry = auto_retry
        self.requests_per_hour = requests_per_hour
        self._kept = folder / "state.json" if keep else None
        self.data = Data.read(self._kept) if self._kept and self._kept.exists() else Data()
        names = dict.fromkeys([*clients, *self.data.owners.values()])  # kept ones too: their keys still work
        self.accounts = {"": ACCOUNTS, **{name: accounts_of(name) for name in names}}
        self._add_keys()

    def _add_keys(self) -> None:
        """Let the key of each client work."""
        for client in self.accounts:
            key = key_of(client) if client else API_KEY
            if key not in self.data.keys:
                self.data.keys.append(key)
            if client:
                self.data.owners[key] = client

    def client_of(self, key: str) -> str:
        """Whose key it is; the first client has no name."""
        return self.data.owners.get(key, "")

    def now(self) -> float:
        """The sandbox's clock in Unix seconds; `clock_offset` moves it away from the real one."""
        return time.time() + self.data.clock_offset

    def _chance(self, *what: object) -> random.Random:
        return random.Random(":".join(map(str, (self.seed, *what))))  # noqa: S311 - play, not secrets

    def new_id(self) -> str:
        """An id that looks like Taisly's."""
        self.data.last_id += 1
        return f"{self.data.last_id:08x}{self._chance('id', self.data.last_id).getrandbits(64):016x}"

    def reset(self) -> None:
        """Forget everything but the seed, the plan and the licence."""
        self.data = Data()
        self._add_keys()
        for video in self.videos.iterdir():
            video.unlink(missing_ok=True)
        self.save()

    def save(self) -> None:
        """Write the state to the data folder, if there is one."""
        if self._kept is not None:
            self.data.write(self._kept)

    # Taisly

    @property
    def per_hour(self) -> int:
        """How many requests Taisly answers a client in any hour."""
        return self.requests_per_hour or REQUESTS_PER_HOUR[self.plan]

    def use_quota(self, client: str = "") -> float | None:
        """Count one request against the client's hourly quota; the seconds to wait if it is used up."""
        now, data = self.now(), self.data
        times = data.request_times[client] = [at for at in data.request_times.get(client, []) if at > now - HOUR]
        if len(times) >= self.per_hour:
            data.requests_over_quota[client] = data.requests_over_quota.get(client, 0) + 1
            return times[0] + HOUR - now
        times.append(now)
        data.most_requests[client] = max(data.most_requests.get(client, 0), len(times))
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
        looks: tuple[int, int, float] = (0, 0, 0.0),
        client: str = "",
    ) -> Post:
        """Accept a post; `looks` are the width, the height and the seconds of its video, to be shown."""
        post_id, now = self.new_id(), self.now()
        platforms = {a["id"]: a["platform"] for a in self.accounts[client]}
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
            width=looks[0],
            height=looks[1],
            seconds=looks[2],
            client=client,
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
            link=POST_LINKS[platform].format(handle=self._handle(account), id=chance.randint(10**17, 10**18)),
        )

    def _handle(self, account: str) -> str:
        """An account's name as platforms write it in links."""
        return next(a["displayName"].lstrip("@") for mine in self.accounts.values() for a in mine if a["id"] == account)

    def _take_failure(self, by: str, *values: str) -> str | None:
        for failure in self.data.fail_next:
            if failure.get(by) in values and failure["times"] > 0:
                failure["times"] -= 1
                self.data.fail_next = [f for f in self.data.fail_next if f["times"] > 0]
                return str(failure["reason"])
        return None

    def advance_post(self, post: Post) -> None:
        """Advance a post by one read of the history."""
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
        """Apply the repost rules to what was published, also for accounts that have the post already.

        A repost is a post of its own and is never reposted.
        """
        if post.repost_of or post.reposted or any(d.status == "PENDING" for d in post.destinations):
            return
        post.reposted = True
        published = {d.account for d in post.destinations if d.status == "SUCCESS"}
        for rule in self.data.repost_rules:
            if rule["from"] in published and not rule["isPaused"]:
                self.add_post(
                    sha256=post.sha256,
                    file=post.file,
                    caption=post.caption,
                    preview=post.preview,
                    accounts=rule["to"],
                    scheduled=None,
                    repost_of=post.id,
                    looks=(post.width, post.height, post.seconds),
                    client=post.client,
                )

    def note_rule(self, what: str, source: object, targets: object) -> None:
        """Remember what became of a repost rule, for the page."""
        found = {"at": round(self.now() * 1000), "what": what, "from": source, "to": targets}
        self.data.rule_changes = [*self.data.rule_changes, found][-CHANGES_KEPT:]

    def replace_keys(self, what: str, keys: list[str], about: str) -> None:
        """Let only these API keys work from now on; what happened to which key is remembered for the page."""
        ended = [key for key in self.data.keys if key not in keys]
        self.data.dead_keys += ended
        self.data.keys = keys
        replaced = [masked(key) for key in ended if key != about]
        found = {"at": round(self.now() * 1000), "what": what, "key": masked(about), "replaced": replaced}
        self.data.key_events = [*self.data.key_events, found][-CHANGES_KEPT:]

    def is_circular(self, source: str, targets: list[str]) -> bool:
        """Whether a rule from `source` to `targets` would lead back to `source`."""
        seen, todo = set(), list(targets)
        while todo:
            at = todo.pop()
            if at == source:
                return True
            if at not in seen:
                seen.add(at)
                todo += [t for rule in self.data.repost_rules if rule["from"] == at for t in rule["to"]]
        return False

    # TikMatrix

    @property
    def dialect(self) -> dict[str, str]:
        """How TikMatrix spells what it shows."""
        return read_dialect(self.data.dialect)

    def add_task(self, script: str, args: dict[str, Any], serial: str, start_time: str | None = None) -> PhoneTask:
        """Queue one script on one phone, to start at HH:MM by the PC's clock; at once, if that time has passed."""
        self.data.last_task_id += 1
        task_id = self.data.last_task_id
        chance = self._chance("task", task_id)
        fails = self._take_failure("script_name", script) or self._take_failure("serial", serial)
        task = PhoneTask(
            id=task_id,
            script_name=script,
            script_args=args,
            serial=serial,
            steps_left=chance.randint(*READS_TO_FINISH),
            seconds=chance.uniform(*SECONDS_TO_FINISH),
            retry_in=chance.uniform(*RETRY_AFTER_SECONDS),
            fails_with=fails,
            failures_left=self.auto_retry + 1 if fails else 0,
            not_before=self._today_at(start_time) if start_time else 0.0,
        )
        self.data.phone_tasks.append(task)
        return task

    def _today_at(self, start_time: str) -> float:
        """That time of today, in Unix seconds."""
        today = datetime.fromtimestamp(self.now())  # noqa: DTZ006 - the PC's own clock
        hour, minute = map(int, start_time.split(":"))
        return today.replace(hour=hour, minute=minute, second=0, microsecond=0).timestamp()

    def restart_phones(self, *, lost: bool, ids_from_1: bool) -> None:
        """Restart TikMatrix: running tasks return to pending, or all are `lost`; new ids may start from 1 again."""
        if lost:
            self.data.phone_tasks = []
        for task in self.data.phone_tasks:
            if task.status == RUNNING:
                task.status, task.started_at, task.start_time = PENDING, None, None
        if ids_from_1:
            self.data.last_task_id = 0
        self.save()

    def advance_phones(self) -> None:
        """Advance the phones by one read of the tasks; a phone runs one task at a time."""
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
            due = (t for t in mine if t.status == PENDING and t.not_before <= now)
            if running is None and (first := next(due, None)):
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
        """A time as TikMatrix writes it: the PC's clock, without a time zone."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))


def masked(key: str) -> str:
    """An API key as it may be shown: enough to tell two apart, too little to use."""
    return f"{key[:7]}…{key[-4:]}"
