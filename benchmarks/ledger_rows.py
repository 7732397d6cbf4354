"""A ledger with so many rows, as two years of an agency leave it: its newest thousand are the same in any size.

So a small and a large one have the same posts, runs and phones at work, and the same day behind them: what a call costs
more in the large one is due to its history alone.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from reelflow.ledger import Ledger
from reelflow.ledger.schema import (
    alarms,
    api_keys,
    api_requests,
    approvals,
    destinations,
    engagements,
    events,
    found_posts,
    holds,
    phone_actions,
    phone_hosts,
    phone_requests,
    phone_tasks,
    reservations,
    sends,
)
from reelflow.records.alarms import cause_of
from reelflow.records.campaigns import caption_fingerprint
from reelflow.records.phone_states import RequestState, TaskState
from reelflow.records.post_states import ALARMING, BEING_SENT, PostState

NOW = 1_800_000_000.0
DAY = 86400.0
YEARS = 730 * DAY
SERVICE = "https://app.taisly.com"
ACCOUNTS, KEYS = 50, 8
"""Accounts at platforms, and API keys."""
TO = 4
"""Accounts of a post."""
TASKS = 10
"""Tasks of a request: two accounts of phones, five targets each."""
NEWEST = 1000
"""Destinations, and phone tasks, of the last day."""
HOSTS = ("host-0",) * 5 + ("host-1",) * 3 + ("host-2",) * 2
SCRIPTS = ("follow", "post_comment", "account_warmup")
BIG = ("sends", "destinations", "events", "alarms", "reservations", "approvals", "engagements", "phone_requests",
       "phone_tasks", "phone_actions")  # fmt: skip
"""The tables that grow with what is done; the others have a row for each account, key or PC, or one hour's."""

Row = tuple[Any, ...]


class Sent(NamedTuple):
    """A post of the history by its number, 0 for the newest."""

    number: int

    @property
    def id(self) -> str:
        """Of its send."""
        return f"{self.number:032x}"

    @property
    def sha256(self) -> str:
        """Of its video."""
        return _sha256(self.id)

    @property
    def caption(self) -> str:
        """Its text."""
        return f"Ten minutes to a better sourdough, part {self.number} #baking #sourdough #fyp"

    @property
    def accounts(self) -> list[str]:
        """The ids of its accounts."""
        return [f"account-{(self.number * TO + n) % ACCOUNTS}" for n in range(TO)]

    @property
    def flow_run(self) -> str:
        """The run that sent it, and nine others."""
        return f"{self.number // 10:036x}"

    @property
    def duration(self) -> float:
        """Of its video, in seconds."""
        return 15 + self.number * 7919 % 450 / 10


@lru_cache(1)
def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_fingerprint = lru_cache(1)(caption_fingerprint)


def age(number: int, a_day: int, total: int) -> float:
    """Seconds since a row was written: so many on the last day, the others over two years."""
    if number < a_day:
        return number / a_day * DAY
    return DAY + (number - a_day) / max(1, total - a_day) * (YEARS - DAY)


def fill(ledger: Ledger, size: int) -> None:
    """Write a history of `size` destinations and `size` phone tasks, the oldest first, and everything in proportion."""
    with ledger.engine().begin() as connection:
        for table, names, rows in (*_posts(size), *_phones(size), *_few()):
            for index in table.indexes:  # it is faster to make them at the end
                index.drop(connection)
            _write(connection, table, names, rows)
            for index in table.indexes:
                index.create(connection)
    analyze(ledger, everything=False)


def analyze(ledger: Ledger, *, everything: bool = True) -> None:
    """Have the database look at its tables: PostgreSQL does so by itself, SQLite only when it is told to."""
    engine = ledger.engine()
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    elif everything:
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")


def _write(connection: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Iterable[Row]) -> None:
    raw: Any = connection.connection.cursor()
    columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    if connection.dialect.name == "sqlite":
        raw.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - our own names
        return
    with raw.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    if "id" in names and isinstance(table.c["id"].type, sa.Integer):
        connection.execute(
            sa.text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), (SELECT max(id) FROM {table.name}))")  # noqa: S608
        )


def _state(sent: Sent, n: int) -> PostState:
    number = sent.number
    if number < NEWEST // TO:
        if number % 5 == 0:
            return PostState.ACCEPTED
        if number in (1, 2, 3):
            return PostState.SENDING
        if number % 50 == 7:
            return PostState.UNCONFIRMED
    if number % 33 == 9 and n == 0:
        return PostState.FAILED
    return {11: PostState.REFUSED, 12: PostState.CANCELLED}.get(number % 100, PostState.SUCCESS)


def _posts(size: int) -> Iterator[tuple[sa.Table, tuple[str, ...], Iterable[Row]]]:
    total = size // TO
    numbers = range(total - 1, -1, -1)
    posts = random.Random(1)  # noqa: S311 - not secrets

    def scheduled(sent: Sent, at: float) -> float:
        if _state(sent, 1) is PostState.ACCEPTED:
            return NOW + (sent.number + 1) * 3600
        return at + 60 if sent.number % 2 else 0.0

    def send_rows() -> Iterator[Row]:
        for sent in map(Sent, numbers):
            at, state = NOW - age(sent.number, NEWEST // TO, total) - 1, _state(sent, 1)
            pictures = json.dumps([posts.getrandbits(256) for _ in range(4)])
            is_sending = state in BEING_SENT
            lease, history = (NOW + 15, None) if is_sending else (0.0, f"history-{sent.number}")
            yield (sent.id, SERVICE, sent.sha256, f"/videos/week/part {sent.number}.mp4", sent.caption,
                   json.dumps(sorted(sent.accounts)), round(scheduled(sent, at) * 1000), sent.flow_run, "f" * 32, lease,
                   at, at, None if is_sending else at, history, at, None, sent.duration, pictures, "main")  # fmt: skip

    def each_account(write: Any) -> Iterator[Row]:
        for sent in map(Sent, numbers):
            at = NOW - age(sent.number, NEWEST // TO, total) - 1
            for n, account in enumerate(sent.accounts):
                yield from write(sent, n, account, at, (total - 1 - sent.number) * TO + n + 1)

    def destination(sent: Sent, n: int, account: str, at: float, row: int) -> Iterator[Row]:
        link = f"https://www.tiktok.com/@{account}/video/{row}"
        yield (row, SERVICE, sent.sha256, account, _fingerprint(sent.caption),
               round(scheduled(sent, at) * 1000), 0, "TikTok", f"@{account}", _state(sent, n), "", link, sent.id,
               at + 60)  # fmt: skip

    def reservation(sent: Sent, n: int, account: str, at: float, row: int) -> Iterator[Row]:
        if sent.number % 2 or _state(sent, 1) is PostState.ACCEPTED:
            yield (row, SERVICE, "", sent.sha256, account, _fingerprint(sent.caption), 0, "TikTok",
                   f"@{account}", f"part {sent.number}.mp4", scheduled(sent, at), sent.flow_run, at)  # fmt: skip

    def event(sent: Sent, n: int, account: str, at: float, row: int) -> Iterator[Row]:
        yield row, at + 60, sent.id, account, sent.flow_run, "f" * 32, _state(sent, n), ""

    def alarm(sent: Sent, n: int, account: str, at: float, row: int) -> Iterator[Row]:
        state = _state(sent, n)
        if state in ALARMING:
            reason = f"TikTok answered with error {sent.number % 7}: the video was removed"
            told = None if sent.number == 9 else at + 90
            yield (row, f"post {sent.id} {account} {state} {at:.3f}", "post", state, f"part {sent.number}.mp4",
                   f"TikTok @{account}", reason, cause_of("post", state, reason), sent.flow_run, sent.id, at, 0.0,
                   told)  # fmt: skip

    def approval(sent: Sent, n: int, account: str, at: float, row: int) -> Iterator[Row]:
        if sent.number % 10 == 0:
            digest, is_open = hashlib.sha256(f"{sent.id} {account}".encode()).hexdigest(), sent.number < 50
            answer, answered = ("", None) if is_open else ("approved", at)
            yield (row, sent.flow_run, digest, 1, row % 100, NOW + 3600 if is_open else at, answer, None, at, answered)

    def engagement(sent: Sent, n: int, account: str, at: float, row: int) -> Iterator[Row]:
        if sent.number % 10 == 1 and n == 0:
            state = "WAITING" if sent.number < 100 else "DONE"
            yield (sent.id, SERVICE, sent.sha256, _fingerprint(sent.caption), round(scheduled(sent, at) * 1000),
                   0, json.dumps(sent.accounts), "{}", "0" * 64, f"part {sent.number}.mp4", "main", "", sent.flow_run,
                   at, at, state, "", "", 0.0, sent.flow_run, 1, "[]", at)  # fmt: skip

    yield sends, tuple(sends.c.keys()), send_rows()
    for table, write in (
        (destinations, destination),
        (reservations, reservation),
        (events, event),
        (alarms, alarm),
        (approvals, approval),
        (engagements, engagement),
    ):
        yield table, tuple(table.c.keys()), each_account(write)


class Asked(NamedTuple):
    """A request for phone tasks in the history by its number, 0 for the newest."""

    number: int

    @property
    def id(self) -> str:
        """Ours."""
        return f"{self.number:032x}"

    @property
    def host(self) -> str:
        """The PC with its phones."""
        return HOSTS[self.number % len(HOSTS)]

    @property
    def script(self) -> str:
        """What its tasks do."""
        return SCRIPTS[self.number // 10 % 3]

    @property
    def accounts(self) -> list[str]:
        """Who does it, as it is counted."""
        return [f"TikTok user.{(2 * self.number + n) % 20}" for n in range(2)]

    @property
    def usernames(self) -> list[str]:
        """Who does it."""
        return [f"user.{(2 * self.number + n) % 20}" for n in range(2)]

    @property
    def targets(self) -> list[tuple[str, str]]:
        """What they do it to: as it is known, and as it is sent."""
        first = self.number * TASKS // 2
        return [(f"target.{first + n}", f"Target.{first + n}") for n in range(TASKS // 2)]

    @property
    def state(self) -> RequestState:
        """How far it got."""
        return {0: RequestState.PLANNED, 1: RequestState.SENDING, 2: RequestState.UNCONFIRMED}.get(
            self.number, RequestState.CREATED
        )


def _phones(size: int) -> Iterator[tuple[sa.Table, tuple[str, ...], Iterable[Row]]]:
    total = size // TASKS
    requests = [Asked(number) for number in range(total - 1, -1, -1)]

    def at(asked: Asked) -> float:
        return NOW - age(asked.number, NEWEST // TASKS, total) - 1

    def request_rows() -> Iterator[Row]:
        highest = dict.fromkeys(HOSTS, 0)
        for asked in requests:
            lease = NOW + 15 if asked.number in (0, 3, 4) else 0.0
            begun = None if asked.state is RequestState.PLANNED else at(asked)
            targets = json.dumps([text for _, text in asked.targets])
            yield (asked.id, asked.host, asked.script, "TikTok", '{"access_method": "direct"}', "[]",
                   json.dumps(asked.usernames), targets, "", TASKS, f"phone-{asked.number}", "e" * 32, lease,
                   asked.state, "", 0, at(asked), begun, highest[asked.host], None)  # fmt: skip
            highest[asked.host] += TASKS

    def each_task() -> Iterator[tuple[Asked, int, int, str, tuple[str, str]]]:
        row = 0
        for asked in requests:
            for n, _ in enumerate(asked.usernames):
                for target in asked.targets:
                    row += 1
                    yield asked, row, n, asked.accounts[n], target

    def task_rows() -> Iterator[Row]:
        highest = dict.fromkeys(HOSTS, 0)
        for asked, row, n, _, (_, text) in each_task():
            highest[asked.host] += 1
            if asked.state is RequestState.CREATED:
                state = TaskState.COMPLETED if asked.number % 40 != 20 else TaskState.FAILED
                state = TaskState.RUNNING if asked.number < 13 else state
                yield (row, asked.id, highest[asked.host], f"PHONE{asked.number % 10}", asked.usernames[n], text, state,
                       "", 0, 0, "10:00", "10:05", None, at(asked) + 300)  # fmt: skip

    def action_rows() -> Iterator[Row]:
        for asked, row, n, account, (key, text) in each_task():
            yield row, asked.id, account, asked.usernames[n], asked.script, key, text, at(asked)

    yield phone_requests, tuple(phone_requests.c.keys()), request_rows()
    yield phone_tasks, tuple(phone_tasks.c.keys()), task_rows()
    yield phone_actions, tuple(phone_actions.c.keys()), action_rows()


def _few() -> Iterator[tuple[sa.Table, tuple[str, ...], Iterable[Row]]]:
    ids = json.dumps([{"id": f"account-{n}", "platform": "TikTok", "name": ""} for n in range(ACCOUNTS)])
    yield (
        holds,
        tuple(holds.c.keys()),
        (
            (SERVICE, f"account-{n}", "TikTok", "", n % 3, NOW, "", NOW if n == 7 else None, None)
            for n in range(ACCOUNTS)
        ),
    )
    yield (
        api_keys,
        tuple(api_keys.c.keys()),
        ((f"key-{n}", 0, 0, "", 0, 0, 0, ids, NOW, "[]", NOW, 0, "", 0, "") for n in range(KEYS)),
    )
    yield (
        api_requests,
        tuple(api_requests.c.keys()),
        ((f"request-{key}-{n}", f"key-{key}", "publish", NOW - 60 * n - 1) for key in range(KEYS) for n in range(40)),
    )
    yield (
        found_posts,
        tuple(found_posts.c.keys()),
        ((n + 1, SERVICE, f"found-{n}", "a caption", "[]", "[]", NOW, NOW) for n in range(20)),
    )
    yield phone_hosts, tuple(phone_hosts.c.keys()), ((host, "", 0) for host in sorted(set(HOSTS)))
