"""A server that is not what reelflow expects: of another version, out of order, or one that forbids everything."""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

SILENT_SECONDS = 30.0
"""For which it gives no answer: longer than anybody should wait."""


@contextlib.contextmanager
def other_server(version: str, *, empty: bool = False, events: int = 204) -> Iterator[str]:
    """The address of its API.

    Args:
        version: Of its Prefect.
        empty: It has nothing to list; otherwise it answers 403, as Prefect Cloud may.
        events: The status of its answer to an event; 0 if it gives none.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Other)
    server.version, server.empty, server.events = version, empty, events  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
    finally:
        server.shutdown()
        server.server_close()


class _Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.endswith("/health"):
            self._answer(200, True)
        elif self.path.endswith("/version"):
            self._answer(200, self.server.version)  # type: ignore[attr-defined]
        elif self.path.partition("?")[0].endswith("/csrf-token") or self._is_missing():
            self._answer(404, {})
        else:
            self.do_POST()

    def _is_missing(self) -> bool:
        return bool(self.server.empty and "/variables/name/" in self.path)  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.empty:  # type: ignore[attr-defined]
            status = self.server.events if self.path.endswith("/events") else 200  # type: ignore[attr-defined]
            if status:
                self._answer(status, [])
            else:
                time.sleep(SILENT_SECONDS)
        else:
            self._answer(403, {"detail": "forbidden"})

    def _answer(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        return
