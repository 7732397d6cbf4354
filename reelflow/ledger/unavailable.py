"""Why the ledger's database cannot be used, and what to do about it."""

from __future__ import annotations

import getpass
import os
import sys
from importlib.util import find_spec

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from reelflow.errors import LedgerUnavailable

NOT_ALLOWED, DISK_FULL, NO_DATABASE = "42501", "53100", "3D000"
"""PostgreSQL's codes."""
CROWDED = ("55P03", "40P01", "40001")
"""Its codes for work that others were in the way of: a lock that was not to be had, a deadlock, changes at once."""
PASSWORD_WORDS = ("password authentication failed", "no password supplied")
"""What it says of a password; its driver has no code for what goes wrong with a connection."""
_RUN_AGAIN = "Then try again."
_TAKE_OVER = (
    "DO $$ DECLARE t name; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tableowner = "
    "(SELECT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename = 'alembic_version') LOOP "
    "EXECUTE format('ALTER TABLE public.%I OWNER TO %I', t, {role}); END LOOP; END $$"
)
"""Makes a role the owner of the ledger's tables, and of whatever else theirs has there. REASSIGN OWNED is refused for
what belongs to PostgreSQL's first administrator."""


def unavailable(error: Exception, url: sa.URL, place: str) -> LedgerUnavailable:
    """The error of a database in one sentence each: what it is, what it means, and what to do."""
    words = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
    return LedgerUnavailable(
        f"The ledger at {place} cannot be used ({words[0].rstrip('.')}). Nothing is sent without it. "
        f"{_advice(error, ' '.join(words), url)}"
    )


def _advice(error: Exception, words: str, url: sa.URL) -> str:
    code = getattr(getattr(error, "orig", None), "sqlstate", None)
    if isinstance(error, ImportError):
        install = f'"{sys.executable}" -m {"uv pip" if find_spec("uv") else "pip"} install "psycopg[binary]"'
        return f"Install its driver on this machine: {install} {_RUN_AGAIN}"
    if code == NOT_ALLOWED:
        role, database = _role_and_database(url)
        return (
            f"Its role may not do this. As PostgreSQL's administrator, run in the database {database}: "
            f"{_remedy(words, getattr(error, 'statement', None) or '', role)}; {_RUN_AGAIN}"
        )
    if code in CROWDED:
        return "Others were at work in it. Try again; if that does not help, wait until all runs have ended."
    if code == DISK_FULL or "No space left" in words or "is full" in words:
        return f"Its disk is full: free some space on the machine of the database. {_RUN_AGAIN}"
    if any(each in words for each in PASSWORD_WORDS):
        return (
            "Run `reelflow setup --ledger-url URL` in a terminal, with the URL without a password: it asks for the "
            f"password, and stores it for all machines. {_RUN_AGAIN}"
        )
    if "no pg_hba.conf entry" in words:
        return f"PostgreSQL does not let this machine in: add it to pg_hba.conf (docs/deployment.md). {_RUN_AGAIN}"
    if code == NO_DATABASE or f'database "{url.database}" does not exist' in words:
        return f"Create the database, or correct the URL. {_RUN_AGAIN}"
    if url.get_backend_name() == "postgresql" and code is None:  # before login, its words may be in any language
        return (
            "Check that it runs and can be reached, that pg_hba.conf lets this machine in, and that the password is "
            f"right: `reelflow setup --ledger-url URL`, with the URL without a password, asks for it. {_RUN_AGAIN}"
        )
    return f"Check that it can be reached and written, and that its disk is not full. {_RUN_AGAIN}"


def _role_and_database(url: sa.URL) -> tuple[str, str]:
    """Those of a connection; the URL may leave them to the environment."""
    role = url.username or url.query.get("user") or os.environ.get("PGUSER") or getpass.getuser()
    return str(role), str(url.database or url.query.get("dbname") or os.environ.get("PGDATABASE") or role)


def _remedy(words: str, statement: str, role: str) -> str:
    """What lets a role do what it may not. To change tables for a newer version, it must own them."""
    if "owner" in words or statement.startswith(("LOCK", "ALTER", "CREATE INDEX", "DROP")):
        literal = "'" + role.replace("'", "''") + "'"
        return _TAKE_OVER.format(role=literal)
    quoted = postgresql.dialect().identifier_preparer.quote(role)  # type: ignore[no-untyped-call]
    if "schema" in words:
        return f"GRANT ALL ON SCHEMA public TO {quoted}"
    return "; ".join(f"GRANT ALL ON ALL {what} IN SCHEMA public TO {quoted}" for what in ("TABLES", "SEQUENCES"))
