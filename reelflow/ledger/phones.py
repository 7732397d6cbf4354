"""What is on record of phones: requests to TikMatrix, the tasks they made, and what each account has done."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from reelflow.errors import ClaimLost
from reelflow.ledger.database import Database
from reelflow.ledger.schema import phone_actions, phone_batches, phone_hosts, phone_tasks
from reelflow.phones.batches import Batch, BatchState
from reelflow.phones.engagement import History, Part, Plan, Wish
from reelflow.phones.forms import UNFINISHED, TaskResult, TaskState

PLANNING_LOCK = 7263549
"""PostgreSQL's advisory lock under which plans are made; SQLite has one writer anyway."""

Decide = Callable[[History], Plan]
"""What the limits leave of a wish, given what was done before."""


class PhoneRecord(Database):
    """The part of the ledger that is about phones."""

    # Plans: read, decided and written in one transaction, so that limits hold for all runs on all machines

    def plan_phones(
        self,
        wish: Wish,
        decide: Decide,
        *,
        since: float,
        host: str,
        config: Callable[[list[str]], dict[str, Any]],
        owner: str,
        flow_run: str | None,
    ) -> Plan:
        """Decide what is sent and put it on record as PLANNED, each task counted for its accounts.

        What the same flow run has planned or made before is not planned again.

        Args:
            wish: What is asked for.
            decide: From what was done before to the plan.
            since: Unix seconds from which tasks count as today's.
            host: The TikMatrix PC.
            config: The script's settings for some targets, without any secret.
            owner: This attempt.
            flow_run: For the record.
        """
        now = self.now()
        with self.transaction() as connection:
            if self.url.get_backend_name() == "postgresql":
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({PLANNING_LOCK})"))
            plan = decide(self._history(connection, wish, since, flow_run))
            for part in plan.parts:
                batch_id = uuid.uuid4().hex
                connection.execute(
                    phone_batches.insert().values(
                        id=batch_id,
                        host=host,
                        script=wish.script,
                        platform=wish.platform,
                        config=json.dumps(config([text for _, text in part.targets])),
                        serials=json.dumps([w.serial for w in part.workers if not w.username]),
                        usernames=json.dumps([w.username for w in part.workers if w.username]),
                        targets=json.dumps([text for _, text in part.targets]),
                        start_at=wish.start_at,
                        expected=part.tasks,
                        flow_run=flow_run,
                        owner=owner,
                        lease_until=now + self.lease_seconds,
                        state=BatchState.PLANNED,
                        words="",
                        left_open=0,
                        planned_at=now,
                    )
                )
                connection.execute(phone_actions.insert(), list(_actions(batch_id, part, wish.script, now)))
        return plan

    def phone_history(self, wish: Wish, since: float) -> History:
        """What was done before, as a dry run wants to know it."""
        with self.transaction() as connection:
            return self._history(connection, wish, since)

    def _history(self, connection: Connection, wish: Wish, since: float, flow_run: str | None = None) -> History:
        accounts = {key for worker in wish.workers for key in worker.counted}
        a = phone_actions.c
        own = a.account.in_(accounts)
        today = sa.select(a.account, sa.func.count()).where(own, a.script == wish.script, a.at >= since)
        done = sa.select(a.account, a.target).where(own, a.target.in_(list(wish.targets)))
        mine = (
            sa.select(a.account, a.target)
            .join(phone_batches, phone_batches.c.id == a.batch_id)
            .where(own, a.script == wish.script, phone_batches.c.flow_run == flow_run)
        )
        return History(
            mine=frozenset((x, y) for x, y in connection.execute(mine)) if flow_run else frozenset(),
            today=dict(map(tuple, connection.execute(today.group_by(a.account)))),
            done=frozenset((x, y) for x, y in connection.execute(done.where(a.script == wish.script))),
            followed=frozenset((x, y) for x, y in connection.execute(done.where(a.script == "follow"))),
        )

    # One run at a time makes tasks on a host, so that new ids can be told apart

    def take_turn(self, host: str, owner: str) -> bool:
        """Whether it is (still) this attempt's turn to make tasks on a host; it is for one lease from now."""
        now = self.now()
        with self.transaction() as connection:
            fresh = {"host": host, "turn_of": owner, "turn_until": 0}
            connection.execute(self.insert(phone_hosts).values(fresh).on_conflict_do_nothing())
            taken = connection.execute(
                phone_hosts.update()
                .where(
                    phone_hosts.c.host == host,
                    sa.or_(phone_hosts.c.turn_of == owner, phone_hosts.c.turn_until <= now),
                )
                .values(turn_of=owner, turn_until=now + self.lease_seconds)
            )
            return taken.rowcount == 1

    def end_turn(self, host: str, owner: str) -> None:
        """Let the next one make tasks on a host."""
        with self.transaction() as connection:
            connection.execute(
                phone_hosts.update()
                .where(phone_hosts.c.host == host, phone_hosts.c.turn_of == owner)
                .values(turn_until=0)
            )

    # Requests

    def batches(
        self,
        *,
        ids: Sequence[str] | None = None,
        flow_run: str | None = None,
        host: str | None = None,
        script: str | None = None,
        platform: str | None = None,
        states: Sequence[BatchState] | None = None,
    ) -> list[Batch]:
        """Requests that fit all that is given, oldest first."""
        c = phone_batches.c
        conditions = [
            *([c.id.in_(ids)] if ids is not None else []),
            *([c.flow_run == flow_run] if flow_run is not None else []),
            *([c.host == host] if host is not None else []),
            *([c.script == script] if script is not None else []),
            *([c.platform == platform] if platform is not None else []),
            *([c.state.in_(states)] if states is not None else []),
        ]
        with self.transaction() as connection:
            return self._batches(connection, *conditions)

    @staticmethod
    def _batches(connection: Connection, *conditions: sa.ColumnElement[bool]) -> list[Batch]:
        query = sa.select(phone_batches).where(*conditions).order_by(phone_batches.c.planned_at, phone_batches.c.id)
        return [_batch(row) for row in connection.execute(query).mappings()]

    def open_batches(self, host: str) -> list[Batch]:
        """Requests on a host that are not settled, or have tasks without an end."""
        c = phone_batches.c
        unfinished = sa.select(phone_tasks.c.batch_id).where(phone_tasks.c.state.in_(UNFINISHED))
        open_now = sa.or_(c.state.in_((BatchState.PLANNED, BatchState.SENDING)), c.id.in_(unfinished))
        with self.transaction() as connection:
            return self._batches(connection, c.host == host, open_now)

    def take_batches(self, ids: Sequence[str], owner: str) -> set[str]:
        """Those of the requests that this attempt has, or takes over from one that gave no sign of life."""
        now, c = self.now(), phone_batches.c
        with self.transaction() as connection:
            free = sa.or_(c.owner == owner, c.lease_until <= now)
            connection.execute(
                phone_batches.update()
                .where(c.id.in_(ids), free)
                .values(owner=owner, lease_until=now + self.lease_seconds)
            )
            return set(connection.scalars(sa.select(c.id).where(c.id.in_(ids), c.owner == owner)))

    def drop_batches(self, ids: Sequence[str], owner: str, *, left_open: bool) -> None:
        """Say that this attempt is done with the requests; whether tasks without an end are left to TikMatrix."""
        with self.transaction() as connection:
            connection.execute(
                phone_batches.update()
                .where(phone_batches.c.id.in_(ids), phone_batches.c.owner == owner)
                .values(lease_until=0, left_open=int(left_open))
            )

    def begin_batch(self, batch_id: str, owner: str, highest_before: int) -> None:
        """Record that the request is about to leave.

        Raises:
            ClaimLost: another attempt has it now; nothing may be sent.
        """
        now, c = self.now(), phone_batches.c
        with self.transaction() as connection:
            begun = connection.execute(
                phone_batches.update()
                .where(c.id == batch_id, c.owner == owner, c.state == BatchState.PLANNED)
                .values(
                    state=BatchState.SENDING,
                    begun_at=now,
                    highest_before=highest_before,
                    lease_until=now + self.lease_seconds,
                )
            )
            if begun.rowcount != 1:
                raise ClaimLost("Another run has taken these phone tasks over. This run sends nothing.")

    def batch_created(self, batch_id: str, task_ids: Iterable[int], words: str = "") -> None:
        """Record the tasks that a request made."""
        now, ids = self.now(), list(dict.fromkeys(task_ids))
        with self.transaction() as connection:
            connection.execute(
                phone_batches.update()
                .where(phone_batches.c.id == batch_id)
                .values(state=BatchState.CREATED, words=words)
            )
            if ids:
                connection.execute(phone_tasks.insert(), [_task_row(batch_id, task_id, now) for task_id in ids])

    def settle_batch(self, batch_id: str, state: BatchState, words: str) -> None:
        """Record what became of a request that made nothing, or of which that cannot be known.

        What is certainly not made (PLANNED again, REFUSED, WITHDRAWN) does not count for its accounts, except while
        it is PLANNED.
        """
        with self.transaction() as connection:
            connection.execute(
                phone_batches.update().where(phone_batches.c.id == batch_id).values(state=state, words=words)
            )
            if state in (BatchState.REFUSED, BatchState.WITHDRAWN):
                connection.execute(phone_actions.delete().where(phone_actions.c.batch_id == batch_id))

    # Tasks

    def phone_tasks(self, batch_ids: Sequence[str], states: Sequence[TaskState] | None = None) -> list[TaskResult]:
        """The tasks of requests, by id."""
        return [result for _, result, _ in self.phone_task_rows(batch_ids, states)]

    def phone_task_rows(
        self, batch_ids: Sequence[str], states: Sequence[TaskState] | None = None
    ) -> list[tuple[str, TaskResult, float | None]]:
        """The tasks of requests: (request, task, since when it has failed without a change)."""
        c = phone_tasks.c
        query = sa.select(phone_tasks).where(c.batch_id.in_(batch_ids)).order_by(c.task_id, c.id)
        if states is not None:
            query = query.where(c.state.in_(states))
        with self.transaction() as connection:
            return [(row["batch_id"], _result(row), row["failed_at"]) for row in connection.execute(query).mappings()]

    def record_tasks(self, changes: Iterable[tuple[str, TaskResult, float | None]]) -> None:
        """Write down what was seen of tasks: (request, task, since when it has failed)."""
        now, c = self.now(), phone_tasks.c
        rows = [
            {"b": batch_id, "t": task.task_id, **task.model_dump(exclude={"task_id"}), "failed_at": failed_at,
             "changed_at": now}
            for batch_id, task, failed_at in changes
        ]  # fmt: skip
        if not rows:
            return
        statement = (
            phone_tasks.update()
            .where(c.batch_id == sa.bindparam("b"), c.task_id == sa.bindparam("t"))
            .values({name: sa.bindparam(name) for name in rows[0] if name not in ("b", "t")})
        )
        with self.transaction() as connection:
            connection.execute(statement, rows)

    def tasks_on_record(self, host: str, task_ids: Sequence[int], *, since: float) -> set[int]:
        """Those of TikMatrix's ids that are tasks of ours: not ended, or asked for after `since`.

        Ids may start again from 1 in TikMatrix, so an old record does not own an id for ever.
        """
        query = (
            sa.select(phone_tasks.c.task_id)
            .join(phone_batches, phone_batches.c.id == phone_tasks.c.batch_id)
            .where(
                phone_batches.c.host == host,
                phone_tasks.c.task_id.in_(task_ids),
                sa.or_(phone_tasks.c.state.in_(UNFINISHED), phone_batches.c.begun_at >= since),
            )
        )
        with self.transaction() as connection:
            return set(connection.scalars(query))

    def phone_records(self, host: str, task_ids: Sequence[int]) -> list[tuple[Batch, TaskResult]]:
        """What is on record under TikMatrix's ids, the newest request first."""
        c, b = phone_tasks.c, phone_batches.c
        query = (
            sa.select(phone_tasks, *(column.label(f"batch__{column.name}") for column in b))
            .join(phone_batches, b.id == c.batch_id)
            .where(b.host == host, c.task_id.in_(task_ids))
            .order_by(b.planned_at.desc(), c.id)
        )
        with self.transaction() as connection:
            return [
                (_batch({column.name: row[f"batch__{column.name}"] for column in b}), _result(row))
                for row in connection.execute(query).mappings()
            ]

    def task_counts(self, since: float) -> list[tuple[str, str, str, int]]:
        """Phone tasks whose state changed since then: (host, script, state, how many)."""
        b, t = phone_batches.c, phone_tasks.c
        query = (
            sa.select(b.host, b.script, t.state, sa.func.count())
            .join(phone_batches, b.id == t.batch_id)
            .where(t.changed_at >= since)
            .group_by(b.host, b.script, t.state)
            .order_by(b.host, b.script, t.state)
        )
        with self.transaction() as connection:
            return [(host, script, state, number) for host, script, state, number in connection.execute(query)]

    def follow_again(self, batch_ids: Sequence[str]) -> None:
        """Let the finisher follow these requests' tasks, which have been set going again."""
        with self.transaction() as connection:
            connection.execute(phone_batches.update().where(phone_batches.c.id.in_(batch_ids)).values(left_open=1))

    def forget_actions(self, batch_id: str, done: Sequence[tuple[str, str]]) -> None:
        """Let tasks that were taken back before they ran not count: (worker, target as sent) of each."""
        a = phone_actions.c
        with self.transaction() as connection:
            for worker, target in done:
                connection.execute(
                    phone_actions.delete().where(a.batch_id == batch_id, a.worker == worker, a.target_sent == target)
                )


def _actions(batch_id: str, part: Part, script: str, now: float) -> Iterable[dict[str, Any]]:
    for worker in part.workers:
        for key, text in part.targets or (("", ""),):
            for account in worker.counted:
                yield {
                    "batch_id": batch_id, "account": account, "worker": worker.name, "script": script, "target": key,
                    "target_sent": text, "at": now,
                }  # fmt: skip


def _task_row(batch_id: str, task_id: int, now: float) -> dict[str, Any]:
    fresh = TaskResult(task_id=task_id).model_dump()
    return {**fresh, "batch_id": batch_id, "failed_at": None, "changed_at": now}


def _batch(row: Mapping[str, Any] | RowMapping) -> Batch:
    return Batch(
        id=row["id"],
        host=row["host"],
        script=row["script"],
        platform=row["platform"],
        config=json.loads(row["config"]),
        serials=tuple(json.loads(row["serials"])),
        usernames=tuple(json.loads(row["usernames"])),
        targets=tuple(json.loads(row["targets"])),
        start_at=row["start_at"],
        expected=row["expected"],
        flow_run=row["flow_run"],
        owner=row["owner"],
        lease_until=row["lease_until"],
        state=BatchState(row["state"]),
        words=row["words"],
        left_open=bool(row["left_open"]),
        begun_at=row["begun_at"],
        highest_before=row["highest_before"],
    )


def _result(row: RowMapping) -> TaskResult:
    return TaskResult.model_validate({name: row[name] for name in TaskResult.model_fields})
