"""What the ledger knows of phone tasks: those that requests to TikMatrix created, and their states."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from reelflow.ledger.database import in_parts
from reelflow.ledger.phone_requests import RequestLedger, request_of
from reelflow.ledger.schema import phone_actions, phone_requests, phone_tasks
from reelflow.records.alarms import Alarm, cause_of
from reelflow.records.phone_states import RESTARTABLE, UNFINISHED, RequestState, TaskState
from reelflow.records.phones import TaskRecord, TaskRequest, TaskResult


class TaskLedger(RequestLedger):
    """The part of the ledger that is about phone tasks."""

    def tasks_created(
        self,
        request_id: str,
        tasks: Iterable[TaskResult],
        reason: str = "",
        *,
        state: RequestState = RequestState.CREATED,
        no_others: bool = False,
    ) -> None:
        """Record the tasks that a request created, beside those of it that are on record already.

        Args:
            request_id: Ours.
            tasks: As far as they are known.
            reason: Why they are fewer than were requested, for people.
            state: CREATED, or UNCONFIRMED if there may be others.
            no_others: It certainly created no others. What it did not create does not count for its accounts.
        """
        now, c = self.now(), phone_tasks.c
        with self.transaction() as connection:
            if not self._move_request(connection, request_id, state, reason):
                return
            old = set(connection.scalars(sa.select(c.task_id).where(c.request_id == request_id)))
            new = {task.task_id: task for task in tasks if task.task_id not in old}
            if new:
                connection.execute(phone_tasks.insert(), [_task_row(request_id, task, now) for task in new.values()])
                self._alarm_tasks(connection, [TaskRecord(request_id, task) for task in new.values()])
            if no_others:
                self._forget_missing(connection, request_id)

    def forget_missing(self, request_id: str) -> None:
        """Do not count what a request did not create, once each of its tasks was seen and is on record."""
        with self.transaction() as connection:
            self._forget_missing(connection, request_id)

    @staticmethod
    def _forget_missing(connection: Connection, request_id: str) -> None:
        a, t = phone_actions.c, phone_tasks.c
        tasks = connection.execute(sa.select(t.serial, t.username, t.target).where(t.request_id == request_id)).all()
        made = {(who, target) for serial, username, target in tasks for who in (serial, username) if who}
        actions = connection.execute(sa.select(a.id, a.actor, a.target_sent).where(a.request_id == request_id)).all()
        found = {(actor, target) for _, actor, target in actions if (actor, target) in made}
        if len(found) == len(tasks):  # otherwise there is a task of which it cannot be told whose it is
            missing = [action_id for action_id, actor, target in actions if (actor, target) not in found]
            connection.execute(phone_actions.delete().where(a.id.in_(missing)))

    def phone_tasks(self, request_ids: Sequence[str], states: Collection[TaskState] | None = None) -> list[TaskResult]:
        """The tasks of requests, by id."""
        return [record.task for record in self.task_records(request_ids, states)]

    def task_records(self, request_ids: Sequence[str], states: Collection[TaskState] | None = None) -> list[TaskRecord]:
        """The tasks of requests, by id, with what is recorded beside them."""
        c = phone_tasks.c
        query = sa.select(phone_tasks).where(c.request_id.in_(request_ids)).order_by(c.task_id, c.id)
        if states is not None:
            query = query.where(c.state.in_(states))
        with self.transaction() as connection:
            return [_task_record(row) for row in connection.execute(query).mappings()]

    def record_tasks(self, changes: Sequence[TaskRecord]) -> list[TaskRecord]:
        """Record what was seen of unfinished tasks; those of `changes` that were recorded.

        A task that has finished meanwhile keeps its state: somebody else, such as a person who deleted it, was faster.
        How often we have retried it is recorded by `count_retry` alone.
        """
        if not changes:
            return []
        with self.transaction() as connection:
            return self._record_tasks(connection, changes, UNFINISHED)

    def count_retry(self, record: TaskRecord) -> bool:
        """Count a retry of a failed task; False if another run that watches it has counted one, or has seen its end."""
        now, c, task = self.now(), phone_tasks.c, record.task
        as_it_was = sa.and_(c.state == TaskState.RETRYING, c.retried_by_us == task.retried_by_us)
        with self.transaction() as connection:
            counted = connection.execute(
                phone_tasks.update()
                .where(c.request_id == record.request_id, c.task_id == task.task_id, as_it_was)
                .values(retried_by_us=task.retried_by_us + 1, failed_at=now, changed_at=now)
            )
            return counted.rowcount == 1

    def restart_task(self, record: TaskRecord) -> None:
        """Record that a person had TikMatrix retry a finished task: whoever finishes open tasks watches it again."""
        pending = record._replace(task=record.task.model_copy(update={"state": TaskState.PENDING}), failed_at=None)
        with self.transaction() as connection:
            if self._record_tasks(connection, [pending], RESTARTABLE):
                connection.execute(
                    phone_requests.update().where(phone_requests.c.id == record.request_id).values(left_open=1)
                )

    def _record_tasks(
        self, connection: Connection, changes: Sequence[TaskRecord], before: Collection[TaskState]
    ) -> list[TaskRecord]:
        """Record those of `changes` whose tasks are still in one of the states `before`."""
        now, c = self.now(), phone_tasks.c
        query = sa.select(c.request_id, c.task_id).where(
            c.request_id.in_({change.request_id for change in changes}), c.state.in_(before)
        )
        open_now = set(map(tuple, connection.execute(query.order_by(c.id).with_for_update())))
        recorded = [change for change in changes if (change.request_id, change.task.task_id) in open_now]
        rows = [
            {
                "of_request": change.request_id,
                "of_task": change.task.task_id,
                **change.task.model_dump(exclude={"task_id", "retried_by_us"}),
                "failed_at": change.failed_at,
                "changed_at": now,
            }
            for change in recorded
        ]
        if rows:
            statement = (
                phone_tasks.update()
                .where(c.request_id == sa.bindparam("of_request"), c.task_id == sa.bindparam("of_task"))
                .values({name: sa.bindparam(name) for name in rows[0] if not name.startswith("of_")})
            )
            connection.execute(statement, rows)
        self._alarm_tasks(connection, recorded)
        return recorded

    def _alarm_tasks(self, connection: Connection, recorded: Sequence[TaskRecord]) -> None:
        """Record alarms for tasks that have just failed, or are gone."""
        alarming = [record for record in recorded if record.task.state.needs_attention]
        if not alarming:
            return
        c = phone_requests.c
        query = sa.select(c.id, c.host, c.script, c.flow_run).where(c.id.in_({r.request_id for r in alarming}))
        about = {row.id: row for row in connection.execute(query)}
        self._alarm(
            connection,
            (
                Alarm(
                    key=f"phone task {record.request_id} {task.task_id} {task.state} {self.now():.3f}",
                    kind="phone task",
                    state=task.state,
                    subject=f"{request.script} on {request.host}",
                    who=task.who,
                    reason=task.remark,
                    cause=cause_of("phone task", task.state, task.remark),
                    flow_run=request.flow_run,
                    ref=str(task.task_id),
                )
                for record in alarming
                for task, request in [(record.task, about[record.request_id])]
            ),
        )

    def task_ids_around(self, request: TaskRequest, shown: Collection[int]) -> tuple[set[int], set[int]]:
        """The ids of our tasks on a request's host, above the highest that TikMatrix had when it was sent.

        Returns:
            Those of requests sent before it, as far as they are among `shown`, are those of a request sent after it, or
            come before the first of these; and those of requests sent after it. If ids have started again from 1, all
            others of before are above it, too: they tell nothing.
        """
        b, number = phone_requests.c, phone_tasks.c.task_id
        begun, highest = request.begun_at or 0.0, request.highest_before or 0
        here = sa.select(number).join(phone_requests, b.id == phone_tasks.c.request_id)
        here = here.where(b.host == request.host, b.id != request.id)
        with self.reading() as connection:
            # Found by the time alone: above that number may be a million tasks of other hosts.
            later = {found for found in connection.scalars(here.where(b.begun_at > begun)) if found > highest}
            before = here.where(number > highest, sa.func.coalesce(b.begun_at, 0.0) < begun)
            asked = [number.in_(some) for some in in_parts({*shown, *later})]
            if later:
                asked.append(number < min(later))
            return {found for each in asked for found in connection.scalars(before.where(each))}, later

    def tasks_on_record(self, host: str, task_ids: Sequence[int], *, since: float) -> set[int]:
        """Those of TikMatrix's ids that are tasks of ours: unfinished, or asked for after `since`.

        Ids may start again from 1 in TikMatrix, so an old record does not own an id for ever.
        """
        query = (
            sa.select(phone_tasks.c.task_id)
            .join(phone_requests, phone_requests.c.id == phone_tasks.c.request_id)
            .where(
                phone_requests.c.host == host,
                phone_tasks.c.task_id.in_(task_ids),
                sa.or_(phone_tasks.c.state.in_(UNFINISHED), phone_requests.c.begun_at >= since),
            )
        )
        with self.transaction() as connection:
            return set(connection.scalars(query))

    def records_of_tasks(self, host: str, task_ids: Sequence[int]) -> list[tuple[TaskRequest, TaskRecord]]:
        """What is on record under TikMatrix's ids, the newest request first."""
        c, b = phone_tasks.c, phone_requests.c
        query = (
            sa.select(phone_tasks, *(column.label(f"request__{column.name}") for column in b))
            .join(phone_requests, b.id == c.request_id)
            .where(b.host == host, c.task_id.in_(task_ids))
            .order_by(b.planned_at.desc(), c.id)
        )
        with self.transaction() as connection:
            return [
                (request_of({column.name: row[f"request__{column.name}"] for column in b}), _task_record(row))
                for row in connection.execute(query).mappings()
            ]

    def task_counts(self, since: float) -> list[tuple[str, str, str, int]]:
        """Phone tasks whose state changed since then: (host, script, state, how many)."""
        b, t = phone_requests.c, phone_tasks.c
        query = (
            sa.select(b.host, b.script, t.state, sa.func.count())
            .join(phone_requests, b.id == t.request_id)
            .where(t.changed_at >= since)
            .group_by(b.host, b.script, t.state)
            .order_by(b.host, b.script, t.state)
        )
        with self.transaction() as connection:
            return [(host, script, state, number) for host, script, state, number in connection.execute(query)]


def _task_row(request_id: str, task: TaskResult, now: float) -> dict[str, Any]:
    return {**task.model_dump(), "request_id": request_id, "failed_at": None, "changed_at": now}


def _task_record(row: RowMapping) -> TaskRecord:
    task = TaskResult.model_validate({name: row[name] for name in TaskResult.model_fields})
    return TaskRecord(row["request_id"], task, row["failed_at"])
