"""Why the ledger's database cannot be used, and what to do about it."""

from __future__ import annotations

import sqlalchemy as sa

from reelflow.errors import LedgerUnavailable

NOT_ALLOWED, DISK_FULL, NO_DATABASE = "42501", "53100", "3D000"
"""PostgreSQL's codes."""
CROWDED = ("55P03", "40P01", "40001")
"""Its codes for work that others were in the way of: a lock that was not to be had, a deadlock, changes at once."""
PASSWORD_WORDS = ("password authentication failed", "no password supplied")
"""What it says of a password; its driver has no code for what goes wrong with a connection."""
_RUN_AGAIN = "Then try again."


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
        return f'Install its driver on this machine: uv pip install "psycopg[binary]". {_RUN_AGAIN}'
    if code == NOT_ALLOWED:
        what = "CREATE ON SCHEMA" if "schema" in words else "ALL ON ALL TABLES IN SCHEMA"
        return (
            f"Its role may not do this. As PostgreSQL's administrator, run in the database {url.database}: "
            f"GRANT {what} public TO {url.username}; {_RUN_AGAIN}"
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
    return f"Check that it can be reached and written, and that its disk is not full. {_RUN_AGAIN}"
