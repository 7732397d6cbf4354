"""What the ledger knows of phones: what each account has done, and what is planned."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.ledger.database import refuse_if_moved
from reelflow.ledger.locks import PLANNING_LOCK, lock_advisory
from reelflow.ledger.phone_tasks import TaskLedger
from reelflow.ledger.schema import engagements, phone_actions, phone_requests, phone_tasks
from reelflow.records.phone_states import UNFINISHED, UNSETTLED, Earlier, RequestState, TaskState, earlier
from reelflow.records.phones import (
    PhoneHistory,
    PhonePlan,
    PhoneRequest,
    PlanPart,
    TaskRecord,
)

Decide = Callable[[PhoneHistory], PhonePlan]
"""What the limits leave of a request, given what was done before."""


class PhoneLedger(TaskLedger):
    """The part of the ledger that is about phones: what may be asked for."""

    # Plans: read, decided and written in one transaction, so that limits hold for all runs on all machines

    def plan_tasks(
        self,
        request: PhoneRequest,
        decide: Decide,
        *,
        since: float,
        host: str,
        owner: str,
        flow_run: str | None,
        engagement: str | None = None,
    ) -> PhonePlan:
        """Decide what is sent and record it as PLANNED, each task counted for its accounts.

        What the same flow run has planned or created before is not planned again; its requests are in the plan. So are
        those of an earlier run for the same engagement, which is dead: they are this run's from now on. Once a person
        asks for the engagement again, those that have ended are not, and what failed is planned as if it were new.

        Args:
            request: What is asked for.
            decide: From what was done before to the plan.
            since: Unix seconds from which tasks count as today's.
            host: The TikMatrix PC.
            owner: This attempt.
            flow_run: For the record.
            engagement: The id of the engagement that this is a part of.
        """
        now, c = self.now(), phone_requests.c
        with self.transaction() as connection:
            lock_advisory(connection, PLANNING_LOCK)
            refuse_if_moved(connection, self.place)
            self._drop_abandoned(connection, host, flow_run, now)
            ours = c.flow_run == flow_run
            asked_before: sa.ColumnElement[bool] | None = ours if flow_run else None
            if engagement is not None:
                of_it = c.engagement == engagement
                ours, asked_before = (sa.and_(of_it, sa.not_(each(engagement))) for each in (_has_ended, _has_failed))
                connection.execute(phone_requests.update().where(ours).values(flow_run=flow_run))
            plan = decide(self._history(connection, request, since, asked_before))
            for part in plan.parts:
                request_id = uuid.uuid4().hex
                row = self._request_row(request_id, request, part, host, owner, flow_run, now)
                row["engagement"] = engagement
                connection.execute(phone_requests.insert().values(row))
                connection.execute(phone_actions.insert(), list(_actions(request_id, part, request.script, now)))
            found = self._task_requests(
                connection,
                ours,
                c.host == host,
                c.script == request.script,
                c.platform == request.platform,
            )
        alive = [each for each in found if not each.state.made_nothing]
        return replace(
            plan,
            request_ids=tuple(each.id for each in alive),
            task_count=sum(each.expected for each in alive),
            owner=owner,
        )

    def _drop_abandoned(self, connection: Connection, host: str, flow_run: str | None, now: float) -> None:
        """Settle what other runs planned and will not send, because they died before: it does not count."""
        c = phone_requests.c
        other = sa.or_(c.flow_run.is_(None), c.flow_run != flow_run)
        is_over = self._phone_lease_over(c.lease_until, now)
        for request in self._task_requests(connection, c.host == host, c.state == RequestState.PLANNED, is_over, other):
            reason = "its run ended before it was sent"
            self._settle(connection, request.id, RequestState.NOT_CREATED, reason, before={RequestState.PLANNED})

    def _request_row(
        self,
        request_id: str,
        request: PhoneRequest,
        part: PlanPart,
        host: str,
        owner: str,
        flow_run: str | None,
        now: float,
    ) -> dict[str, Any]:
        targets = [text for _, text in part.targets]
        return {
            "id": request_id,
            "host": host,
            "script": request.script,
            "platform": request.platform,
            "config": json.dumps(request.config(targets)),
            "serials": json.dumps([actor.serial for actor in part.actors if not actor.username]),
            "usernames": json.dumps([actor.username for actor in part.actors if actor.username]),
            "targets": json.dumps(targets),
            "start_at": request.start_at,
            "expected": part.task_count,
            "flow_run": flow_run,
            "owner": owner,
            "lease_until": now + self.lease_seconds,
            "state": RequestState.PLANNED,
            "reason": "",
            "left_open": 0,
            "planned_at": now,
        }

    def phone_history(self, request: PhoneRequest, since: float) -> PhoneHistory:
        """What was done before, as a dry run wants to know it."""
        with self.transaction() as connection:
            return self._history(connection, request, since)

    def _history(
        self,
        connection: Connection,
        request: PhoneRequest,
        since: float,
        asked_before: sa.ColumnElement[bool] | None = None,
    ) -> PhoneHistory:
        """`asked_before` says of a request, and of the task of an action, whether it is not to be planned again."""
        accounts = {key for actor in request.actors for key in actor.counted}
        a = phone_actions.c
        own = a.account.in_(accounts)
        today = sa.select(a.account, sa.func.count()).where(own, a.script == request.script, a.at >= since)
        done = sa.select(a.account, a.target).where(own, a.target.in_(list(request.targets)))
        t, r = phone_tasks.c, phone_requests.c
        of_task = sa.and_(t.request_id == r.id, t.target == a.target_sent, a.actor.in_([t.serial, t.username]))
        actions = phone_actions.join(phone_requests, r.id == a.request_id).outerjoin(phone_tasks, of_task)
        here = own, a.script == request.script
        known = sa.select(a.account, a.target, r.state, t.state).select_from(actions)
        known = known.where(*here, a.target.in_(list(request.targets)))
        # Without conditions on the account: then it is read from the run's few requests, not from all of the account.
        by_this_run = sa.select(a.account, a.target).select_from(actions).where(r.script == request.script)
        mine = () if asked_before is None else connection.execute(by_this_run.where(asked_before))
        return PhoneHistory(
            by_this_run=frozenset((x, y) for x, y in mine if x in accounts),
            today=dict(map(tuple, connection.execute(today.group_by(a.account)))),
            done=_strongest(connection.execute(known)),
            followed=frozenset((x, y) for x, y in connection.execute(done.where(a.script == "follow"))),
        )

    def forget_actions(self, records: Iterable[TaskRecord]) -> None:
        """Do not count tasks that certainly did not run, such as one that was cancelled before."""
        a = phone_actions.c
        with self.transaction() as connection:
            for request_id, task, _ in records:
                actor = a.actor.in_([task.serial, task.username])
                connection.execute(
                    phone_actions.delete().where(a.request_id == request_id, actor, a.target_sent == task.target)
                )


def _is_of_before(engagement: str) -> sa.ColumnElement[bool]:
    """Whether a request is of before a person asked for its engagement again."""
    asked_at = sa.select(engagements.c.asked_at).where(engagements.c.id == engagement).scalar_subquery()
    return phone_requests.c.planned_at < sa.func.coalesce(asked_at, 0.0)


def _has_ended(engagement: str) -> sa.ColumnElement[bool]:
    """Whether a request of before has nothing left to watch, or to tell a person to settle."""
    t, r = phone_tasks.c, phone_requests.c
    open_tasks = sa.exists().where(t.request_id == r.id, t.state.in_([*UNFINISHED, TaskState.GONE]))
    is_settled = r.state.not_in([*UNSETTLED, RequestState.UNCONFIRMED])
    return sa.and_(_is_of_before(engagement), is_settled, sa.not_(open_tasks))


def _has_failed(engagement: str) -> sa.ColumnElement[bool]:
    """Whether the task of an action failed before; no task may be seen yet."""
    failed = sa.func.coalesce(phone_tasks.c.state, "") == TaskState.FAILED
    return sa.and_(_is_of_before(engagement), failed)


def _strongest(rows: Iterable[Any]) -> dict[tuple[str, str], Earlier]:
    """What is known of each account and target: rather that it was done than that it was requested."""
    known: dict[tuple[str, str], set[Earlier]] = {}
    for account, target, request, task in rows:
        what = earlier(RequestState(request), None if task is None else TaskState(task))
        known.setdefault((account, target), set()).add(what)
    return {key: next(each for each in Earlier if each in found) for key, found in known.items()}


def _actions(request_id: str, part: PlanPart, script: str, now: float) -> Iterable[dict[str, Any]]:
    for actor in part.actors:
        for key, text in part.targets or (("", ""),):
            for account in actor.counted:
                yield {
                    "request_id": request_id, "account": account, "actor": actor.name, "script": script, "target": key,
                    "target_sent": text, "at": now,
                }  # fmt: skip
