"""The database behind the ledger: opened, migrated, and its errors in one line."""

from __future__ import annotations

import logging
import os
import platform
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from platformdirs import user_data_path
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from reelflow.countdown import Countdown
from reelflow.errors import InputError, LedgerReplaced, LedgerUnavailable
from reelflow.ledger.locks import MIGRATION_LOCK, lock_advisory, lock_everything
from reelflow.ledger.schema import ledger
from reelflow.ledger.unavailable import PASSWORD_WORDS, unavailable
from reelflow.wording import duration

log = logging.getLogger(__name__)
Value = TypeVar("Value", str, int)

LEASE_SECONDS = 20.0
"""How long a send stays its run's without a heartbeat; a live run sends one every few seconds."""
LEASE_VARIABLE = "REELFLOW_LEASE_SECONDS"
BUSY_TIMEOUT_MS = 30_000
CONNECT_SECONDS = 10
"""Seconds for one connection to a PostgreSQL. Its driver's own limit, 130 s, is longer than a ledger is waited for."""
WAL_TRIES = 200
WAL_PAUSE = 0.05
"""Seconds between two tries to switch on write-ahead logging."""
URL_VARIABLE = "REELFLOW_LEDGER_URL"
AT_ONCE = 500
"""Values in one condition: SQLite's limit depends on how it was built."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two tries to reach a PostgreSQL that is away; doubled each time."""
MOVED_TO = sa.select(ledger.c.moved_to)


def default_url() -> str:
    """The ledger's URL: REELFLOW_LEDGER_URL, or a SQLite file in the user's data folder."""
    if url := os.environ.get(URL_VARIABLE, "").strip():
        return url
    return f"sqlite:///{user_data_path('reelflow', appauthor=False) / 'ledger.db'}"


class Database:
    """One URL, opened at the first use.

    Args:
        url: A SQLAlchemy URL; see `default_url`.
        clock: For tests: Unix seconds.
        lease_seconds: How long a send stays its run's without a heartbeat; REELFLOW_LEASE_SECONDS, or 20.
        patience: Seconds for which a PostgreSQL that cannot be reached is tried again, whatever is to be done then.
        even_if_replaced: Whether it may be opened although another one is used in its place.
        sleep: For tests.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
        lease_seconds: float | None = None,
        patience: float = 0.0,
        even_if_replaced: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _url(url or default_url())
        self.lease_seconds = lease_seconds or float(os.environ.get(LEASE_VARIABLE) or LEASE_SECONDS)
        self.patience = patience
        self._even_if_replaced = even_if_replaced
        self._clock = clock
        self._sleep = sleep
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        self._writing = threading.Lock()

    def __repr__(self) -> str:
        return f"Ledger({self.place!r})"

    @property
    def full_url(self) -> str:
        """The URL for other programs, whichever folder they start in; with its password."""
        url = self.url.set(database=str(file.absolute())) if (file := self._file) else self.url
        return url.render_as_string(hide_password=False)

    @property
    def is_missing_file(self) -> bool:
        """Whether it is a SQLite file that is not on this machine: opening it would create an empty one."""
        return bool(self._file and not self._file.exists())

    def is_same_file(self, other: Database) -> bool:
        """Whether both are one SQLite file that is here, or neither is a SQLite file."""
        mine, its = self._file, other._file
        if mine is None or its is None or not (mine.exists() and its.exists()):
            return mine is its is None
        return mine.samefile(its)

    @property
    def _file(self) -> Path | None:
        path = self.url.database
        if self.url.get_backend_name() != "sqlite" or not path or path.startswith("file:"):
            return None
        return Path(path)

    @property
    def place(self) -> str:
        """Where it is, for people; without a password."""
        if self.url.get_backend_name() == "sqlite":
            return str(self.url.database)
        return self.url.render_as_string(hide_password=True)

    @property
    def full_place(self) -> str:
        """`place` with the whole path of a file."""
        return str(file.absolute()) if (file := self._file) else self.place

    def with_password(self, password: str) -> str:
        """Its URL with another password."""
        return self.url.set(password=password).render_as_string(hide_password=False)

    def is_same_but_for_password(self, other: Database) -> bool:
        """Whether both URLs lead to the same, whatever password either has."""
        return self.url.set(password="") == other.url.set(password="")

    def lacks_password(self) -> bool:
        """Whether it is a PostgreSQL that asks for a password, and neither the URL nor a password file has one."""
        if self.url.get_backend_name() != "postgresql" or self.url.password:
            return False
        return PASSWORD_WORDS[1] in self._refusal()

    def lets_in(self) -> bool:
        """Whether a connection is made. Nothing is opened or migrated."""
        return not self._refusal()

    def _refusal(self) -> str:
        """Why no connection is made; empty if one is."""
        engine = _create_engine(self.url)
        try:
            engine.connect().close()
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            return str(error) or type(error).__name__
        finally:
            engine.dispose()
        return ""

    def was_moved(self) -> bool:
        """Whether another ledger is used in its place by now: it was moved or replaced since it was opened."""
        with self.reading() as connection:
            return connection.scalar(MOVED_TO) is not None

    def now(self) -> float:
        """The clock by which leases are counted, and what is recorded is dated."""
        return self._clock()

    def close(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def insert_new(self, table: sa.Table, *, returning: str = "") -> Any:
        """An INSERT that leaves alone a row that already exists; `returning` is a column of one that is new."""
        return _insert_new(self.url.get_backend_name(), table, returning)

    def insert(self, table: sa.Table) -> Any:
        """An INSERT of this database's own kind, which knows ON CONFLICT."""
        return _insert(self.url.get_backend_name(), table)

    def transaction(self) -> Transaction:
        """A transaction, for `with`; committed at its end unless an error leaves it."""
        return Transaction(self)

    def wait_for_writers(self) -> Callable[[], None]:
        """Wait until no other thread of this process writes to the same SQLite file; what lets the next one write.

        SQLite itself would wait for the other one in sleeps that get ever longer, most of which is lost time.
        """
        if self.url.get_backend_name() != "sqlite" or not self._writing.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            return lambda: None  # SQLite waits, or says what is wrong
        return self._writing.release

    def reading(self) -> Transaction:
        """A transaction that writes nothing: with SQLite, it waits for no writer, and none waits for it."""
        return Transaction(self, reads_only=True)

    def connect(self, *, reads_only: bool = False) -> tuple[Any, Connection]:
        """Begin a transaction, waiting for a database that is away for a moment: (its context, its connection).

        Nothing has been done by then, so trying again is safe.
        """
        waiting, pause = Countdown(self.patience, self._sleep), FIRST_PAUSE
        while True:
            try:
                context = self.engine().execution_options(reads_only=reads_only).begin()
                return context, context.__enter__()
            except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
                if not _is_away(error) or not waiting.left:
                    raise
                if pause == FIRST_PAUSE:
                    log.warning(
                        "The ledger at %s cannot be reached. Waiting for up to %s.", self.place, duration(waiting.left)
                    )
                waiting.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def engine(self) -> Engine:
        """The database, opened and migrated."""
        with self._opening:
            if self._engine is None:
                engine = _create_engine(self.url)
                try:
                    _prepare(engine, self.place, even_if_replaced=self._even_if_replaced)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine
            return self._engine


class Transaction:
    """One transaction; an error of the database becomes LedgerUnavailable."""

    def __init__(self, database: Database, *, reads_only: bool = False) -> None:
        self._database, self._reads_only = database, reads_only
        self._context: Any = None
        self._let_next_write: Callable[[], None] = lambda: None

    def __enter__(self) -> Connection:
        if not self._reads_only:
            self._let_next_write = self._database.wait_for_writers()
        try:
            self._context, connection = self._database.connect(reads_only=self._reads_only)
        except BaseException as error:
            self._let_next_write()
            if isinstance(error, sa.exc.SQLAlchemyError | OSError | ImportError):
                raise self._unavailable(error) from None
            raise
        return connection

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            self._context.__exit__(kind, error, trace)
        except sa.exc.SQLAlchemyError as failed:
            raise self._unavailable(failed) from None
        finally:
            self._let_next_write()
        if isinstance(error, sa.exc.SQLAlchemyError):
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> LedgerUnavailable:
        return unavailable(error, self._database.url, self._database.place)


@cache
def _insert_new(backend: str, table: sa.Table, returning: str) -> Any:
    statement = _insert(backend, table).on_conflict_do_nothing()
    return statement.returning(table.c[returning]) if returning else statement


def _insert(backend: str, table: sa.Table) -> Any:
    return (postgresql if backend == "postgresql" else sqlite).insert(table)


def _url(text: str) -> sa.URL:
    """A URL whose password is where it is hidden from people; PostgreSQL's own programs take it as an option, too."""
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError:
        raise InputError(
            f"The ledger's URL is not valid. Write it like sqlite:////path/ledger.db ({URL_VARIABLE})."
        ) from None
    if "sslpassword" in url.query:
        raise InputError(
            "The ledger's URL has the option sslpassword, which people would see. Use a key file without a password "
            f"that only its user may read ({URL_VARIABLE})."
        )
    given = url.normalized_query.get("password", ())
    return url.set(password=given[-1]).difference_update_query(["password"]) if given else url


def _is_away(error: sa.exc.DBAPIError | sa.exc.TimeoutError) -> bool:
    """Whether a PostgreSQL could not be reached, or is starting, stopping or has no connection left.

    Its driver has no code for what goes wrong with a connection, only the server's words. If it hangs, the threads of
    this process that use it keep every connection of the pool, so that others get none.
    """
    if isinstance(error, sa.exc.TimeoutError):
        return True
    if not isinstance(error, sa.exc.OperationalError) or not hasattr(error.orig, "sqlstate"):  # SQLite's has none
        return False
    words = str(error.orig)
    return "FATAL" not in words or "the database system is" in words or "too many" in words


def _create_engine(url: sa.URL) -> Engine:
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise InputError(f"The ledger can be SQLite or PostgreSQL, not {url.get_backend_name()!r} ({URL_VARIABLE}).")
    if url.get_backend_name() == "postgresql":
        limit = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
        # Nothing is prepared: PostgreSQL would keep one plan for all values, with the index that is best on average.
        args = {**limit, "prepare_threshold": None}
        return sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=args)
    if url.database in (None, "", ":memory:"):
        raise InputError(
            f"The ledger cannot be in memory: it would forget what was sent. Name a file ({URL_VARIABLE})."
        )
    if not url.database.startswith("file:"):
        Path(url.database).expanduser().parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")  # what is committed survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes the lock first, so that no reader has to become one; who only reads has the last commit.
        reads_only = connection.get_execution_options().get("reads_only")
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: Any) -> None:
    """Switch to write-ahead logging: readers and a writer at once.

    SQLite's busy timeout does not cover this switch, so that processes which open a new ledger at the same moment
    would fail with "database is locked".
    """
    tries = 0
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            tries += 1
            if "locked" not in str(error) or tries == WAL_TRIES:
                raise
            time.sleep(WAL_PAUSE)
        else:
            return


def in_parts(values: Collection[Value]) -> Iterator[list[Value]]:
    """Values for conditions, so many at once as every database takes."""
    ordered = sorted(set(values))
    return (ordered[n : n + AT_ONCE] for n in range(0, len(ordered), AT_ONCE))


def refuse_if_moved(connection: Connection, place: str) -> None:
    """Raise LedgerReplaced if another ledger is used in place of this one.

    Read in the transactions that lead to a request which sends something, once nobody can replace it before they end:
    a program may have opened the ledger, and even claimed a post, before.
    """
    moved_to = connection.scalar(MOVED_TO)
    if moved_to is not None:
        raise LedgerReplaced(
            f"The ledger at {place} was replaced by {moved_to} and is not used any more. Nothing more is sent from it. "
            f"Remove the variable {URL_VARIABLE} if it is set, then start the run again: it uses the new one."
        )


def _prepare(engine: Engine, place: str, *, even_if_replaced: bool) -> None:
    """Bring the schema up to the newest migration; whoever comes first does it, the others wait for the lock."""
    with engine.begin() as connection:
        lock_advisory(connection, MIGRATION_LOCK)
        _migrate(connection)
        if not even_if_replaced:
            refuse_if_moved(connection, place)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(files("reelflow.migrations")))
    scripts = ScriptDirectory.from_config(config)
    version = MigrationContext.configure(connection).get_current_revision()
    if version == scripts.get_current_head():
        return
    try:
        scripts.get_revisions(version or ())
    except CommandError:
        raise InputError(
            f"The ledger was written by a newer version of reelflow (its schema is {version}; this one supports "
            f"{scripts.get_current_head()}). Nothing was sent. Update reelflow on this machine "
            f"({platform.node()}), then try again."
        ) from None
    lock_everything(connection, "ACCESS EXCLUSIVE")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
