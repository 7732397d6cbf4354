"""A Prefect server of which one route fails or loses an answer, or whose clock is wrong; the rest is the real one's."""

import http.server
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx


@contextmanager
def failing_server(
    server: str,
    route: str,
    *,
    method: str = "",
    times: float = math.inf,
    lost: int | None = None,
    seen: list[str] | None = None,
    ahead: float = 0.0,
) -> Iterator[str]:
    """The address of its API; a path that ends with `route`, with or without its query, is answered with 500.

    With `method`, only those requests fail; with `times`, only so many. With `lost`, nothing fails but that so many
    POSTs there, which reach the server, are answered with 503. `seen` gets every request there, like "GET /api/…".
    Its clock is so many seconds `ahead`.
    """
    failed: list[str] = []
    answers_lost: list[str] = []
    lock = threading.Lock()

    class _Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = 500, b"{}"
            failing = self.path.endswith(route) or self.path.partition("?")[0].endswith(route)
            if failing and seen is not None:
                seen.append(f"{self.command} {self.path}")
            with lock:
                is_broken = failing and lost is None and method in ("", self.command) and len(failed) < times
                failed.extend([self.path] * is_broken)
            if not is_broken:
                headers = {"Content-Type": "application/json"}
                with httpx.Client(trust_env=False, timeout=30) as client:
                    answer = client.request(self.command, server + self.path, content=body, headers=headers)
                status, content = answer.status_code, answer.content
            with lock:
                is_lost = failing and self.command == "POST" and len(answers_lost) < (lost or 0)
                answers_lost.extend([self.path] * is_lost)
            if is_lost:
                status, content = 503, b"{}"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = _answer  # noqa: N815 - the base class looks for these names

        def date_time_string(self, timestamp: float | None = None) -> str:
            """For the header that tells its time."""
            return super().date_time_string(time.time() + ahead if timestamp is None else timestamp)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
            """Nothing: pytest shows what fails."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/api"
        httpd.shutdown()
