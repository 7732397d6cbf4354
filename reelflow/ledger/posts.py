"""What the ledger knows of posts: claims, sends, outcomes, and the trail of all that was seen."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from reelflow.errors import ClaimLost
from reelflow.ledger.database import Database, refuse_if_moved
from reelflow.ledger.schema import KEY, destinations, events, sends
from reelflow.records.duplicates import SAME_LENGTH, UNSETTLED, Duplicate, Verdict, duplicate_of
from reelflow.records.post_states import (
    BEING_SENT,
    EXPLAINED,
    IN_FLIGHT,
    LONGEST_LEASE,
    TOLD_BY_PLATFORMS,
    PostState,
    is_held,
    may_be_claimed,
)
from reelflow.records.posts import Account, Claim, Outcome, PostRequest, Send, SendRecord, plain_caption

CLAIM_LOCK = 7263550
"""PostgreSQL's advisory lock under which claims are made, sealed and released: none overlooks another."""


class DuplicateFound(Exception):
    """A claim was not made, because of these earlier sends."""

    def __init__(self, found: Sequence[Duplicate]) -> None:
        super().__init__(f"{len(found)} earlier sends")
        self.found = found


class PostLedger(Database):
    """The part of the ledger that is about posts."""

    # Claim and send

    def claim(self, request: PostRequest, *, service: str, owner: str, flow_run: str | None = None) -> Claim:
        """Claim those destinations of `request` that nobody has sent to or is sending to.

        A claim whose holder has died before its upload was complete is taken over.

        Raises:
            DuplicateFound: the same post, with something changed, has been sent to one of them. Nothing is claimed.
            LedgerUnavailable: the ledger has been moved since it was opened.
        """
        now = self.now()
        accounts = sorted(request.accounts, key=lambda a: a.id)  # one order everywhere: no two claims can deadlock
        send_id = uuid.uuid4().hex
        mine: list[Account] = []
        waiting: set[str] = set()
        settled: set[str] = set()
        with self.transaction() as connection:
            self._one_at_a_time(connection)
            refuse_if_moved(connection, self.place)
            connection.execute(sends.insert().values(self._send_row(send_id, request, service, owner, flow_run, now)))
            for account in accounts:
                row = self._destination_row(send_id, request, account, service, now)
                fresh = self.insert(destinations).values(row).on_conflict_do_nothing()
                # What came back tells, not the row count, which PostgreSQL's driver does not know for this statement.
                if connection.execute(fresh.returning(destinations.c.id)).first() is not None:
                    mine.append(account)
                    continue
                other = self._locked(connection, row)
                held = {"lease_until": other["lease_until"], "now": now}
                state = PostState(other["state"])
                if may_be_claimed(state, sealed_at=other["sealed_at"], **held):
                    connection.execute(
                        destinations.update()
                        .where(destinations.c.id == other["id"])
                        .values(send_id=send_id, state=PostState.CLAIMED, detail="", link=None, changed_at=now)
                    )
                    mine.append(account)
                elif is_held(state, **held):
                    waiting.add(other["send_id"])
                else:
                    settled.add(other["send_id"])
            if not mine:
                connection.execute(sends.delete().where(sends.c.id == send_id))
                return Claim(None, [], sorted(waiting), sorted(settled))
            earlier = self._earlier(connection, request, service, mine, now)
            if refused := [each for each in _duplicates(request, earlier, now) if each.verdict is Verdict.REFUSE]:
                raise DuplicateFound(refused)
            self._fence(connection, earlier, now)
            ids = json.dumps(sorted(a.id for a in mine))
            connection.execute(sends.update().where(sends.c.id == send_id).values(accounts=ids))
            self._note(connection, send_id, PostState.CLAIMED, f"claimed for {len(mine)} accounts")
        return Claim(send_id, mine, sorted(waiting), sorted(settled))

    def duplicates(self, request: PostRequest, *, service: str) -> list[Duplicate]:
        """Earlier sends of the same or a similar video to those accounts of `request` that a claim would get."""
        left = self.claimable(request, service=service)
        with self.transaction() as connection:
            now = self.now()
            return _duplicates(request, self._earlier(connection, request, service, left, now), now)

    def claimable(self, request: PostRequest, *, service: str) -> list[Account]:
        """Those accounts of `request` that a claim would get: to the others it was sent before."""
        now = self.now()
        taken = {
            outcome.account.id
            for outcome, send in self.outcomes(request, service=service)
            if not may_be_claimed(outcome.state, lease_until=send.lease_until, sealed_at=send.sealed_at, now=now)
        }
        return [account for account in request.accounts if account.id not in taken]

    def _earlier(
        self, connection: Connection, request: PostRequest, service: str, accounts: Sequence[Account], now: float
    ) -> list[tuple[Send, Outcome]]:
        """Other sends to these accounts that may be of the same video. None if it is sent again on purpose."""
        if request.repeat or not accounts:
            return []
        d, key = destinations.c, self._destination_row("", request, accounts[0], service, now)
        same_post = sa.and_(*(d[name] == key[name] for name in KEY if name != "account_id"))
        length = request.video.duration
        query = _WITH_SENDS.where(
            d.service == service,
            d.account_id.in_([account.id for account in accounts]),
            sa.not_(same_post),
            sa.or_(
                d.state.in_(UNSETTLED),
                d.changed_at > now - request.duplicate_seconds,
                d.scheduled_ms > (now - request.duplicate_seconds) * 1000,
            ),
            sa.or_(
                d.sha256 == request.video.sha256, sends.c.duration.between(length - SAME_LENGTH, length + SAME_LENGTH)
            ),
        )
        rows = connection.execute(query.order_by(d.changed_at.desc())).mappings()
        return [(_send(row), _outcome(row)) for row in rows]

    @staticmethod
    def _fence(connection: Connection, earlier: Sequence[tuple[Send, Outcome]], now: float) -> None:
        """Take away the claims of sends whose runs seem dead: one that comes back must not send beside this one."""
        dead = {
            send.id
            for send, outcome in earlier
            if outcome.state in BEING_SENT
            and may_be_claimed(outcome.state, lease_until=send.lease_until, sealed_at=send.sealed_at, now=now)
        }
        if dead:
            connection.execute(sends.update().where(sends.c.id.in_(dead)).values(owner="", lease_until=0))

    @staticmethod
    def _one_at_a_time(connection: Connection) -> None:
        """Let nobody else claim, seal or release meanwhile; SQLite has one writer anyway."""
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({CLAIM_LOCK})"))

    def renew(self, send_id: str, owner: str) -> None:
        """Show that the run which works on a send is alive.

        Raises:
            ClaimLost: another run has it now, or has settled it.
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
            connection.execute(sends.update().where(sends.c.id == send_id).values(history_id=history_id, lease_until=0))
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
                connection.execute(sends.update().where(sends.c.id == send_id).values(values))
            self._move(connection, send_id, PostState.CLAIMED, reason)

    def release_dead(self, send_id: str, reason: str) -> None:
        """Release a send whose run has died before its seal; not if it has shown since that it is alive."""
        c = sends.c
        with self.transaction() as connection:
            self._one_at_a_time(connection)
            now = self.now()
            is_over = sa.or_(c.lease_until <= now, c.lease_until > now + LONGEST_LEASE)
            is_dead = sa.and_(is_over, c.sealed_at.is_(None), c.history_id.is_(None))
            released = connection.execute(
                sends.update().where(c.id == send_id, is_dead).values(owner="", lease_until=0)
            )
            if released.rowcount:
                self._move(connection, send_id, PostState.CLAIMED, reason)

    def answer_lost(self, send_id: str, reason: str) -> None:
        """Record that the post may be out: nobody works on it any more, and it is looked for in the history."""
        with self.transaction() as connection:
            connection.execute(sends.update().where(sends.c.id == send_id).values(lease_until=0))
            self._note(connection, send_id, PostState.SENDING, f"answer lost: {reason}")

    def settle(self, send_id: str, state: PostState, reason: str) -> list[Outcome]:
        """End all destinations of a send that are not settled: REFUSED, UNCONFIRMED, CANCELLED or SUCCESS.

        Returns:
            The new outcomes.
        """
        with self.transaction() as connection:
            connection.execute(sends.update().where(sends.c.id == send_id).values(lease_until=0))
            return self._move(connection, send_id, state, reason)

    def record_outcomes(self, send_id: str, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Record what became of a send at each account; the outcomes that are new."""
        news = []
        with self.transaction() as connection:
            for outcome in outcomes:
                if outcome.state not in TOLD_BY_PLATFORMS:
                    continue
                changed = connection.execute(
                    destinations.update()
                    .where(
                        destinations.c.send_id == send_id,
                        destinations.c.account_id == outcome.account.id,
                        destinations.c.state.in_(outcome.state.may_come_from),
                    )
                    .values(state=outcome.state, detail=outcome.detail, link=outcome.link, changed_at=self.now())
                )
                if changed.rowcount:
                    news.append(outcome)
                    reason = outcome.link or outcome.detail
                    self._note(connection, send_id, outcome.state, reason, account_id=outcome.account.id)
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

    # Reading

    def outcomes(self, request: PostRequest, *, service: str) -> list[tuple[Outcome, Send]]:
        """What is on record for each destination of `request`, in the order of its accounts."""
        if not request.accounts:
            return []
        key = self._destination_row("", request, request.accounts[0], service, 0)
        query = _WITH_SENDS.where(
            *(destinations.c[name] == key[name] for name in KEY if name != "account_id"),
            destinations.c.account_id.in_([account.id for account in request.accounts]),
        )
        with self.transaction() as connection:
            found = {row["account_id"]: (_outcome(row), _send(row)) for row in connection.execute(query).mappings()}
        return [found[a.id] for a in request.accounts if a.id in found]

    def sends(self, ids: Collection[str]) -> list[SendRecord]:
        """Sends by id, each with its destinations."""
        return self._sends(sends.c.id.in_(ids))

    def open_sends(self, service: str) -> list[SendRecord]:
        """Every send to `service` that has no outcome yet, by any run on any machine, with its open destinations."""
        with_open = sa.select(destinations.c.send_id).where(
            destinations.c.service == service, destinations.c.state.in_(IN_FLIGHT)
        )
        return self._sends(sends.c.id.in_(with_open))

    def sends_of_flow_run(self, flow_run: str) -> list[SendRecord]:
        """What a flow run sent."""
        return self._sends(sends.c.flow_run == flow_run)

    def find(self, *, history_id: str | None = None, state: PostState | None = None) -> list[SendRecord]:
        """Sends by their history id, or those that have a destination in `state`."""
        if history_id is not None:
            return self._sends(sends.c.history_id == history_id)
        return self._sends(sends.c.id.in_(sa.select(destinations.c.send_id).where(destinations.c.state == state)))

    def owned_history_ids(self, service: str, history_ids: Sequence[str]) -> set[str]:
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

    def _sends(self, condition: sa.ColumnElement[bool]) -> list[SendRecord]:
        query = _WITH_SENDS.where(condition).order_by(sends.c.claimed_at, destinations.c.id)
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

    def _own(
        self, connection: Connection, send_id: str, owner: str, states: Collection[PostState], **values: Any
    ) -> None:
        """Change a send that is still ours: it has no id yet, and all its destinations are in one of `states`."""
        self._one_at_a_time(connection)
        c = sends.c
        ours = connection.execute(
            sends.update().where(c.id == send_id, c.owner == owner, c.history_id.is_(None)).values(**values)
        ).rowcount
        count = sa.select(sa.func.count()).where(destinations.c.send_id == send_id, destinations.c.state.in_(states))
        held = connection.scalar(count) or 0
        wanted = connection.scalar(sa.select(c.accounts).where(c.id == send_id)) or "[]"
        if ours != 1 or held != len(json.loads(wanted)):
            raise ClaimLost(
                "Another run has taken over this post, or has settled it, because this one sent no heartbeat for too "
                "long. This run sends nothing."
            )

    def _move(self, connection: Connection, send_id: str, after: PostState, reason: str) -> list[Outcome]:
        """Move those destinations of a send to a state that may follow theirs; what they are now."""
        detail = reason if after in EXPLAINED else ""
        moved = (
            destinations.update()
            .where(destinations.c.send_id == send_id, destinations.c.state.in_(after.may_come_from))
            .values(state=after, detail=detail, changed_at=self.now())
            .returning(destinations)
        )
        outcomes = [_outcome(row) for row in connection.execute(moved).mappings()]
        if outcomes:
            self._note(connection, send_id, after, reason)
        return outcomes

    def _note(
        self, connection: Connection, send_id: str, state: PostState, reason: str, account_id: str | None = None
    ) -> None:
        who = sa.select(sends.c.flow_run, sends.c.owner).where(sends.c.id == send_id)
        row = connection.execute(who).mappings().one()
        connection.execute(
            events.insert().values(
                at=self.now(), send_id=send_id, account_id=account_id, state=state, reason=reason, **row
            )
        )

    def _send_row(
        self,
        send_id: str,
        request: PostRequest,
        service: str,
        owner: str,
        flow_run: str | None,
        now: float,
    ) -> dict[str, Any]:
        return {
            "id": send_id,
            "service": service,
            "sha256": request.video.sha256,
            "file": str(request.video.path),
            "caption": request.caption,
            "accounts": "[]",
            "scheduled_ms": request.scheduled_ms,
            "flow_run": flow_run,
            "owner": owner,
            "lease_until": now + self.lease_seconds,
            "claimed_at": now,
            "duration": request.video.duration,
            "pictures": json.dumps(request.video.pictures),
        }

    @staticmethod
    def _destination_row(
        send_id: str, request: PostRequest, account: Account, service: str, now: float
    ) -> dict[str, Any]:
        return {
            "service": service,
            "sha256": request.video.sha256,
            "account_id": account.id,
            "caption_sha256": hashlib.sha256(plain_caption(request.caption).encode()).hexdigest(),
            "scheduled_ms": request.scheduled_ms,
            "repeat": request.repeat,
            "platform": account.platform,
            "name": account.name,
            "state": PostState.CLAIMED,
            "detail": "",
            "send_id": send_id,
            "changed_at": now,
        }


def _duplicates(request: PostRequest, earlier: Sequence[tuple[Send, Outcome]], now: float) -> list[Duplicate]:
    """What earlier sends mean for a post, refusals first."""
    found = [duplicate_of(request, send, outcome, now=now) for send, outcome in earlier]
    return sorted((each for each in found if each), key=lambda each: each.verdict is not Verdict.REFUSE)


_WITH_SENDS = sa.select(destinations, *(column.label(f"send__{column.name}") for column in sends.c)).join(
    sends, sends.c.id == destinations.c.send_id
)
"""Destinations with their sends, whose columns begin with ``send__``. Built once: building costs more than asking."""


def _send(row: RowMapping) -> Send:
    fields = ("id", "service", "sha256", "file", "caption", "scheduled_ms", "flow_run", "owner",
              "lease_until", "begun_at", "sealed_at", "history_id", "watched_since", "missing_since", "claimed_at",
              "duration")  # fmt: skip
    return Send(
        account_ids=tuple(json.loads(row["send__accounts"])),
        pictures=tuple(json.loads(row["send__pictures"])),
        **{f: row[f"send__{f}"] for f in fields},
    )


def _outcome(row: RowMapping) -> Outcome:
    account = Account(id=row["account_id"], platform=row["platform"], name=row["name"])
    return Outcome(account=account, state=PostState(row["state"]), detail=row["detail"], link=row["link"])
