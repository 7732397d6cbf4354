"""Controls a running sandbox over HTTP, in this process or in any other.

Standard library only and one connection for each request: nothing to close, no proxy from the environment, and no
connection that is stale after the sandbox was restarted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from reelflow.sandbox.catalog import API_KEY, key_of

TIMEOUT = 30.0
"""Seconds; under a fault suite's load an answer may take some."""
_BAD_REQUEST = 400
NOT_RUNNING = "The sandbox is not running. Start it first, best with `with Sandbox() as sandbox:`."


class SandboxControl:
    """What a test asks of a sandbox, beside its two APIs.

    Args:
        url: Where it is, as `reelflow sandbox` prints it.
    """

    api_key = API_KEY

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    @property
    def url(self) -> str:
        """Its address, and that of its page.

        Raises:
            RuntimeError: It is not running.
        """
        if not self._url:
            raise RuntimeError(NOT_RUNNING)
        return self._url

    @staticmethod
    def key_of(client: str) -> str:
        """The API key of a further client that it was started with."""
        return key_of(client)

    @property
    def taisly_url(self) -> str:
        """The base URL of Taisly's API."""
        return f"{self.url}/api/private"

    @property
    def tikmatrix_url(self) -> str:
        """The base URL of TikMatrix's API."""
        return f"{self.url}/api/v1"

    @property
    def state(self) -> dict[str, Any]:
        """Everything there is. Unlike the APIs' own reads, looking at it advances nothing."""
        found: dict[str, Any] = self._ask("GET", "/sandbox/state")
        return found

    @property
    def posts(self) -> list[dict[str, Any]]:
        """Every post at Taisly, oldest first."""
        found: list[dict[str, Any]] = self.state["posts"]
        return found

    @property
    def phone_tasks(self) -> list[dict[str, Any]]:
        """Every phone task at TikMatrix, oldest first."""
        found: list[dict[str, Any]] = self.state["phone_tasks"]
        return found

    def requests(self, name: str | None = None) -> int:
        """How many requests both APIs have had, or only one endpoint, as in ``POST /api/private/post``.

        The id of a phone task is written ``{id}``, as in ``GET /api/v1/task/{id}``.
        """
        counts: dict[str, int] = self.state["requests"]
        return sum(counts.values()) if name is None else counts.get(name, 0)

    def order_fault(
        self,
        fault: str,
        method: str = "*",
        path: str = "*",
        *,
        times: int | None = 1,
        probability: float = 1.0,
        seconds: float = 1.0,
        status: int = 500,
        after: int = 0,
    ) -> None:
        """Order a fault for coming requests; docs/sandbox.md lists what each does.

        Args:
            fault: ``drop_before``, ``drop_mid_body``, ``drop_after``, ``status_before``, ``status_after``,
                ``garbage_after``, ``refusal_with_id``, ``huge_after``, ``bomb_after``, ``drip_after`` or ``slow``.
            method: Of the requests that it hits; ``*`` for any.
            path: As in ``/api/private/post``, or with ``*`` for anything.
            times: How many requests it hits; None for all.
            probability: The chance with which it hits a matching request.
            seconds: For ``slow``, how late the answer comes; for ``drip_after``, how long it takes; for the status 429,
                its ``retryAfter``.
            status: For ``status_before`` and ``status_after``.
            after: How many matching requests pass first.

        Raises:
            ValueError: There is no such fault, or one of the values makes no sense.
        """
        self._ask(
            "POST",
            "/sandbox/faults",
            {"fault": fault, "method": method, "path": path, "times": times, "probability": probability,
             "seconds": seconds, "status": status, "after": after},
        )  # fmt: skip

    def clear_faults(self) -> None:
        """Cancel every fault that is still waiting, and send the answers that ``slow`` holds back."""
        self._ask("DELETE", "/sandbox/faults")

    def fail_next(
        self,
        *,
        reason: str,
        platform: str | None = None,
        script_name: str | None = None,
        serial: str | None = None,
        times: int = 1,
    ) -> None:
        """Let the next post to a platform fail, or the next phone task of a script or on a device.

        Raises:
            ValueError: Not exactly one of `platform`, `script_name` and `serial` is given, or `times` is below 1.
        """
        by = {"platform": platform, "script_name": script_name, "serial": serial}
        named = {name: value for name, value in by.items() if value is not None}
        self._ask("POST", "/sandbox/fail-next", {**named, "reason": reason, "times": times})

    def reset(self) -> None:
        """Forget posts, phone tasks, counts, faults and the clock. Plan, licence and seed stay."""
        self._ask("POST", "/sandbox/reset")

    def advance_clock(self, seconds: float) -> None:
        """Move the sandbox's clock on: scheduled posts fall due, the hourly quota renews."""
        self._ask("POST", "/sandbox/clock", {"advance": seconds})

    def set_clock(self, offset: float) -> None:
        """Set the sandbox's clock `offset` seconds ahead of the real one; behind it if negative."""
        self._ask("POST", "/sandbox/clock", {"offset": offset})

    def style_history(
        self,
        *,
        stale_seconds: float = 0.0,
        caption: str = "whole",
        without: Sequence[str] = (),
        odd_entries: bool = False,
        spelling: Sequence[str] = (),
        ignores_range: bool = False,
    ) -> None:
        """Let Taisly's history list posts in one of the ways that mislead; without arguments, plainly again.

        Args:
            stale_seconds: A post is shown only when it is that old.
            caption: ``whole``, ``trimmed``, ``crlf``, ``escaped``, ``cut``, ``added`` or ``none``.
            without: Fields that items lack, of ``result``, ``platforms``, ``date``, ``description``, ``scheduled``.
            odd_entries: Whether entries that cannot be read stand among the posts.
            spelling: How fields are written: ``date_is_scheduled``, ``scheduled_is_flag``, ``platform_names``,
                ``other_ids``.
            ignores_range: Whether the newest ten posts are shown whatever range of time is asked for.

        Raises:
            ValueError: One of the values makes no sense.
        """
        shown = {"stale_seconds": stale_seconds, "caption": caption, "without": list(without)}
        odd = {"odd_entries": odd_entries, "spelling": list(spelling), "ignores_range": ignores_range}
        self._ask("POST", "/sandbox/history", shown | odd)

    def restart_phones(self, *, lost: bool = False, ids_from_1: bool = False) -> None:
        """Restart TikMatrix: running phone tasks return to pending.

        Args:
            lost: It forgets all its phone tasks instead.
            ids_from_1: New phone tasks are numbered from 1 again.
        """
        self._ask("POST", "/sandbox/restart-phones", {"lost": lost, "ids_from_1": ids_from_1})

    def set_dialect(self, **ways: str) -> None:
        """Let TikMatrix spell phones, usernames and statuses in another way; docs/sandbox.md lists them.

        Args:
            ways: As in ``serials="real_serial", usernames="with @"``. What is not named is the usual way.

        Raises:
            ValueError: There is no such thing to spell, or no such way.
        """
        self._ask("POST", "/sandbox/dialect", dict(ways))

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=TIMEOUT)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            content = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status >= _BAD_REQUEST:
            raise ValueError(content["error"])
        return content
