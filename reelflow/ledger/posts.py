"""What is read in the ledger about posts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from reelflow.ledger.database import Database, in_parts
from reelflow.ledger.post_rows import WITH_SENDS, destination_row, outcome_of, post_key, send_of
from reelflow.ledger.schema import destinations, sends
from reelflow.ledger.statements import OUTCOMES
from reelflow.records.post_states import IN_FLIGHT, TOLD_BY_PLATFORMS, PostState
from reelflow.records.posts import Outcome, PostRequest, Send, SendRecord

LATEST = 50
"""So many of our posts are enough to tell whether a history is ours."""


class PostLedger(Database):
    """The part of the ledger that is read about posts."""

    def outcomes(self, request: PostRequest, *, service: str) -> list[tuple[Outcome, Send]]:
        """What is on record for each destination of `request`, in the order of its accounts."""
        if not request.accounts:
            return []
        key = destination_row("", request, request.accounts[0], service, 0)
        wanted = {**post_key(key), "accounts": [account.id for account in request.accounts]}
        with self.reading() as connection:
            rows = connection.execute(OUTCOMES, wanted).mappings()
            found = {row["account_id"]: (outcome_of(row), send_of(row)) for row in rows}
        return [found[a.id] for a in request.accounts if a.id in found]

    def sends(self, ids: Collection[str]) -> list[SendRecord]:
        """Sends by id, each with its destinations."""
        return [each for some in in_parts(ids) for each in self._sends(sends.c.id.in_(some))]

    def open_sends(self, service: str) -> list[SendRecord]:
        """Every send to `service` that has no outcome yet, by any run on any machine, with its open destinations."""
        with_open = sa.select(destinations.c.send_id).where(
            destinations.c.service == service, destinations.c.state.in_(IN_FLIGHT)
        )
        return self._sends(sends.c.id.in_(with_open))

    def recent_sends(self, since: float) -> list[SendRecord]:
        """Sends since then (Unix seconds), and older ones that are scheduled, open or unconfirmed; the oldest first."""
        waits = sa.select(destinations.c.send_id).where(destinations.c.state.in_([*IN_FLIGHT, PostState.UNCONFIRMED]))
        claimed = sa.select(sends.c.id).where(sends.c.claimed_at >= since)
        scheduled = sa.select(sends.c.id).where(sends.c.scheduled_ms >= round(since * 1000))
        return self._sends(sends.c.id.in_(sa.union(waits, claimed, scheduled)))

    def sends_of_videos(self, service: str, sha256s: Collection[str]) -> list[SendRecord]:
        """Every send of these videos, the oldest first."""
        return [
            each
            for some in in_parts(sha256s)
            for each in self._sends(sa.and_(destinations.c.service == service, destinations.c.sha256.in_(some)))
        ]

    def sends_of_flow_run(self, flow_run: str) -> list[SendRecord]:
        """What a flow run sent."""
        return self._sends(sends.c.flow_run == flow_run)

    def has_sent_for(self, client: str) -> bool:
        """Whether anything was sent for a client, by the name of its block."""
        with self.reading() as connection:
            return connection.scalar(sa.select(sends.c.id).where(sends.c.client == client).limit(1)) is not None

    def find(self, *, history_id: str | None = None, state: PostState | None = None) -> list[SendRecord]:
        """Sends by their history id, or those that have a destination in `state`."""
        if history_id is not None:
            return self._sends(sends.c.history_id == history_id)
        return self._sends(sends.c.id.in_(sa.select(destinations.c.send_id).where(destinations.c.state == state)))

    def owned_history_ids(self, service: str, history_ids: Sequence[str]) -> set[str]:
        """Those of `history_ids` that belong to a send on record."""
        with self.reading() as connection:
            query = sa.select(sends.c.history_id).where(sends.c.service == service, sends.c.history_id.in_(history_ids))
            return {str(value) for value in connection.scalars(query)}

    def latest_history_ids(self, service: str, account_ids: Collection[str]) -> set[str]:
        """Taisly's ids of our latest posts to any of these accounts that are out, as far as it has told."""
        c, d = sends.c, destinations.c
        query = (
            sa.select(c.claimed_at, c.history_id)
            .join(destinations, c.id == d.send_id)
            .where(d.service == service, d.account_id == sa.bindparam("account"), c.history_id.is_not(None))
            .where(d.state.in_([PostState.ACCEPTED, *TOLD_BY_PLATFORMS]))
            .order_by(d.changed_at.desc())
            .limit(LATEST)
        )
        found = set[tuple[float, str]]()
        with self.reading() as connection:
            for account in account_ids:  # each ends after so many, however many it has
                found |= {(row.claimed_at, row.history_id) for row in connection.execute(query, {"account": account})}
        return {history_id for _, history_id in sorted(found, reverse=True)[:LATEST]}

    def _sends(self, condition: sa.ColumnElement[bool]) -> list[SendRecord]:
        query = WITH_SENDS.where(condition).order_by(sends.c.claimed_at, destinations.c.id)
        grouped: dict[str, tuple[Send, list[Outcome]]] = {}
        with self.reading() as connection:
            for row in connection.execute(query).mappings():
                grouped.setdefault(row["send_id"], (send_of(row), []))[1].append(outcome_of(row))
        return list(grouped.values())
