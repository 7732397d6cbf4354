"""A PostgreSQL that does not let the ledger in, or not do what it has to: one sentence that says what to do."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.commands import reelflow
from support.old_schema import open_as_of

from blocks import ReelflowLedger
from reelflow.errors import LedgerUnavailable
from reelflow.ledger import Ledger
from reelflow.ports import free_port
from reelflow.records.posts import PostRequest
from tasks.ledger import close_ledgers

Run = Callable[..., None]
Post = Callable[..., PostRequest]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(postgres: str) -> Iterator[Run]:
    """Statements of PostgreSQL's administrator; the role `Guest-1` and its database `guests` are there."""
    opened: list[sa.Engine] = []

    def execute(*statements: str, database: str = "postgres") -> None:
        url = sa.make_url(postgres).set(drivername="postgresql+psycopg", database=database)
        opened.append(sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool))
        with opened[-1].connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    execute("CREATE ROLE \"Guest-1\" LOGIN PASSWORD 'secret1'", "CREATE DATABASE guests")
    yield execute
    execute("DROP DATABASE guests", 'DROP ROLE "Guest-1"')


def _refusal(url: str) -> str:
    ledger = Ledger(url)
    with pytest.raises(LedgerUnavailable) as refused:
        ledger.identity()
    ledger.close()
    return str(refused.value)


def _as_guest(postgres: str) -> str:
    return sa.make_url(postgres).set(username="Guest-1", database="guests").render_as_string(hide_password=False)


def _as_administrator(postgres: str) -> str:
    return sa.make_url(postgres).set(database="guests").render_as_string(hide_password=False)


def _doctor(url: str) -> str:
    """What `reelflow doctor` says of a ledger that is not the server's yet."""
    done = reelflow("doctor", COLUMNS="1000", REELFLOW_LEDGER_URL=url)
    assert done.returncode == 1
    return _of_ledger(done.stdout)


def _of_ledger(doctor: str) -> str:
    (found,) = re.findall(r"^FAILED +Ledger +(.*?) *$", doctor, re.MULTILINE)
    return str(found)


def _statement(said: str) -> str:
    """What the sentence tells the administrator to run."""
    (found,) = re.findall(r"run in the database guests: (.*); Then try again\.", said)
    return str(found)


def _claims(url: str, post: PostRequest) -> int:
    """How many accounts a claim of a post gets."""
    ledger = Ledger(url)
    try:
        return len(ledger.claim(post, service="https://taisly.test", owner="me").accounts)
    finally:
        ledger.close()


def test_a_role_that_may_not_create_tables(postgres: str, run: Run, checked: Post) -> None:
    """The sentence has the statement to run, which helps."""
    url = _as_guest(postgres)

    said = _refusal(url)

    assert "permission denied for schema public" in said
    assert _statement(said) == 'GRANT ALL ON SCHEMA public TO "Guest-1"'
    run(_statement(said), database="guests")
    assert _claims(url, checked("one")) == 3


def test_a_role_whose_tables_are_anothers(postgres: str, run: Run, checked: Post) -> None:
    """They were made by the administrator. Once it may use them, it can claim a post."""
    owner = Ledger(_as_administrator(postgres))
    owner.identity()
    owner.close()

    said = _refusal(_as_guest(postgres))

    assert _statement(said).startswith('GRANT ALL ON ALL TABLES IN SCHEMA public TO "Guest-1"; GRANT')
    run(*_statement(said).split("; "), database="guests")
    assert _claims(_as_guest(postgres), checked("one")) == 3


def test_a_role_that_is_to_change_tables_of_another(postgres: str, run: Run, checked: Post) -> None:
    """A newer version changes them, which only their owner may do: rights to use them are not enough."""
    open_as_of("0005", sa.make_url(_as_administrator(postgres)))

    before = _refusal(_as_guest(postgres))
    run(*(f'GRANT ALL ON ALL {what} IN SCHEMA public TO "Guest-1"' for what in ("TABLES", "SEQUENCES")),
        'GRANT ALL ON SCHEMA public TO "Guest-1"', database="guests")  # fmt: skip
    granted = _refusal(_as_guest(postgres))

    assert "must be owner of" in granted
    assert _statement(before).startswith("GRANT")
    assert "OWNER TO %I', t, 'Guest-1')" in _statement(granted)
    run(_statement(granted), database="guests")
    assert _claims(_as_guest(postgres), checked("one")) == 3


def test_a_url_that_leaves_the_role_to_the_environment(
    postgres: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `psql` does, with PGUSER."""
    monkeypatch.setenv("PGUSER", "Guest-1")
    url = sa.make_url(_as_guest(postgres)).set(username=None)

    said = _refusal(url.render_as_string(hide_password=False))

    assert _statement(said) == 'GRANT ALL ON SCHEMA public TO "Guest-1"'


def test_a_database_that_does_not_exist(postgres: str) -> None:
    said = _refusal(sa.make_url(postgres).set(database="nowhere").render_as_string(hide_password=False))

    assert 'database "nowhere" does not exist' in said
    assert "Create the database, or correct the URL." in said


def test_a_database_that_cannot_be_reached() -> None:
    """The password is not in the sentence."""
    said = _refusal(f"postgresql://reelflow:secret1@127.0.0.1:{free_port()}/reelflow")

    assert "Connection refused" in said
    assert "Nothing is sent without it. Check that it runs and can be reached, that pg_hba.conf lets" in said
    assert "asks for it" in said
    assert "secret1" not in said


def _without_driver(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What a program does on a machine on which the extra `postgres` was not installed."""
    code = f"import sys; sys.modules['psycopg'] = None\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip


def test_a_machine_without_the_driver() -> None:
    """A worker, for example."""
    done = _without_driver(
        "from reelflow.ledger import Ledger\n"
        "try: Ledger('postgresql://reelflow@db.example/reelflow').identity()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    assert done.stdout.startswith("LedgerUnavailable ")
    assert f'Install its driver on this machine: "{sys.executable}" -m ' in done.stdout
    assert 'pip install "psycopg[binary]" Then try again.' in done.stdout
    assert done.stderr == ""


def test_doctor_says_which_right_is_missing(server: str, postgres: str, run: Run) -> None:
    """In the same words, with the statement; once that was run, the ledger passes the check."""
    url = _as_guest(postgres)

    said = _doctor(url)

    assert said == _refusal(url)
    run(_statement(said), database="guests")
    granted = reelflow("doctor", COLUMNS="300", REELFLOW_LEDGER_URL=url)
    close_ledgers()  # else the role cannot be removed
    assert re.search(r"^ok +Ledger ", granted.stdout, re.MULTILINE), granted.stdout


def test_doctor_says_that_the_database_cannot_be_reached(server: str, engine_log: pytest.LogCaptureFixture) -> None:
    """At once, unlike a run, which waits for it; without the password."""
    said = _doctor(f"postgresql://reelflow:secret1@127.0.0.1:{free_port()}/reelflow")

    assert "Connection refused" in said
    assert "Nothing is sent without it. Check that it runs and can be reached, that pg_hba.conf lets" in said
    assert "secret1" not in said
    assert "Waiting for up to" not in engine_log.text


def test_doctor_says_that_the_driver_is_missing(server: str) -> None:
    """On a worker without it, of a server whose ledger is on PostgreSQL."""
    url = "postgresql://reelflow:secret1@db.example/reelflow"
    ReelflowLedger(url=url, ledger_id="1", place="db.example").save("main", overwrite=True)  # type: ignore[arg-type]

    done = _without_driver(
        "from deployments.cli import main; main(['doctor'])",
        PREFECT_API_URL=f"{server}/api", REELFLOW_LEDGER_URL="", COLUMNS="1000",
    )  # fmt: skip

    said = _of_ledger(done.stdout)
    assert done.returncode == 1
    assert "psycopg" in said.partition("Nothing is sent without it.")[0]
    assert f'Install its driver on this machine: "{sys.executable}" -m ' in said
    assert "secret1" not in said
