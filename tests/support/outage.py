"""A ledger that is out of reach for a while: a PostgreSQL that restarts, a SQLite file that somebody has locked."""

import contextlib
import socket
import sqlite3
import threading
from pathlib import Path

NAME = ".s.PGSQL.5432"


class Locked:
    """A SQLite file in which nobody else can write while it is cut."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock: sqlite3.Connection | None = None

    def restore(self) -> None:
        """Let others write again."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def cut(self) -> None:
        """Let nobody else write."""
        self._lock = sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=30, isolation_level=None)
        self._lock.execute("BEGIN EXCLUSIVE")


class Outage:
    """A Unix socket in `folder` that leads to the one in `target`."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.url = f"postgresql://reelflow@/postgres?host={folder}"
        self._path, self._target = folder / NAME, target / NAME
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.restore()

    def restore(self) -> None:
        """Let connections through again."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Refuse new connections and end those that there are."""
        if self._listener is not None:
            self._path.unlink()
            self._listener.close()
            self._listener = None
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                here, _ = listener.accept()
            except OSError:
                return
            there = socket.socket(socket.AF_UNIX)
            try:
                there.connect(str(self._target))
            except OSError:  # the server is not there: as it would refuse, and the next one may be let through
                here.close()
                there.close()
                continue
            self._open += [here, there]
            for source, sink in ((here, there), (there, here)):
                threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with source, contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
