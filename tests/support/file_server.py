"""A web server with files, as those that people share videos from: marks, redirects, and a count of what was sent."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class File:
    """What is at one path.

    Attributes:
        content: The bytes.
        etag: As it is sent; empty for none.
        last_modified: The same.
        status: Other than 200: nothing but it and the headers.
        headers: More of them.
        hold: Waited for before the second half of the content is sent.
    """

    content: bytes = b""
    etag: str = ""
    last_modified: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None


class FileServer:
    """Files by their paths, on a port of this machine."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.asked: list[dict[str, str]] = []
        self.sent = 0
        """How often the content of a file was sent, in part or whole."""
        self.has_begun = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(dict(self.headers))
                server._answer(self, server.files.get(self.path, File(status=404)))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def encrypt(self, context: ssl.SSLContext) -> None:
        """From now on, take only https."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def _answer(self, handler: BaseHTTPRequestHandler, file: File) -> None:
        marks = {"ETag": file.etag, "Last-Modified": file.last_modified}
        asked = handler.headers.get("If-None-Match"), handler.headers.get("If-Modified-Since")
        is_known = (file.etag and asked[0] == file.etag) or (file.last_modified and asked[1] == file.last_modified)
        status = 304 if file.status == 200 and is_known else file.status
        body = file.content if status == 200 else b""
        handler.send_response(status)
        length = {} if status == 304 else {"Content-Length": str(len(body))}
        for name, value in ({name: value for name, value in marks.items() if value} | length | file.headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        if not body:
            return
        self.sent += 1
        half = len(body) // 2 if file.hold else len(body)
        try:
            handler.wfile.write(body[:half])
            if file.hold:
                self.has_begun.set()
                file.hold.wait(timeout=30)
                handler.wfile.write(body[half:])
        except OSError:
            return  # the client has had enough
