"""Faults to order for any request: lost answers, cut connections, failing servers.

An ASGI layer around the sandbox. ASGI has no way to cut a connection, so `CuttableProtocol`, an HTTP protocol for
uvicorn, puts a function that does it into each request's scope.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import functools
import gzip
import json
import random
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KINDS = (
    "drop_before",
    "drop_after",
    "drop_mid_body",
    "status_before",
    "status_after",
    "garbage_after",
    "refusal_with_id",
    "huge_after",
    "bomb_after",
    "drip_after",
    "slow",
)
STATUSES = (302, 403, 404, 408, 409, 425, 429, 500, 502, 503)
"""The statuses that ``status_before`` and ``status_after`` can answer with."""
HUGE_BYTES = 200_000_000
PIECE = 1_000_000
DRIP = 0.05
"""Seconds between two bytes of an answer that drips."""
_FROM_PROXIES = (302, 403, 404, 502)
_ABORT = "reelflow.abort"


@dataclass
class Fault:
    """One ordered fault.

    Attributes:
        method: HTTP method, or ``*``.
        path: Path; ``*`` matches anything.
        fault: One of `KINDS`.
        times: How many more requests it hits; None for all.
        probability: The chance with which it hits a matching request.
        seconds: For ``slow``, how late the answer comes, unless the faults are cleared sooner; for ``drip_after``, how
            long it takes; for a status 429, its ``retryAfter``.
        status: For ``status_before`` and ``status_after``.
        after: How many matching requests pass first.
    """

    method: str
    path: str
    fault: str
    times: int | None = 1
    probability: float = 1.0
    seconds: float = 1.0
    status: int = 500
    after: int = 0

    @classmethod
    def from_json(cls, body: Any) -> Fault:
        """Read an order.

        Raises:
            ValueError: Something is wrong with it; the message says what.
        """
        if not isinstance(body, dict):
            raise ValueError("Send a JSON object.")  # noqa: TRY004 - what the caller catches
        if unknown := set(body) - set(cls.__dataclass_fields__):
            raise ValueError(f"Unknown field: {', '.join(sorted(unknown))}.")
        if body.get("fault") not in KINDS:
            raise ValueError(f"'fault' must be one of {', '.join(KINDS)}.")
        fault = cls(**{"method": "*", "path": "*", **body})
        if fault.fault.startswith("status") and fault.status not in STATUSES:
            raise ValueError(f"'status' must be one of {', '.join(map(str, STATUSES))}.")
        for name, low in (("probability", 0), ("seconds", 0), ("after", 0)):
            value = getattr(fault, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < low:
                raise ValueError(f"'{name}' must be a number of at least {low}.")
        if fault.times is not None and (isinstance(fault.times, bool) or not isinstance(fault.times, int)):
            raise ValueError("'times' must be a whole number, or null for every time.")
        return fault


class Faults:
    """The ordered faults, and the chance that decides about those with a probability."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - play, not secrets
        self.waiting: list[Fault] = []
        self._cleared = asyncio.Event()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request, if any; this uses it up."""
        for fault in self.waiting:
            if fault.method.upper() not in ("*", method) or not fnmatchcase(path, fault.path):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            if self._chance.random() >= fault.probability:
                continue
            if fault.times is not None:
                fault.times -= 1
            self.waiting = [f for f in self.waiting if f.times is None or f.times > 0]
            return fault
        return None

    async def hold(self, seconds: float) -> None:
        """Hold an answer back for `seconds`, or until the faults are cleared."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cleared.wait(), seconds)

    def clear(self) -> None:
        """Forget every fault, and send the answers that ``slow`` holds back."""
        self.waiting.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    def as_json(self) -> list[dict[str, Any]]:
        """The faults still waiting."""
        return [asdict(f) for f in self.waiting]


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, with a function in each request's scope that cuts the connection."""

    def connection_made(self, transport: Any) -> None:
        """Remember how to cut this connection."""
        super().connection_made(transport)
        app = self.app

        async def with_abort(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, _ABORT: transport.abort}, receive, send)

        self.app = with_abort


class FaultLayer:
    """Counts every request to the two APIs, and does to it what was ordered.

    A request that still runs when the server stops loses its connection, as if the service had died. Every answer has
    the Date of the sandbox's clock.
    """

    def __init__(
        self,
        app: App,
        faults: Callable[[], Faults],
        requests: Callable[[], dict[str, int]],
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._faults = faults
        self._requests = requests
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or apply the fault ordered for it."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        send = self._dated(send)
        method, path = scope["method"], scope["path"]
        counts, name = self._requests(), f"{method} {re.sub(r'/task/[0-9]+', '/task/{id}', path)}"
        counts[name] = counts.get(name, 0) + 1
        fault = self._faults().take(method, path)
        try:
            if fault is None:
                await self._app(scope, receive, send)
            else:
                await self._apply(fault, scope, receive, send)
        except asyncio.CancelledError:  # uvicorn would answer 500 and log a traceback
            await _cut(scope, receive)

    def _dated(self, send: Send) -> Send:
        async def with_date(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = email.utils.formatdate(self._clock(), usegmt=True).encode()
                message = {**message, "headers": [*message.get("headers", ()), (b"date", date)]}
            await send(message)

        return with_date

    async def _apply(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.fault == "drop_before":
            await _cut(scope, receive)
        elif fault.fault == "drop_mid_body":
            await self._drop_mid_body(scope, receive, send)
        elif fault.fault == "status_before":
            while (await receive()).get("more_body"):  # read to its end, so that the client reads the answer
                pass
            await _answer(send, fault.status, _error_body(fault))
        elif fault.fault == "slow":
            answer = await self._run(scope, receive)
            await self._faults().hold(fault.seconds)
            for message in answer:
                await send(message)
        else:
            answer = await self._run(scope, receive)
            if fault.fault == "drop_after":
                await _cut(scope, receive)
            elif fault.fault == "refusal_with_id":
                await _answer(send, 200, ("application/json", _refusal_with_id(answer)))
            elif fault.fault == "garbage_after":
                await _answer(send, 200, ("application/json", b'{"success": tru'))
            elif fault.fault == "huge_after":
                await _answer_in_pieces(send, HUGE_BYTES // PIECE, b" " * PIECE)
            elif fault.fault == "bomb_after":
                await _answer_in_pieces(send, 1, _bomb(), (b"content-encoding", b"gzip"))
            elif fault.fault == "drip_after":
                await _answer_in_pieces(send, max(1, round(fault.seconds / DRIP)), b" ", pause=DRIP)
            else:  # status_after
                await _answer(send, fault.status, _error_body(fault))

    async def _run(self, scope: Scope, receive: Receive) -> list[Message]:
        """Let the request take effect, and hold its answer back."""
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, keep)
        return answer

    async def _drop_mid_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = int(dict(scope["headers"]).get(b"content-length", b"0"))
        if length == 0:  # nothing on the way in: cut the answer in half
            start, *rest = await self._run(scope, receive)
            body = b"".join(message.get("body", b"") for message in rest)
            await send(start)
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await asyncio.sleep(0.01)  # the half that was sent leaves before the cut
            await _cut(scope, receive)
            return
        taken = 0
        while taken < length // 2:
            message = await receive()
            taken += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await _cut(scope, receive)


async def _cut(scope: Scope, receive: Receive) -> None:
    """Cut the connection, and wait until uvicorn knows, which else would answer for us."""
    scope[_ABORT]()
    while (await receive())["type"] != "http.disconnect":
        pass


def _refusal_with_id(answer: list[Message]) -> bytes:
    """The answer as a refusal that names what was stored all the same."""
    stored = json.loads(b"".join(message.get("body", b"") for message in answer))
    refusal = {"success": False, "message": "INTERNAL", "error": "Something went wrong"}
    return json.dumps({**refusal, **{k: v for k, v in stored.items() if k == "historyId"}}).encode()


def _error_body(fault: Fault) -> tuple[str, bytes]:
    if fault.status in _FROM_PROXIES:  # a proxy answers for the service, in HTML
        title = f"{fault.status} {HTTPStatus(fault.status).phrase}"
        return "text/html", f"<html><head><title>{title}</title></head><body>nginx</body></html>".encode()
    body: dict[str, Any] = {"success": False, "code": 50001, "message": "INTERNAL", "error": "Something went wrong"}
    if fault.status == 429:
        body |= {"code": 42900, "message": "RATE_LIMIT", "error": "Too many requests", "retryAfter": fault.seconds}
    return "application/json", json.dumps(body).encode()


@functools.cache
def _bomb() -> bytes:
    """Something small that unpacks to `HUGE_BYTES`."""
    return gzip.compress(b" " * HUGE_BYTES)


async def _answer_in_pieces(
    send: Send, number: int, piece: bytes, *headers: tuple[bytes, bytes], pause: float = 0.0
) -> None:
    """An answer that the client would do better not to read to its end."""
    content = (b"content-type", b"application/json")
    await send({"type": "http.response.start", "status": 200, "headers": [content, *headers]})
    for _ in range(number):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(pause)
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, status: int, content: tuple[str, bytes]) -> None:
    kind, body = content
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    if status == HTTPStatus.FOUND:
        headers.append((b"location", b"/login"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
