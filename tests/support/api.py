"""Prefect's API, asked as its own clients do it: again, while the server's database is busy."""

import time
from typing import Any

import httpx

PATIENCE = 60.0


def ask(method: str, url: str, body: Any = None, /, auth: tuple[str, str] | None = None, **fields: Any) -> Any:
    """The answer of a Prefect server to `body`, or to an object of these fields; `auth` is its password, if any."""
    end = time.monotonic() + PATIENCE
    more = {"json": fields if body is None else body} if method in ("POST", "PATCH") else {}
    while True:
        answer = httpx.request(method, url, auth=auth, trust_env=False, timeout=30, **more)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > end:
            break
        time.sleep(0.2)
    assert answer.is_success, (url, answer.text)
    return answer.json() if answer.content else None
