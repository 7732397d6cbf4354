"""Whom setup asks for the password of a ledger: it is stored for machines that need it, even if this one does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

pytest.importorskip("pty", reason="a terminal of Unix")
from support.terminal import talk

ROOT = Path(__file__).parents[2]
PRINT_URL = (
    "import sys; from deployments.ledger_password import ledger_at\n"
    "print('URL', ledger_at(sys.argv[1], known=sys.argv[2]).full_url)"
)


def _with(postgres: str, password: str | None) -> str:
    return sa.make_url(postgres).set(password=password).render_as_string(hide_password=False)


def _in_terminal(url: str, *typed: str, known: str = "") -> str:
    """The URL that is used, of a server that lets this machine in without a password."""
    command = [sys.executable, "-c", PRINT_URL, url, known]
    code, printed = talk(command, {"(hidden): ": iter(typed)}, cwd=ROOT, env=dict(os.environ), seconds=60)
    assert code == 0, printed
    return printed.rpartition("URL ")[2].strip()


def _without_terminal(url: str, known: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_URL, url, known], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.rpartition("URL ")[2].strip()


def test_it_is_asked_for_in_a_terminal_that_needs_none(postgres: str) -> None:
    """Other machines may need it: this one has a password file, say, or a rule of its own."""
    assert _in_terminal(postgres, "secret1") == _with(postgres, "secret1")


def test_a_ledger_that_needs_none_anywhere(postgres: str) -> None:
    """Enter stores the URL without one."""
    assert _in_terminal(postgres, "") == _with(postgres, None)


def test_a_stored_password_that_opens_the_ledger_is_not_asked_for_again(postgres: str) -> None:
    """With a terminal or without; and what the URL itself says comes first."""
    known = _with(postgres, "secret1")

    assert _in_terminal(postgres, known=known) == known
    assert _without_terminal(postgres, known=known) == known
    assert _in_terminal(_with(postgres, "new"), known=known) == _with(postgres, "new")


def test_a_url_that_was_stored_without_a_password_can_be_given_one(postgres: str) -> None:
    """It was stored in a terminal that needed none, and other machines fail with it."""
    assert _in_terminal(postgres, "secret1", known=postgres) == _with(postgres, "secret1")
    assert _without_terminal(postgres, known=postgres) == _with(postgres, None)


def test_the_password_of_another_ledger_is_not_used(postgres: str) -> None:
    """It would be told to another server."""
    other = sa.make_url(_with(postgres, "secret1")).set(database="other").render_as_string(hide_password=False)

    assert _without_terminal(postgres, known=other) == _with(postgres, None)
