"""The steps of one send in the ledger, from its claim to its outcomes.

Those that lead to a post (renew, begin, seal, and the release by an attempt) fail for a run whose claim another one, or
a person, has taken or settled, and in a ledger that was replaced. The others record what is known, whoever learns it
and wherever: what became of a post that is out must not be lost.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.errors import ClaimLost
from reelflow.ledger.database import refuse_if_moved
from reelflow.ledger.holds import HoldLedger
from reelflow.ledger.locks import CLAIM_LOCK, lock_advisory
from reelflow.ledger.post_rows import outcome_of
from reelflow.ledger.schema import has_lease, sends
from reelflow.ledger.statements import CHANGE_OWN_SEND, CHANGE_SEND, MOVE, MOVE_ONE, NOTE, NUMBER_IN_STATES, WHO
from reelflow.records.alarms import Alarm, cause_of
from reelflow.records.clients import for_client
from reelflow.records.post_states import (
    ALARMING,
    BEING_SENT,
    EXPLAINED,
    LONGEST_LEASE,
    TOLD_BY_PLATFORMS,
    PostState,
)
from reelflow.records.posts import Outcome, Send, file_name

log = logging.getLogger(__name__)


def lease_is_alive(lease: sa.ColumnElement[float], now: float) -> sa.ColumnElement[bool]:
    """`is_alive` for a column of leases."""
    return sa.and_(has_lease(lease), lease > now, lease <= now + LONGEST_LEASE)


class SendLedger(HoldLedger):
    """The part of the ledger that records what becomes of a send."""

    def renew(self, send_id: str, owner: str) -> None:
        """Show that the run which works on a send is alive.

        Raises:
            ClaimLost: another run has it now, or has settled it.
            LedgerReplaced: the ledger was replaced; the same for the steps below.
        """
        with self.transaction() as connection:
            self._own(connection, send_id, owner, BEING_SENT, lease_until=self.now() + self.lease_seconds)

    def begin(self, send_id: str, owner: str) -> None:
        """Record that the upload begins. Called before the first byte leaves.

        Raises:
            ClaimLost: another run has it now, or has settled it; nothing may be sent.
        """
        now = self.now()
        values = {"lease_until": now + self.lease_seconds, "begun_at": now, "sealed_at": None}
        with self.transaction() as connection:
            self._own(connection, send_id, owner, {PostState.CLAIMED}, **values)
            self._move(connection, send_id, PostState.SENDING, "upload begins")

    def seal(self, send_id: str, owner: str) -> None:
        """Record that the last piece is about to leave: from now on the post may be out.

        Raises:
            ClaimLost: another run has it now, or has released it; the last piece must not be sent.
        """
        now = self.now()
        with self.transaction() as connection:
            lease = now + self.lease_seconds
            self._own(connection, send_id, owner, {PostState.SENDING}, lease_until=lease, sealed_at=now)
            self._note(connection, send_id, PostState.SENDING, "upload complete but for its last piece")

    def accepted(self, send_id: str, history_id: str, reason: str = "accepted by Taisly") -> None:
        """Record the id that Taisly gave the post."""
        with self.transaction() as connection:
            connection.execute(CHANGE_SEND, {"send": send_id, "history_id": history_id, "lease_until": 0})
            self._move(connection, send_id, PostState.ACCEPTED, f"{reason}: history ID {history_id}")

    def release_claim(self, send_id: str, reason: str, *, owner: str | None = None, keep_seconds: float = 0) -> None:
        """Record that it is certain that nothing was posted; others may claim it after `keep_seconds`.

        Args:
            send_id: Ours.
            reason: Why it is certain.
            owner: The attempt that says so; None for a person.
            keep_seconds: How long to keep it, for the same attempt to try again.

        Raises:
            ClaimLost: the attempt does not have it any more.
        """
        values = {"lease_until": self.now() + keep_seconds, "sealed_at": None}
        with self.transaction() as connection:
            if owner is not None:
                self._own(connection, send_id, owner, BEING_SENT, **values)
            else:
                connection.execute(CHANGE_SEND, {"send": send_id, **values})
            self._move(connection, send_id, PostState.CLAIMED, reason)

    def release_dead(self, send_id: str, reason: str) -> None:
        """Release a send whose run has died before its seal; not if it has shown since that it is alive."""
        c = sends.c
        with self.transaction() as connection:
            self._one_at_a_time(connection)
            now = self.now()
            is_dead = sa.and_(
                sa.not_(lease_is_alive(c.lease_until, now)), c.sealed_at.is_(None), c.history_id.is_(None)
            )
            released = connection.execute(
                sends.update().where(c.id == send_id, is_dead).values(owner="", lease_until=0)
            )
            if released.rowcount:
                self._move(connection, send_id, PostState.CLAIMED, reason)

    def answer_lost(self, send_id: str, reason: str) -> None:
        """Record that the post may be out: nobody works on it any more, and it is looked for in the history."""
        with self.transaction() as connection:
            connection.execute(CHANGE_SEND, {"send": send_id, "lease_until": 0})
            self._note(connection, send_id, PostState.SENDING, f"answer lost: {reason}")

    def give_up(self, send_id: str, reason: str) -> list[Outcome]:
        """End a send whose answer was lost as UNCONFIRMED; not if Taisly's id for it has been found since.

        Returns:
            The new outcomes.
        """
        found = sa.select(sends.c.id).where(sends.c.id == send_id, sends.c.history_id.is_(None))
        with self.transaction() as connection:
            self._one_at_a_time(connection)
            if connection.scalar(found) is None:
                return []
            connection.execute(CHANGE_SEND, {"send": send_id, "lease_until": 0})
            return self._move(connection, send_id, PostState.UNCONFIRMED, reason)

    def settle(self, send_id: str, state: PostState, reason: str) -> list[Outcome]:
        """End all destinations of a send that are not settled: REFUSED, UNCONFIRMED, CANCELLED or SUCCESS.

        Returns:
            The new outcomes.
        """
        with self.transaction() as connection:
            connection.execute(CHANGE_SEND, {"send": send_id, "lease_until": 0})
            return self._move(connection, send_id, state, reason)

    def record_outcomes(self, send_id: str, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Record what became of a send at each account; the outcomes that are new."""
        news: list[Outcome] = []
        told = [outcome for outcome in outcomes if outcome.state in TOLD_BY_PLATFORMS]
        if not told:
            return news
        with self.transaction() as connection:
            for outcome in told:
                change = {
                    "send": send_id, "account": outcome.account.id, "before": list(outcome.state.may_come_from),
                    "after": outcome.state, "why": outcome.detail, "at": outcome.link, "now": self.now(),
                }  # fmt: skip
                if connection.execute(MOVE_ONE, change).rowcount:
                    news.append(outcome)
                    reason = outcome.link or outcome.detail
                    self._note(connection, send_id, outcome.state, reason, account_id=outcome.account.id)
            self._alarm_posts(connection, send_id, news)
            self._count_failures(connection, send_id, news)
        return news

    def note_shown(self, shown: Sequence[str], missing: Sequence[Send]) -> None:
        """Record which sends the history shows, by id, and which it does not."""
        c, lost = sends.c, [send.id for send in missing if send.missing_since is None]
        with self.transaction() as connection:
            if shown:
                found = c.id.in_(shown)
                connection.execute(sends.update().where(found, c.missing_since.is_not(None)).values(missing_since=None))
            if lost:
                connection.execute(sends.update().where(c.id.in_(lost)).values(missing_since=self.now()))

    def note_watched(self, sent: Sequence[Send]) -> None:
        """Record that the outcomes of these sends are looked for from now on, if they were not before."""
        if fresh := [send.id for send in sent if send.watched_since is None]:
            with self.transaction() as connection:
                connection.execute(sends.update().where(sends.c.id.in_(fresh)).values(watched_since=self.now()))

    # Inside

    @staticmethod
    def _one_at_a_time(connection: Connection) -> None:
        """Let nobody else claim, seal or release meanwhile; SQLite has one writer anyway."""
        lock_advisory(connection, CLAIM_LOCK)

    def _own(
        self, connection: Connection, send_id: str, owner: str, states: Collection[PostState], **values: Any
    ) -> None:
        """Change a send that is still ours: it has no id yet, and all its destinations are in one of `states`."""
        self._one_at_a_time(connection)
        refuse_if_moved(connection, self.place)
        ours = connection.execute(CHANGE_OWN_SEND, {"send": send_id, "holder": owner, **values}).rowcount
        found = connection.execute(NUMBER_IN_STATES, {"send": send_id, "states": list(states)}).first()
        if ours != 1 or found is None or found.number != len(json.loads(found.accounts)):
            raise ClaimLost(
                "Another run has taken over this post, or has settled it, because this one sent no heartbeat for too "
                "long. This run sends nothing more."
            )

    def _move(self, connection: Connection, send_id: str, after: PostState, reason: str) -> list[Outcome]:
        """Move those destinations of a send to a state that may follow theirs; what they are now."""
        detail = reason if after in EXPLAINED else ""
        before, now = list(after.may_come_from), self.now()
        change = {"send": send_id, "before": before, "after": after, "why": detail, "now": now}
        outcomes = [outcome_of(row) for row in connection.execute(MOVE, change).mappings()]
        if outcomes:
            self._note(connection, send_id, after, reason)
            self._alarm_posts(connection, send_id, outcomes)
            self._count_failures(connection, send_id, outcomes)
        return outcomes

    def _alarm_posts(self, connection: Connection, send_id: str, outcomes: Sequence[Outcome]) -> None:
        """Record alarms for destinations that have just got into a state that people must know."""
        if not (alarming := [outcome for outcome in outcomes if outcome.state in ALARMING]):
            return
        query = sa.select(sends.c.file, sends.c.flow_run, sends.c.client).where(sends.c.id == send_id)
        file, flow_run, client = connection.execute(query).one()
        self._alarm(
            connection,
            (
                Alarm(
                    key=f"post {send_id} {o.account.id} {o.state} {self.now():.3f}",
                    kind="post",
                    state=o.state,
                    subject=file_name(file),
                    who=for_client(client, o.account.label),
                    reason=o.detail,
                    cause=cause_of("post", o.state, o.detail, client),
                    flow_run=flow_run,
                    ref=send_id,
                )
                for o in alarming
            ),
        )

    def _note(
        self, connection: Connection, send_id: str, state: PostState, reason: str, account_id: str | None = None
    ) -> None:
        who = connection.execute(WHO, {"send": send_id}).one()
        event = {"at": self.now(), "send_id": send_id, "account_id": account_id, "state": state, "reason": reason}
        connection.execute(NOTE, {**event, "flow_run": who.flow_run, "owner": who.owner})
        if who.moved_to is not None:
            log.warning(
                "%s (send %s): this is recorded only in the ledger at %s. It was replaced by %s, which finds the post "
                "in Taisly's history.",
                reason, send_id, self.place, who.moved_to,
            )  # fmt: skip
