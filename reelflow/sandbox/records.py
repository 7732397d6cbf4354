"""What changes: posts, phone tasks, and everything else that a reset forgets."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reelflow.sandbox.catalog import API_KEY
from reelflow.sandbox.history import HistoryStyle

PENDING, RUNNING, COMPLETED, FAILED = range(4)
"""The statuses of a phone task, as TikMatrix numbers them."""


@dataclass
class Destination:
    """One account of one post."""

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
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    client: str = ""


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
    start_time: str | None = None
    end_time: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    retry_in: float = 0.0
    reads_since_failure: int = 0
    fails_with: str | None = None
    failures_left: int = 0
    not_before: float = 0.0


@dataclass
class Data:
    """Everything that a reset forgets and a data folder remembers.

    `owners` has the client of each key that is not the first one's, `request_times` the requests of each client.
    """

    keys: list[str] = field(default_factory=lambda: [API_KEY])
    posts: list[Post] = field(default_factory=list)
    repost_rules: list[dict[str, Any]] = field(default_factory=list)
    phone_tasks: list[PhoneTask] = field(default_factory=list)
    last_id: int = 0
    last_task_id: int = 0
    request_times: dict[str, list[float]] = field(default_factory=dict)
    most_requests: dict[str, int] = field(default_factory=dict)
    requests_over_quota: dict[str, int] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    fail_next: list[dict[str, Any]] = field(default_factory=list)
    clock_offset: float = 0.0
    history: HistoryStyle = field(default_factory=HistoryStyle)
    dialect: dict[str, str] = field(default_factory=dict)
    rule_changes: list[dict[str, Any]] = field(default_factory=list)
    key_events: list[dict[str, Any]] = field(default_factory=list)
    dead_keys: list[str] = field(default_factory=list)
    dead_key_requests: int = 0

    def write(self, path: Path) -> None:
        """Write it as JSON, in one move: a sandbox that is killed meanwhile leaves the last version."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(path)

    @classmethod
    def read(cls, path: Path) -> Data:
        """What `write` wrote."""
        raw = json.loads(path.read_text())
        raw["posts"] = [
            Post(**{**post, "destinations": [Destination(**d) for d in post["destinations"]]}) for post in raw["posts"]
        ]
        raw["phone_tasks"] = [PhoneTask(**task) for task in raw["phone_tasks"]]
        raw["history"] = HistoryStyle(**raw["history"])
        for counted in ("request_times", "most_requests", "requests_over_quota"):  # of one client, in older versions
            if counted in raw and not isinstance(raw[counted], dict):
                raw[counted] = {"": raw[counted]}
        return cls(**raw)
