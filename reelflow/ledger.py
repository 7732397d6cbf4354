"""The durable record of what was sent, and the only file with SQL.

One row for each destination of each post, claimed before anything is sent, so that two runs, two workers or two
machines cannot both send it. SQLite by default; PostgreSQL by URL where workers run on several machines.

States of a destination::

    CLAIMED ──► SENDING ──► ACCEPTED ──► SUCCESS | FAILED
       ▲           │            └──────► CANCELLED
       │           ├──► REFUSED
       │           └──► UNCONFIRMED   (may be out; a person decides)
       └── given back when it is certain that nothing was posted

A send is *sealed* just before the last piece of its upload leaves. A send that died unsealed cannot have been
posted, and is given back; one that died sealed may have been, and is looked for in Taisly's history.

Times are Unix seconds of this machine's clock. Leases are long against the differences that clocks kept by NTP have.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from platformdirs import user_data_path
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, RowMapping

from reelflow.errors import ClaimLost, InputError, LedgerUnavailable
from reelflow.models import Account, CheckedPost, Claim, Outcome, Send, State

HEAD = "0001"
"""The newest migration."""
LEASE_SECONDS = 20.0
"""How long a send stays its run's without a sign of life; a live run gives one every few seconds."""
LEASE_VARIABLE = "REELFLOW_LEASE_SECONDS"
HOUR = 3600.0
HOUR_SLACK = 60.0
"""Seconds added to the hour in which requests are counted, since Taisly's clock sees each a little later than ours."""
BUSY_TIMEOUT_MS = 30_000
URL_VARIABLE = "REELFLOW_LEDGER_URL"

metadata = sa.MetaData()
_S, _T, _F = sa.String, sa.Text, sa.Float
sends = sa.Table(
    "sends",
    metadata,
    sa.Column("id", _S(32), primary_key=True),
    sa.Column("service", _S(200), nullable=False),
    sa.Column("sha256", _S(64), nullable=False),
    sa.Column("file", _T, nullable=False),
    sa.Column("caption", _T, nullable=False),
    sa.Column("accounts", _T, nullable=False),
    sa.Column("scheduled_ms", sa.BigInteger, nullable=False),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("flow_run", _S(36)),
    sa.Column("owner", _S(32), nullable=False),
    sa.Column("lease_until", _F, nullable=False),
    sa.Column("claimed_at", _F, nullable=False),
    sa.Column("begun_at", _F),
    sa.Column("sealed_at", _F),
    sa.Column("history_id", _S(100)),
    sa.UniqueConstraint("service", "history_id", name="one_send_owns_a_history_id"),
)
_KEY = ("service", "sha256", "account_id", "caption_sha256", "scheduled_ms", "repeat")
destinations = sa.Table(
    "destinations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("service", _S(200), nullable=False),
    sa.Column("sha256", _S(64), nullable=False),
    sa.Column("account_id", _S(100), nullable=False),
    sa.Column("caption_sha256", _S(64), nullable=False),
    sa.Column("scheduled_ms", sa.BigInteger, nullable=False),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("platform", _S(50), nullable=False),
    sa.Column("name", _T, nullable=False),
    sa.Column("state", _S(20), nullable=False),
    sa.Column("detail", _T, nullable=False),
    sa.Column("link", _T),
    sa.Column("send_id", _S(32), sa.ForeignKey("sends.id"), nullable=False),
    sa.Column("changed_at", _F, nullable=False),
    sa.UniqueConstraint(*_KEY, name="one_claim_a_destination"),
    sa.Index("destinations_by_state", "service", "state"),
    sa.Index("destinations_by_send", "send_id"),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", _F, nullable=False),
    sa.Column("send_id", _S(32), nullable=False),
    sa.Column("account_id", _S(100)),
    sa.Column("flow_run", _S(36)),
    sa.Column("owner", _S(32), nullable=False),
    sa.Column("state", _S(20), nullable=False),
    sa.Column("words", _T, nullable=False),
    sa.Index("events_by_send", "send_id"),
)
requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", _S(32), primary_key=True),
    sa.Column("api_key", _S(64), nullable=False),
    sa.Column("at", _F, nullable=False),
    sa.Column("kind", _S(10), nullable=False),
    sa.Index("requests_by_key", "api_key", "at"),
)
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("api_key", _S(64), primary_key=True),
    sa.Column("blocked_until", _F, nullable=False),
    sa.Column("reader", _S(32), nullable=False),
    sa.Column("reader_until", _F, nullable=False),
    sa.Column("next_look", _F, nullable=False),
    sa.Column("pause", _F, nullable=False),
    sa.Column("accounts", _T, nullable=False),
    sa.Column("accounts_at", _F, nullable=False),
)

GIVEN_BACK = (State.REFUSED, State.CANCELLED)
"""States in which it is certain that nothing is out: the destination may be claimed again."""
OPEN = (State.SENDING, State.ACCEPTED)


def default_url() -> str:
    """The ledger's URL: REELFLOW_LEDGER_URL, or a SQLite file in the user's data folder."""
    if url := os.environ.get(URL_VARIABLE, "").strip():
        return url
    return f"sqlite:///{user_data_path('reelflow', appauthor=False) / 'ledger.db'}"


def key_fingerprint(api_key: str, service: str) -> str:
    """A name for an API key that does not give it away."""
    return hashlib.sha256(f"reelflow\0{service}\0{api_key}".encode()).hexdigest()


class Ledger:
    """The record behind one URL. Cheap to make; the database is opened at the first use.

    Args:
        url: A SQLAlchemy URL; see `default_url`.
        clock: For tests: Unix seconds.
        lease_seconds: How long a send stays its run's without a sign of life; REELFLOW_LEASE_SECONDS, or 20.

    Every method is one transaction, and raises LedgerUnavailable where the database cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
        lease_seconds: float | None = None,
    ) -> None:
        self.url = _url(url or default_url())
        self.lease_seconds = lease_seconds or float(os.environ.get(LEASE_VARIABLE) or LEASE_SECONDS)
        self._clock = clock
        self._engine: Engine | None = None

    def __repr__(self) -> str:
        return f"Ledger({self.place!r})"

    @property
    def place(self) -> str:
        """Where it is, for people; without a password."""
        if self.url.get_backend_name() == "sqlite":
            return self.url.database or "(memory)"
        return self.url.render_as_string(hide_password=True)

    def now(self) -> float:
        """The clock by which leases are counted."""
        return self._clock()

    def close(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

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
        with self._transaction() as connection:
            connection.execute(
                sends.insert().values(self._send_row(send_id, post, service, repeat, owner, flow_run, now))
            )
            for account in accounts:
                row = self._destination_row(send_id, post, account, service, repeat, now)
                fresh = self._insert(destinations).values(row).on_conflict_do_nothing()
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
        with self._transaction() as connection:
            self._own(connection, send_id, owner, lease_until=self.now() + self.lease_seconds)

    def begin(self, send_id: str, owner: str) -> None:
        """Record that the upload begins. Called before the first byte leaves.

        Raises:
            ClaimLost: another run has it now; nothing may be sent.
        """
        now = self.now()
        with self._transaction() as connection:
            self._own(connection, send_id, owner, lease_until=now + self.lease_seconds, begun_at=now, sealed_at=None)
            self._move(connection, send_id, (State.CLAIMED,), State.SENDING, "upload begins")

    def seal(self, send_id: str, owner: str) -> None:
        """Record that the last piece is about to leave: from now on the post may be out.

        Raises:
            ClaimLost: another run has it now; the last piece must not be sent.
        """
        now = self.now()
        with self._transaction() as connection:
            self._own(connection, send_id, owner, lease_until=now + self.lease_seconds, sealed_at=now)
            self._note(connection, send_id, State.SENDING, "upload complete but for its last piece")

    def accepted(self, send_id: str, history_id: str, words: str = "accepted by Taisly") -> None:
        """Record the id that Taisly gave the post."""
        with self._transaction() as connection:
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
        with self._transaction() as connection:
            connection.execute(sends.update().where(sends.c.id == send_id).values(lease_until=lease, sealed_at=None))
            self._move(connection, send_id, (State.CLAIMED, State.SENDING, State.UNCONFIRMED), State.CLAIMED, words)

    def answer_lost(self, send_id: str, words: str) -> None:
        """Record that the post may be out: nobody works on it any more, and it is looked for in the history."""
        with self._transaction() as connection:
            connection.execute(sends.update().where(sends.c.id == send_id).values(lease_until=0))
            self._note(connection, send_id, State.SENDING, f"answer lost: {words}")

    def settle(self, send_id: str, state: State, words: str) -> None:
        """End all destinations of a send that are still under way: REFUSED, UNCONFIRMED, CANCELLED or SUCCESS."""
        with self._transaction() as connection:
            before = (State.CLAIMED, State.SENDING, State.ACCEPTED, State.UNCONFIRMED)
            connection.execute(sends.update().where(sends.c.id == send_id).values(lease_until=0))
            self._move(connection, send_id, before, state, words)

    def record(self, send_id: str, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Record what became of a send at each account; the outcomes that are news."""
        news = []
        with self._transaction() as connection:
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
        with self._transaction() as connection:
            found = {}
            for account in post.accounts:
                key = self._destination_row("", post, account, service, repeat, 0)
                row = (
                    connection.execute(
                        sa.select(destinations, *_prefixed(sends))
                        .join(sends, sends.c.id == destinations.c.send_id)
                        .where(*(destinations.c[name] == key[name] for name in _KEY))
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
            destinations.c.service == service, destinations.c.state.in_(OPEN)
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
        with self._transaction() as connection:
            query = sa.select(sends.c.history_id).where(sends.c.service == service, sends.c.history_id.in_(history_ids))
            return {str(value) for value in connection.scalars(query)}

    def trail(self, send_id: str) -> list[dict[str, Any]]:
        """All that was seen of a send, oldest first. It is only ever added to."""
        with self._transaction() as connection:
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
        with self._transaction() as connection:
            for row in connection.execute(query).mappings():
                grouped.setdefault(row["send_id"], (_send(row), []))[1].append(_outcome(row))
        return list(grouped.values())

    # The quota: requests of the last hour, counted for all runs on all machines

    def take_request(self, api_key: str, kind: str, most: int) -> tuple[str | None, float]:
        """Room for one request: its ticket and 0, or None and the seconds until there may be room.

        Args:
            api_key: The key's fingerprint.
            kind: "send" or "read".
            most: Requests of all kinds in the last hour, above which this one has to wait.
        """
        now = self.now()
        with self._transaction() as connection:
            state = self._key_row(connection, api_key)
            if state["blocked_until"] > now:
                return None, state["blocked_until"] - now
            since = now - HOUR - HOUR_SLACK
            connection.execute(requests.delete().where(requests.c.api_key == api_key, requests.c.at <= since))
            taken = list(
                connection.scalars(
                    sa.select(requests.c.at).where(requests.c.api_key == api_key).order_by(requests.c.at)
                )
            )
            if len(taken) >= most:
                return None, max(0.1, taken[len(taken) - most] - since)
            ticket = uuid.uuid4().hex
            connection.execute(requests.insert().values(id=ticket, api_key=api_key, at=now, kind=kind))
        return ticket, 0.0

    def finish_request(self, ticket: str) -> None:
        """Count the request from now on: Taisly may have counted it at any time until its answer."""
        with self._transaction() as connection:
            connection.execute(requests.update().where(requests.c.id == ticket).values(at=self.now()))

    def requests_in_last_hour(self, api_key: str) -> int:
        """How many requests are counted now."""
        with self._transaction() as connection:
            since = self.now() - HOUR - HOUR_SLACK
            query = sa.select(sa.func.count()).where(requests.c.api_key == api_key, requests.c.at > since)
            return int(connection.scalar(query) or 0)

    def block_key(self, api_key: str, seconds: float) -> None:
        """Let nobody use the key for `seconds`: Taisly has answered 429."""
        with self._transaction() as connection:
            until = max(self._key_row(connection, api_key)["blocked_until"], self.now() + seconds)
            connection.execute(api_keys.update().where(api_keys.c.api_key == api_key).values(blocked_until=until))

    # One reader of the history for each key

    def lead(self, api_key: str, owner: str, seconds: float) -> tuple[bool, float, float]:
        """Become or stay the one reader for a key: (whether we are, when to look next, the last pause)."""
        now = self.now()
        with self._transaction() as connection:
            row = self._key_row(connection, api_key)
            if row["reader"] != owner and row["reader_until"] > now:
                return False, row["next_look"], row["pause"]
            connection.execute(
                api_keys.update().where(api_keys.c.api_key == api_key).values(reader=owner, reader_until=now + seconds)
            )
            return True, row["next_look"], row["pause"]

    def plan_look(self, api_key: str, at: float, pause: float) -> None:
        """Set when the history is read next, whoever is the reader then."""
        with self._transaction() as connection:
            self._key_row(connection, api_key)
            connection.execute(api_keys.update().where(api_keys.c.api_key == api_key).values(next_look=at, pause=pause))

    def stop_leading(self, api_key: str, owner: str) -> None:
        """Let another run read."""
        with self._transaction() as connection:
            connection.execute(
                api_keys.update()
                .where(api_keys.c.api_key == api_key, api_keys.c.reader == owner)
                .values(reader_until=0)
            )

    # Connected accounts, kept a while so that a hundred posts do not ask a hundred times

    def known_accounts(self, api_key: str, max_age: float) -> list[Account] | None:
        """The accounts remembered for a key, if they are not older than `max_age` seconds."""
        with self._transaction() as connection:
            row = self._key_row(connection, api_key)
            if row["accounts_at"] < self.now() - max_age:
                return None
            return [Account.model_validate(value) for value in json.loads(row["accounts"])]

    def remember_accounts(self, api_key: str, accounts: Sequence[Account]) -> None:
        """Remember the connected accounts of a key."""
        text = json.dumps([a.model_dump() for a in accounts])
        with self._transaction() as connection:
            self._key_row(connection, api_key)
            connection.execute(
                api_keys.update().where(api_keys.c.api_key == api_key).values(accounts=text, accounts_at=self.now())
            )

    # Inside

    def _insert(self, table: sa.Table) -> Any:
        return (postgresql if self.url.get_backend_name() == "postgresql" else sqlite).insert(table)

    def _key_row(self, connection: Connection, api_key: str) -> RowMapping:
        """The row of a key, made if there is none, and locked until the transaction ends."""
        fresh = {
            "api_key": api_key, "blocked_until": 0, "reader": "", "reader_until": 0, "next_look": 0, "pause": 0,
            "accounts": "[]", "accounts_at": 0,
        }  # fmt: skip
        connection.execute(self._insert(api_keys).values(fresh).on_conflict_do_nothing())
        query = sa.select(api_keys).where(api_keys.c.api_key == api_key).with_for_update()
        return connection.execute(query).mappings().one()

    @staticmethod
    def _locked(connection: Connection, key: dict[str, Any]) -> RowMapping:
        query = (
            sa.select(destinations, sends.c.lease_until, sends.c.sealed_at)
            .join(sends, sends.c.id == destinations.c.send_id)
            .where(*(destinations.c[name] == key[name] for name in _KEY))
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

    def _transaction(self) -> _Transaction:
        return _Transaction(self)

    def engine(self) -> Engine:
        """The database, opened and migrated."""
        if self._engine is None:
            engine = _create_engine(self.url)
            try:
                _migrate(engine)
            except BaseException:
                engine.dispose()
                raise
            self._engine = engine
        return self._engine


class _Transaction:
    """One transaction; what the database says against it becomes LedgerUnavailable."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._context: Any = None

    def __enter__(self) -> Connection:
        try:
            self._context = self._ledger.engine().begin()
            connection: Connection = self._context.__enter__()
        except (sa.exc.SQLAlchemyError, OSError, ImportError) as error:
            raise self._unavailable(error) from None
        return connection

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            self._context.__exit__(kind, error, trace)
        except sa.exc.SQLAlchemyError as failed:
            raise self._unavailable(failed) from None
        if isinstance(error, sa.exc.SQLAlchemyError):
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> LedgerUnavailable:
        words = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        return LedgerUnavailable(
            f"The ledger at {self._ledger.place} cannot be used ({words[0].rstrip('.')}). "
            "Nothing is sent without it: make room, or make it writable, and start again."
        )


def _url(text: str) -> sa.URL:
    try:
        return sa.make_url(text)
    except sa.exc.ArgumentError:
        raise InputError(
            f"The ledger's URL cannot be read; it is like sqlite:////path/ledger.db ({URL_VARIABLE})."
        ) from None


def _create_engine(url: sa.URL) -> Engine:
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise InputError(f"The ledger can be SQLite or PostgreSQL, not {url.get_backend_name()!r} ({URL_VARIABLE}).")
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if url.database:
        Path(url.database).expanduser().parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what is committed survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the lock is taken first, so no reader has to become a writer

    return engine


def _migrate(engine: Engine) -> None:
    """Bring the schema up to `HEAD`; whoever comes first does it, the others wait for the lock."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7263548)"))
        version = None
        if sa.inspect(connection).has_table("alembic_version"):
            version = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        if version == HEAD:
            return
        if version is not None and version > HEAD:
            raise InputError(
                f"The ledger was written by a newer reelflow (version {version}; this one knows {HEAD}). "
                "Update reelflow."
            )
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(files("reelflow.migrations")))
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)


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
