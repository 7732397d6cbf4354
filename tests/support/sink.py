"""A place that notifications are sent to."""

import http.server
import os
import subprocess
import sys
import threading
from typing import Any


class Sink:
    """A webhook, and what came."""

    def __init__(self) -> None:
        self.got: list[str] = []
        got = self.got

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/"


def save_notification(api: str, url: str, **settings: str) -> None:
    """Save the block `custom-webhook/sink` on a Prefect server, with more settings for its client."""
    code = (
        "from prefect.blocks.notifications import CustomWebhookNotificationBlock as B;"
        f"B(name='sink', url={url!r}, json_data={{'subject': '{{{{subject}}}}', 'body': '{{{{body}}}}'}})"
        ".save('sink', overwrite=True)"
    )
    environment = {**os.environ, "PREFECT_API_URL": api, **settings}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
