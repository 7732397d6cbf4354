"""The steps of one request to TikMatrix in the ledger, from its plan to what became of it.

Those of the attempt that sends it fail for one whose request, or whose turn on the host, another attempt or a person
has taken or settled. The others record what is known, whoever learns it, of a request in the state that they saw.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from reelflow.errors import ClaimLost
from reelflow.ledger.alarms import AlarmLedger
from reelflow.ledger.database import refuse_if_moved
from reelflow.ledger.phone_turns import TurnLedger
from reelflow.ledger.schema import IS_UNFINISHED, phone_actions, phone_requests, phone_tasks
from reelflow.records.alarms import Alarm, cause_of
from reelflow.records.phone_states import ALARMING, UNSETTLED, RequestState
from reelflow.records.phones import TaskRequest
from reelflow.wording import listed


class RequestLedger(TurnLedger, AlarmLedger):
    """The part of the ledger that is about requests for phone tasks."""

    def task_requests(
        self,
        *,
        ids: Sequence[str] | None = None,
        flow_run: str | None = None,
        host: str | None = None,
        states: Collection[RequestState] | None = None,
    ) -> list[TaskRequest]:
        """Requests that match all that is given, oldest first."""
        c = phone_requests.c
        conditions = [
            *([c.id.in_(ids)] if ids is not None else []),
            *([c.flow_run == flow_run] if flow_run is not None else []),
            *([c.host == host] if host is not None else []),
            *([c.state.in_(states)] if states is not None else []),
        ]
        with self.transaction() as connection:
            return self._task_requests(connection, *conditions)

    @staticmethod
    def _task_requests(connection: Connection, *conditions: sa.ColumnElement[bool]) -> list[TaskRequest]:
        query = sa.select(phone_requests).where(*conditions).order_by(phone_requests.c.planned_at, phone_requests.c.id)
        return [request_of(row) for row in connection.execute(query).mappings()]

    def open_task_requests(self, host: str) -> list[TaskRequest]:
        """Requests on a host that are not settled, or have unfinished tasks."""
        c = phone_requests.c
        unsettled = sa.select(c.id).where(c.host == host, c.state.in_(UNSETTLED))
        unfinished = sa.select(phone_tasks.c.request_id).where(IS_UNFINISHED)
        with self.transaction() as connection:
            return self._task_requests(connection, c.host == host, c.id.in_(sa.union(unsettled, unfinished)))

    def take_task_requests(self, ids: Sequence[str], owner: str) -> set[str]:
        """Those of the requests that this attempt has, or takes over from one that sent no heartbeat."""
        now, c = self.now(), phone_requests.c
        with self.transaction() as connection:
            free = sa.or_(c.owner == owner, self._phone_lease_over(c.lease_until, now))
            connection.execute(
                phone_requests.update()
                .where(c.id.in_(ids), free)
                .values(owner=owner, lease_until=now + self.lease_seconds)
            )
            return set(connection.scalars(sa.select(c.id).where(c.id.in_(ids), c.owner == owner)))

    def renew_task_requests(self, ids: Sequence[str], owner: str) -> set[str]:
        """Show that this attempt is alive; those of the requests that it still has. It gets back none that it lost."""
        c = phone_requests.c
        with self.transaction() as connection:
            renewed = (
                phone_requests.update()
                .where(c.id.in_(ids), c.owner == owner)
                .values(lease_until=self.now() + self.lease_seconds)
                .returning(c.id)
            )
            return set(connection.scalars(renewed))

    def release_task_requests(self, ids: Sequence[str], owner: str, *, left_open: bool | None) -> None:
        """Record that this attempt is done with the requests; and whether it left unfinished tasks to TikMatrix.

        None leaves that as it was, for an attempt that could not do its work.
        """
        left = {} if left_open is None else {"left_open": int(left_open)}
        with self.transaction() as connection:
            connection.execute(
                phone_requests.update()
                .where(phone_requests.c.id.in_(ids), phone_requests.c.owner == owner)
                .values(lease_until=0, **left)
            )

    def begin_task_request(self, request_id: str, owner: str, highest_before: int) -> None:
        """Record that the request is about to leave.

        Raises:
            ClaimLost: another attempt has it now; nothing may be sent.
            TurnLost: another attempt has the turn on its host now; nothing may be sent.
            LedgerReplaced: another ledger is used in place of this one.
        """
        now = self.now()
        values = {"begun_at": now, "highest_before": highest_before, "lease_until": now + self.lease_seconds}
        with self.transaction() as connection:
            host = connection.scalar(sa.select(phone_requests.c.host).where(phone_requests.c.id == request_id))
            self._keep_turn(connection, host or "", owner)
            refuse_if_moved(connection, self.place)  # after the first write, which waits for a move under way
            before = {RequestState.PLANNED}
            self._own_request(connection, request_id, owner, before, state=RequestState.SENDING, **values)

    def task_request_unsent(
        self, request_id: str, owner: str, reason: str, *, state: RequestState = RequestState.PLANNED
    ) -> None:
        """Record that the attempt which has a request certainly did not send it.

        Args:
            request_id: Ours.
            owner: The attempt.
            reason: Why, for people.
            state: PLANNED, so that it may be tried again; or REFUSED.

        Raises:
            ClaimLost: another attempt has it now, and may have sent it.
        """
        with self.transaction() as connection:
            self._own_request(connection, request_id, owner, UNSETTLED, state=state, reason=reason)
            self._alarm_request(connection, request_id, state, reason)
            self._forget_if_nothing(connection, request_id, state)

    def _own_request(
        self, connection: Connection, request_id: str, owner: str, before: Collection[RequestState], **values: Any
    ) -> None:
        """Change a request that is still this attempt's, and in one of the states `before`."""
        c = phone_requests.c
        ours = connection.execute(
            phone_requests.update().where(c.id == request_id, c.owner == owner, c.state.in_(before)).values(values)
        )
        if ours.rowcount != 1:
            raise ClaimLost(
                "Another run has taken over these phone tasks, or has settled them, because this one sent no heartbeat "
                "for too long. This run sends nothing more."
            )

    def settle_task_request(
        self,
        request_id: str,
        state: RequestState,
        reason: str,
        *,
        before: Collection[RequestState],
        owner: str | None = None,
    ) -> bool:
        """Record what became of a request that created nothing, or of which that cannot be known.

        What certainly created nothing, and never will, does not count for its accounts.

        Args:
            request_id: Ours.
            state: What it is now.
            reason: Why, for people.
            before: The states in which that is true of it. In another one, it stays as it is.
            owner: The attempt that must still have it; None for what is true whoever learns it.

        Returns:
            Whether it was recorded.
        """
        with self.transaction() as connection:
            return self._settle(connection, request_id, state, reason, before=before, owner=owner)

    def _settle(
        self,
        connection: Connection,
        request_id: str,
        state: RequestState,
        reason: str,
        *,
        before: Collection[RequestState],
        owner: str | None = None,
    ) -> bool:
        moved = self._move_request(connection, request_id, state, reason, before=before, owner=owner)
        if moved:
            self._forget_if_nothing(connection, request_id, state)
        return moved

    @staticmethod
    def _forget_if_nothing(connection: Connection, request_id: str, state: RequestState) -> None:
        if state.made_nothing:
            connection.execute(phone_actions.delete().where(phone_actions.c.request_id == request_id))

    def _move_request(
        self,
        connection: Connection,
        request_id: str,
        after: RequestState,
        reason: str,
        *,
        before: Collection[RequestState] = frozenset(RequestState),
        owner: str | None = None,
    ) -> bool:
        """Move a request from a state `before` to one that may follow its own; whether it was moved."""
        c = phone_requests.c
        ours = [c.owner == owner] if owner is not None else []
        was = connection.scalar(sa.select(c.state).where(c.id == request_id))
        moved = connection.execute(
            phone_requests.update()
            .where(c.id == request_id, c.state.in_(after.may_come_from.intersection(before)), *ours)
            .values(state=after, reason=reason)
        )
        if moved.rowcount == 1 and was != after:
            self._alarm_request(connection, request_id, after, reason)
        return moved.rowcount == 1

    def _alarm_request(self, connection: Connection, request_id: str, state: RequestState, reason: str) -> None:
        """Record an alarm for a request that has just got into a state that people must know."""
        if state not in ALARMING:
            return
        c = phone_requests.c
        query = sa.select(c.host, c.script, c.serials, c.usernames, c.flow_run).where(c.id == request_id)
        host, script, serials, usernames, flow_run = connection.execute(query).one()
        alarm = Alarm(
            key=f"phone request {request_id} {state} {self.now():.3f}",
            kind="phone request",
            state=state,
            subject=f"{script} on {host}",
            who=listed(json.loads(serials) or json.loads(usernames)),
            reason=reason,
            cause=cause_of("phone request", state, reason),
            flow_run=flow_run,
            ref=request_id,
        )
        self._alarm(connection, [alarm])


def request_of(row: Mapping[str, Any] | RowMapping) -> TaskRequest:
    """The request of a row."""
    return TaskRequest(
        id=row["id"],
        host=row["host"],
        script=row["script"],
        config=json.loads(row["config"]),
        serials=tuple(json.loads(row["serials"])),
        usernames=tuple(json.loads(row["usernames"])),
        targets=tuple(json.loads(row["targets"])),
        start_at=row["start_at"],
        expected=row["expected"],
        flow_run=row["flow_run"],
        owner=row["owner"],
        lease_until=row["lease_until"],
        state=RequestState(row["state"]),
        reason=row["reason"],
        left_open=bool(row["left_open"]),
        begun_at=row["begun_at"],
        highest_before=row["highest_before"],
    )
