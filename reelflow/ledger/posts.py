"""What is on record of posts: claims, sends, outcomes, and the trail of all that was seen."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from reelflow.errors import ClaimLost
from reelflow.ledger.keys import KeyRecord
from reelflow.ledger.phones import PhoneRecord
from reelflow.ledger.schema import KEY, destinations, events, phone_batches, sends
from reelflow.models import UNDER_WAY, Account, CheckedPost, Claim, Outcome, Send, State

GIVEN_BACK = (State.REFUSED, State.CANCELLED)
"""States in which it is certain that nothing is out: the destination may be claimed again."""


class Ledger(KeyRecord, PhoneRecord):
    """The record behind one URL. Cheap to make; the database is opened at the first use.

    Every method is one transaction, and raises LedgerUnavailable where the database cannot be used.
    """

    # Claim and send

    def claim(self, post: CheckedPost, *, service: str, repeat: int, owner: str, flow_run: str | None = None) -> Claim:
        """Claim those destinations of `post` that nobody has sent to or is sending to.

        A claim whose holder has died before its upload was complete is taken over.
        """
        now = self.now()
        accounts = sorted(post.accounts, key=lambda a: a.id)  # one order everywhere: no two claims can deadlock
        send_id = uuid.uuid4().hex
        mine: list[Account] = []
        waiting: set[str] = set()
        with self.transaction() as connection:
            connection.execute(
                sends.insert().values(self._send_row(send_id, post, service, repeat, owner, flow_run, now))
            )
            for account in accounts:
                row = self._destination_row(send_id, post, account, service, repeat, now)
                fresh = self.insert(destinations).values(row).on_conflict_do_nothing()
                # What came back tells, not the row count, which PostgreSQL's driver does not know for this statement.
                if connection.execute(fresh.returning(destinations.c.id)).first() is not None:
                    mine.append(account)
                    continue
                other = self._locked(connection, row)
                if self._can_be_taken(other, now):
                    connection.execute(
                        destinations.update()
                        .where(destinations.c.id == other["id"])
                        .values(send_id=send_id, state=State.CLAIMED, detail="", link=None, changed_at=now)
                    )
                    mine.append(account)
                elif other["state"] in (State.CLAIMED, State.SENDING) and other["lease_until"] > now:
                    waiting.add(other["send_id"])
            if not mine:
                connection.execute(sends.delete().where(sends.c.id == send_id))
                return Claim(None, [], sorted(waiting))
            ids = json.dumps(sorted(a.id for a in mine))
            connection.execute(sends.update().where(sends.c.id == send_id).values(accounts=ids))
            self._note(connection, send_id, State.CLAIMED, f"claimed for {len(mine)} accounts")
        return Claim(send_id, mine, sorted(waiting))

    @staticmethod
    def _can_be_taken(row: RowMapping, now: float) -> bool:
        if row["state"] in GIVEN_BACK:
            return True
        lost: bool = row["lease_until"] <= now
        if row["state"] == State.CLAIMED:
            return lost
        return bool(row["state"] == State.SENDING and lost and row["sealed_at"] is None)

    def renew(self, send_id: str, owner: str) -> None:
        """Show that the run which works on a send is alive.

        Raises:
            ClaimLost: another run has it now.
        """
        with self.transaction() as connection:
            self._own(connection, send_id, owner, lease_until=self.now() + self.lease_seconds)

    def begin(self, send_id: str, owner: str) -> None:
        """Record that the upload begins. Called before the first byte leaves.

        Raises:
            ClaimLost: another run has it now; nothing may be sent.
        """
        now = self.now()
        with self.transaction() as connection:
            self._own(connection, send_id, owner, lease_until=now + self.lease_seconds, begun_at=now, sealed_at=None)
            self._move(connection, send_id, (State.CLAIMED,), State.SENDING, "upload begins")

    def seal(self, send_id: str, owner: str) -> None:
        """Record that the last piece is about to leave: from now on the post may be out.

        Raises:
            ClaimLost: another run has it now; the last piece must not be sent.
        """
        now = self.now()
        with self.transaction() as connection:
            self._own(connection, send_id, owner, lease_until=now + self.lease_seconds, sealed_at=now)
            self._note(connection, send_id, State.SENDING, "upload complete but for its last piece")

    def accepted(self, send_id: str, history_id: str, words: str = "accepted by Taisly") -> None:
        """Record the id that Taisly gave the post."""
        with self.transaction() as connection:
            connection.execute(sends.update().where(sends.c.id == send_id).values(history_id=history_id, lease_until=0))
            self._move(
                connection,
                send_id,
                (State.CLAIMED, State.SENDING, State.UNCONFIRMED),
                State.ACCEPTED,
                f"{words}: history id {history_id}",
            )

    def give_back(self, send_id: str, words: str, *, keep_seconds: float = 0) -> None:
        """Record that it is certain that nothing was posted; others may claim it after `keep_seconds`."""
        lease = self.now() + keep_seconds
        with self.transaction() as connection:
            connection.execute(sends.update().where(sends.c.id == send_id).values(lease_until=lease, sealed_at=None))
            self._move(connection, send_id, (State.CLAIMED, State.SENDING, State.UNCONFIRMED), State.CLAIMED, words)

    def answer_lost(self, send_id: str, words: str) -> None:
        """Record that the post may be out: nobody works on it any more, and it is looked for in the history."""
        with self.transaction() as connection:
            connection.execute(sends.update().where(sends.c.id == send_id).values(lease_until=0))
            self._note(connection, send_id, State.SENDING, f"answer lost: {words}")

    def settle(self, send_id: str, state: State, words: str) -> None:
        """End all destinations of a send that are still under way: REFUSED, UNCONFIRMED, CANCELLED or SUCCESS."""
        with self.transaction() as connection:
            before = (State.CLAIMED, State.SENDING, State.ACCEPTED, State.UNCONFIRMED)
            connection.execute(sends.update().where(sends.c.id == send_id).values(lease_until=0))
            self._move(connection, send_id, before, state, words)

    def record(self, send_id: str, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Record what became of a send at each account; the outcomes that are news."""
        news = []
        with self.transaction() as connection:
            for outcome in outcomes:
                if outcome.state not in (State.SUCCESS, State.FAILED):
                    continue
                changed = connection.execute(
                    destinations.update()
                    .where(
                        destinations.c.send_id == send_id,
                        destinations.c.account_id == outcome.account.id,
                        destinations.c.state == State.ACCEPTED,
                    )
                    .values(state=outcome.state, detail=outcome.detail, link=outcome.link, changed_at=self.now())
                )
                if changed.rowcount:
                    news.append(outcome)
                    words = outcome.link or outcome.detail
                    self._note(connection, send_id, outcome.state, words, account_id=outcome.account.id)
        return news

    # Reading

    def outcomes(self, post: CheckedPost, *, service: str, repeat: int) -> list[tuple[Outcome, Send]]:
        """What is on record for each destination of `post`, in the order of its accounts."""
        with self.transaction() as connection:
            found = {}
            for account in post.accounts:
                key = self._destination_row("", post, account, service, repeat, 0)
                row = (
                    connection.execute(
                        sa.select(destinations, *_prefixed(sends))
                        .join(sends, sends.c.id == destinations.c.send_id)
                        .where(*(destinations.c[name] == key[name] for name in KEY))
                    )
                    .mappings()
                    .first()
                )
                if row is not None:
                    found[account.id] = (_outcome(row), _send(row))
        return [found[a.id] for a in post.accounts if a.id in found]

    def sends(self, ids: Sequence[str]) -> list[tuple[Send, list[Outcome]]]:
        """Sends by id, each with its destinations."""
        return self._sends(sends.c.id.in_(ids))

    def open_sends(self, service: str) -> list[tuple[Send, list[Outcome]]]:
        """Every send to `service` that has no outcome yet, by any run on any machine, with its open destinations."""
        with_open = sa.select(destinations.c.send_id).where(
            destinations.c.service == service, destinations.c.state.in_(UNDER_WAY)
        )
        return self._sends(sends.c.id.in_(with_open))

    def sends_of_flow_run(self, flow_run: str) -> list[tuple[Send, list[Outcome]]]:
        """What a flow run sent."""
        return self._sends(sends.c.flow_run == flow_run)

    def find(self, *, history_id: str | None = None, state: State | None = None) -> list[tuple[Send, list[Outcome]]]:
        """Sends by their history id, or those that have a destination in `state`."""
        if history_id is not None:
            return self._sends(sends.c.history_id == history_id)
        return self._sends(sends.c.id.in_(sa.select(destinations.c.send_id).where(destinations.c.state == state)))

    def owned(self, service: str, history_ids: Sequence[str]) -> set[str]:
        """Those of `history_ids` that belong to a send on record."""
        with self.transaction() as connection:
            query = sa.select(sends.c.history_id).where(sends.c.service == service, sends.c.history_id.in_(history_ids))
            return {str(value) for value in connection.scalars(query)}

    def post_counts(self, since: float) -> list[tuple[str, str, str, int]]:
        """Destinations whose state changed since then: (platform, account, state, how many)."""
        d = destinations.c
        query = (
            sa.select(d.platform, d.name, d.state, sa.func.count())
            .where(d.changed_at >= since)
            .group_by(d.platform, d.name, d.state)
            .order_by(d.platform, d.name, d.state)
        )
        with self.transaction() as connection:
            return [(p, name, state, number) for p, name, state, number in connection.execute(query)]

    def runs_alive(self) -> set[str]:
        """Flow runs that hold a lease now: they have shown within seconds that they are at work."""
        now = self.now()
        with self.transaction() as connection:
            posting = sa.select(sends.c.flow_run).where(sends.c.lease_until > now)
            phoning = sa.select(phone_batches.c.flow_run).where(phone_batches.c.lease_until > now)
            return {run for run in (*connection.scalars(posting), *connection.scalars(phoning)) if run}

    def trail(self, send_id: str) -> list[dict[str, Any]]:
        """All that was seen of a send, oldest first. It is only ever added to."""
        with self.transaction() as connection:
            query = sa.select(events).where(events.c.send_id == send_id).order_by(events.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    def _sends(self, condition: sa.ColumnElement[bool]) -> list[tuple[Send, list[Outcome]]]:
        query = (
            sa.select(destinations, *_prefixed(sends))
            .join(sends, sends.c.id == destinations.c.send_id)
            .where(condition)
            .order_by(sends.c.claimed_at, destinations.c.id)
        )
        grouped: dict[str, tuple[Send, list[Outcome]]] = {}
        with self.transaction() as connection:
            for row in connection.execute(query).mappings():
                grouped.setdefault(row["send_id"], (_send(row), []))[1].append(_outcome(row))
        return list(grouped.values())

    # Inside

    @staticmethod
    def _locked(connection: Connection, key: dict[str, Any]) -> RowMapping:
        query = (
            sa.select(destinations, sends.c.lease_until, sends.c.sealed_at)
            .join(sends, sends.c.id == destinations.c.send_id)
            .where(*(destinations.c[name] == key[name] for name in KEY))
            .with_for_update(of=destinations)
        )
        return connection.execute(query).mappings().one()

    @staticmethod
    def _own(connection: Connection, send_id: str, owner: str, **values: Any) -> None:
        """Change a send that is still ours: none of its destinations has been taken over."""
        ours = connection.execute(
            sends.update().where(sends.c.id == send_id, sends.c.owner == owner).values(**values)
        ).rowcount
        count = sa.select(sa.func.count()).where(destinations.c.send_id == send_id)
        held = connection.scalar(count) or 0
        wanted = connection.scalar(sa.select(sends.c.accounts).where(sends.c.id == send_id)) or "[]"
        if ours != 1 or held != len(json.loads(wanted)):
            raise ClaimLost(
                "Another run has taken this post over, because this one gave no sign of life for too long. "
                "This run sends nothing."
            )

    def _move(self, connection: Connection, send_id: str, before: Sequence[State], after: State, words: str) -> None:
        detail = words if after in (State.REFUSED, State.UNCONFIRMED, State.CANCELLED) else ""
        moved = connection.execute(
            destinations.update()
            .where(destinations.c.send_id == send_id, destinations.c.state.in_(before))
            .values(state=after, detail=detail, changed_at=self.now())
        )
        if moved.rowcount:
            self._note(connection, send_id, after, words)

    def _note(
        self, connection: Connection, send_id: str, state: State, words: str, account_id: str | None = None
    ) -> None:
        who = sa.select(sends.c.flow_run, sends.c.owner).where(sends.c.id == send_id)
        row = connection.execute(who).mappings().one()
        connection.execute(
            events.insert().values(
                at=self.now(), send_id=send_id, account_id=account_id, state=state, words=words, **row
            )
        )

    def _send_row(
        self, send_id: str, post: CheckedPost, service: str, repeat: int, owner: str, flow_run: str | None, now: float
    ) -> dict[str, Any]:
        return {
            "id": send_id,
            "service": service,
            "sha256": post.video.sha256,
            "file": str(post.video.path),
            "caption": post.caption,
            "accounts": "[]",
            "scheduled_ms": _ms(post),
            "repeat": repeat,
            "flow_run": flow_run,
            "owner": owner,
            "lease_until": now + self.lease_seconds,
            "claimed_at": now,
        }

    @staticmethod
    def _destination_row(
        send_id: str, post: CheckedPost, account: Account, service: str, repeat: int, now: float
    ) -> dict[str, Any]:
        return {
            "service": service,
            "sha256": post.video.sha256,
            "account_id": account.id,
            "caption_sha256": hashlib.sha256(post.caption.encode()).hexdigest(),
            "scheduled_ms": _ms(post),
            "repeat": repeat,
            "platform": account.platform,
            "name": account.name,
            "state": State.CLAIMED,
            "detail": "",
            "send_id": send_id,
            "changed_at": now,
        }


def _ms(post: CheckedPost) -> int:
    return 0 if post.scheduled_for is None else round(post.scheduled_for.timestamp() * 1000)


def _prefixed(table: sa.Table) -> list[sa.Label[Any]]:
    return [column.label(f"send__{column.name}") for column in table.c]


def _send(row: RowMapping) -> Send:
    fields = ("id", "service", "sha256", "file", "caption", "scheduled_ms", "repeat", "flow_run", "owner",
              "lease_until", "begun_at", "sealed_at", "history_id")  # fmt: skip
    return Send(account_ids=tuple(json.loads(row["send__accounts"])), **{f: row[f"send__{f}"] for f in fields})


def _outcome(row: RowMapping) -> Outcome:
    account = Account(id=row["account_id"], platform=row["platform"], name=row["name"])
    return Outcome(account=account, state=State(row["state"]), detail=row["detail"], link=row["link"])
