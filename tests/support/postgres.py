"""A PostgreSQL server of our own, without a network port: for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NoPostgresError(Exception):
    """None is installed on this machine."""


def postgres_binaries() -> Path:
    """The folder of the newest PostgreSQL of this machine.

    Raises:
        NoPostgresError: there is none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) if Path("/usr/lib/postgresql").is_dir() else []
    binaries = found[-1].parent if found else Path(shutil.which("initdb") or "/none").parent
    if not (binaries / "initdb").exists():
        raise NoPostgresError("PostgreSQL is not installed on this machine (initdb not found)")
    return binaries


@contextmanager
def running_postgres() -> Iterator[str]:
    """Its URL; what it commits is not forced to disk.

    Raises:
        NoPostgresError: none is installed.
    """
    binaries = postgres_binaries()
    # Not below pytest's own folder: the next pytest that starts takes the right to read it from everybody else.
    folder = Path(tempfile.mkdtemp(prefix="reelflow-postgres-"))
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres")
    data = folder / "data"

    def run(*words: str) -> None:
        subprocess.run([*as_user, *words], check=True, capture_output=True, cwd=folder, timeout=120)

    try:
        run(str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "reelflow", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run(str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://reelflow@/postgres?host={folder}"
        finally:
            run(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
