"""The outbox of alarms: what went wrong, recorded together with it, and whether people were told.

A row is written in the transaction that records the outcome, so a process that dies right after it loses no alarm:
whoever rings next tells it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.ledger.database import Database
from reelflow.ledger.schema import alarms
from reelflow.records.alarms import Alarm, AlarmGroup, quiet_until
from reelflow.time_zones import DAY

CLAIM_SECONDS = 60.0
"""How long alarms stay with the process that tells them. If it dies, another one tells them after that."""
ALARM_LOCK = 7263551
"""PostgreSQL's advisory lock under which alarms are claimed: two runs do not send two messages for one cause."""


class AlarmLedger(Database):
    """The part of the ledger that is about alarms."""

    def add_alarms(self, found: Iterable[Alarm]) -> None:
        """Record alarms; one whose key is on record already is ignored."""
        with self.transaction() as connection:
            self._alarm(connection, found)

    def alarms_of_runs(self, flow_runs: Collection[str]) -> list[Alarm]:
        """What is on record of flow runs, told or not."""
        query = sa.select(alarms).where(alarms.c.flow_run.in_(flow_runs)).order_by(alarms.c.id)
        with self.transaction() as connection:
            return [_alarm_of(row) for row in connection.execute(query).mappings()]

    def claim_alarms(self) -> list[AlarmGroup]:
        """What is to be told now, by cause. It is this process's to tell, for `CLAIM_SECONDS`.

        A cause that was told a short while ago waits, and so does one that another process is telling.
        """
        now, c = self.now(), alarms.c
        with self.transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({ALARM_LOCK})"))
            rows = list(connection.execute(sa.select(alarms).where(c.told_at.is_(None)).order_by(c.id)).mappings())
            groups: dict[str, list[Alarm]] = {}
            for row in rows:
                groups.setdefault(row["cause"], []).append(_alarm_of(row))
            for row in rows:
                if now < row["claimed_until"] <= now + CLAIM_SECONDS:
                    groups.pop(row["cause"], None)
            told: dict[str, set[float]] = {}
            earlier = sa.select(c.cause, c.told_at).where(c.told_at > now - DAY, c.cause.in_(groups)).distinct()
            for cause, at in connection.execute(earlier) if groups else ():
                told.setdefault(cause, set()).add(at)
            due = [
                AlarmGroup(tuple(group), cause in told)
                for cause, group in groups.items()
                if quiet_until(told.get(cause, ()), now) <= now
            ]
            ids = [alarm.id for group in due for alarm in group.alarms]
            connection.execute(alarms.update().where(c.id.in_(ids)).values(claimed_until=now + CLAIM_SECONDS))
        return due

    def alarms_told(self, told: Sequence[Alarm]) -> None:
        """Record that people were told of these, with one message."""
        self._update_alarms(told, told_at=self.now())

    def release_alarms(self, untold: Sequence[Alarm]) -> None:
        """Record that people could not be told of these: whoever rings next tries again."""
        self._update_alarms(untold, claimed_until=0.0)

    def _update_alarms(self, found: Sequence[Alarm], **values: float) -> None:
        ids = [alarm.id for alarm in found]
        with self.transaction() as connection:
            connection.execute(alarms.update().where(alarms.c.id.in_(ids)).values(**values))

    def _alarm(self, connection: Connection, found: Iterable[Alarm]) -> None:
        """Record alarms in the transaction that records what they are about."""
        now = self.now()
        rows = [{**asdict(alarm), "at": now, "claimed_until": 0.0} for alarm in found]
        for row in rows:
            del row["id"]
        if rows:
            connection.execute(self.insert(alarms).on_conflict_do_nothing(index_elements=["key"]), rows)


def _alarm_of(row: sa.RowMapping) -> Alarm:
    return Alarm(**{name: row[name] for name in Alarm.__dataclass_fields__})
