"""A PostgreSQL that does not let the ledger in, or not do what it has to: one sentence that says what to do."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from reelflow.errors import LedgerUnavailable
from reelflow.ledger import Ledger
from reelflow.ports import free_port

Run = Callable[..., None]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(postgres: str) -> Iterator[Run]:
    """Statements of PostgreSQL's administrator; the role `guest` and its database `guests` are there."""
    opened: list[sa.Engine] = []

    def execute(*statements: str, database: str = "postgres") -> None:
        url = sa.make_url(postgres).set(drivername="postgresql+psycopg", database=database)
        opened.append(sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool))
        with opened[-1].connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    execute("CREATE ROLE guest LOGIN PASSWORD 'secret1'", "CREATE DATABASE guests")
    yield execute
    execute("DROP DATABASE guests", "DROP ROLE guest")


def _refusal(url: str) -> str:
    ledger = Ledger(url)
    with pytest.raises(LedgerUnavailable) as refused:
        ledger.identity()
    ledger.close()
    return str(refused.value)


def _as_guest(postgres: str) -> str:
    return sa.make_url(postgres).set(username="guest", database="guests").render_as_string(hide_password=False)


def test_a_role_that_may_not_create_tables(postgres: str, run: Run) -> None:
    """The sentence has the statement to run, which helps."""
    url = _as_guest(postgres)

    said = _refusal(url)

    assert "permission denied for schema public" in said
    (grant,) = re.findall(r"run in the database guests: (GRANT .*?);", said)
    assert grant == "GRANT CREATE ON SCHEMA public TO guest"
    run(grant, database="guests")
    ledger = Ledger(url)
    assert ledger.identity().sends == 0
    ledger.close()


def test_a_role_whose_tables_are_anothers(postgres: str, run: Run) -> None:
    """They were made by the administrator."""
    owner = Ledger(sa.make_url(postgres).set(database="guests").render_as_string(hide_password=False))
    owner.identity()
    owner.close()

    said = _refusal(_as_guest(postgres))

    (grant,) = re.findall(r"run in the database guests: (GRANT .*?);", said)
    assert grant == "GRANT ALL ON ALL TABLES IN SCHEMA public TO guest"
    run(grant, database="guests")
    ledger = Ledger(_as_guest(postgres))
    assert ledger.identity().sends == 0
    ledger.close()


def test_a_database_that_does_not_exist(postgres: str) -> None:
    said = _refusal(sa.make_url(postgres).set(database="nowhere").render_as_string(hide_password=False))

    assert 'database "nowhere" does not exist' in said
    assert "Create the database, or correct the URL." in said


def test_a_database_that_cannot_be_reached() -> None:
    """The password is not in the sentence."""
    said = _refusal(f"postgresql://reelflow:secret1@127.0.0.1:{free_port()}/reelflow")

    assert "Connection refused" in said
    assert "Nothing is sent without it. Check that it can be reached" in said
    assert "secret1" not in said


def test_a_machine_without_the_driver(tmp_path: Path) -> None:
    """A worker on which the extra `postgres` was not installed."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from reelflow.ledger import Ledger\n"
        "try: Ledger('postgresql://reelflow@db.example/reelflow').identity()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.startswith("LedgerUnavailable ")
    assert 'Install its driver on this machine: uv pip install "psycopg[binary]".' in done.stdout
    assert done.stderr == ""
