"""Accounts on hold: how many of an account's posts failed in a row, counted where their outcomes are recorded.

Not read from the destinations: one that was refused is claimed again by the next run, and its row then forgets that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.ledger.alarms import AlarmLedger
from reelflow.ledger.schema import holds, sends
from reelflow.records.alarms import Alarm, cause_of
from reelflow.records.clients import shown_client
from reelflow.records.holds import COUNTED, FAILURES, Hold, Streak
from reelflow.records.posts import Account, Outcome

ON_HOLD = sa.select(holds).where(holds.c.held_at.is_not(None)).order_by(holds.c.held_at, holds.c.account_id)
ON_HOLD_AT = ON_HOLD.where(holds.c.service == sa.bindparam("service"))
_SENT_BY = sa.select(sends.c.service, sends.c.flow_run, sends.c.client).where(sends.c.id == sa.bindparam("send"))
_LOCKED = (
    sa.select(holds)
    .where(holds.c.service == sa.bindparam("service"), holds.c.account_id == sa.bindparam("account"))
    .with_for_update()
)


class HoldLedger(AlarmLedger):
    """The part of the ledger that knows which accounts are on hold."""

    def on_hold(self, service: str | None = None) -> list[Hold]:
        """The accounts that are on hold, those that are so for longest first.

        Args:
            service: The posts' service; None for all.
        """
        query, of = (ON_HOLD, {}) if service is None else (ON_HOLD_AT, {"service": service})
        with self.reading() as connection:
            return [_hold_of(row) for row in connection.execute(query, of).mappings()]

    def release_accounts(self, service: str, account_ids: Collection[str]) -> list[Hold]:
        """Let campaigns send to these accounts again, and count failures from 0; those that were on hold."""
        released = []
        with self.transaction() as connection:
            for account_id in sorted(set(account_ids)):  # one order everywhere: no two releases can deadlock
                row = _locked(connection, service, account_id)
                if row is not None and row["held_at"] is not None:
                    released.append(_hold_of(row))
                    _store(connection, service, account_id, Streak(), released_at=self.now())
        return released

    def _count_failures(self, connection: Connection, send_id: str, outcomes: Iterable[Outcome]) -> None:
        """Count outcomes that were just recorded; an account that gets on hold by them is an alarm, once."""
        counted = sorted((o for o in outcomes if o.state in COUNTED), key=lambda o: o.account.id)
        if not counted:
            return
        service, flow_run, client = connection.execute(_SENT_BY, {"send": send_id}).one()
        for outcome in counted:
            if outcome.state in FAILURES:
                connection.execute(self.insert_new(holds), _new_row(service, outcome))
            row = _locked(connection, service, outcome.account.id)
            if row is None:
                continue
            before = _streak_of(row)
            after = before.after(outcome.state, outcome.detail, self.now())
            if after == before:
                continue
            account = Account(id=row["account_id"], platform=row["platform"], name=row["name"])
            _store(connection, service, account.id, after)
            if after.is_on_hold and not before.is_on_hold:
                self._alarm(connection, [_alarm_of(Hold(service, account, after), flow_run, client)])


def _alarm_of(hold: Hold, flow_run: str | None, client: str) -> Alarm:
    streak, state = hold.streak, "ON HOLD"
    why = f": {streak.reason.rstrip('.')}" if streak.reason else ""
    reason = f"Failed {streak.failures} times in a row{why}."
    return Alarm(
        key=f"hold {hold.service} {hold.account.id} {streak.since:.3f}",
        kind="hold",
        state=state,
        subject=hold.account.label,
        who=shown_client(client),
        reason=reason,
        cause=cause_of("hold", state, reason, client),
        flow_run=flow_run,
        ref=hold.account.id,
    )


def _new_row(service: str, outcome: Outcome) -> dict[str, Any]:
    account = outcome.account
    return {
        "service": service, "account_id": account.id, "platform": account.platform, "name": account.name,
        "failures": 0, "since": 0.0, "reason": "",
    }  # fmt: skip


def _locked(connection: Connection, service: str, account_id: str) -> sa.RowMapping | None:
    return connection.execute(_LOCKED, {"service": service, "account": account_id}).mappings().first()


def _store(connection: Connection, service: str, account_id: str, streak: Streak, **more: float) -> None:
    c = holds.c
    values = {
        "failures": streak.failures, "since": streak.since, "reason": streak.reason, "held_at": streak.held_at
    }  # fmt: skip
    ours = holds.update().where(c.service == service, c.account_id == account_id)
    connection.execute(ours.values(**values, **more))


def _streak_of(row: sa.RowMapping) -> Streak:
    return Streak(row["failures"], row["since"], row["reason"], row["held_at"])


def _hold_of(row: sa.RowMapping) -> Hold:
    account = Account(id=row["account_id"], platform=row["platform"], name=row["name"])
    return Hold(row["service"], account, _streak_of(row))
