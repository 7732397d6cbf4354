"""Faults to order: answers lost, connections cut, servers that fail, at any request one likes.

An ASGI layer around the sandbox. Cutting a connection needs the socket itself, which ASGI does not show; so
`CuttableProtocol`, an HTTP protocol for uvicorn, puts a function that closes it into each request's scope.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
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
    "slow",
)
STATUSES = (429, 500, 502, 503)
_ABORT = "reelflow.abort"


@dataclass
class Fault:
    """One fault that is waiting for its request.

    Attributes:
        method: HTTP method, or ``*``.
        path: Path, ``*`` stands for anything.
        fault: One of `KINDS`.
        times: How many requests it still hits; None for all.
        probability: Chance with which it hits a request that matches.
        seconds: For ``slow``, how late the answer comes; for a status 429, its ``retryAfter``.
        status: For ``status_before`` and ``status_after``.
        after: How many matching requests pass unharmed first.
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
        """A fault as ordered; ValueError says what is wrong with the order."""
        if not isinstance(body, dict):
            raise ValueError("send one JSON object")  # noqa: TRY004 - what the caller catches
        if unknown := set(body) - set(cls.__dataclass_fields__):
            raise ValueError(f"unknown field: {', '.join(sorted(unknown))}")
        if body.get("fault") not in KINDS:
            raise ValueError(f"'fault' must be one of {', '.join(KINDS)}")
        fault = cls(**{"method": "*", "path": "*", **body})
        if fault.fault.startswith("status") and fault.status not in STATUSES:
            raise ValueError(f"'status' must be one of {', '.join(map(str, STATUSES))}")
        for name, low in (("probability", 0), ("seconds", 0), ("after", 0)):
            value = getattr(fault, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < low:
                raise ValueError(f"'{name}' must be a number from {low}")
        if fault.times is not None and (isinstance(fault.times, bool) or not isinstance(fault.times, int)):
            raise ValueError("'times' must be a whole number, or null for every time")
        return fault


class Faults:
    """The faults on order, and the chance that decides about those with a probability."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - play, not secrets
        self.waiting: list[Fault] = []

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request, if any; used up by it."""
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

    def as_json(self) -> list[dict[str, Any]]:
        """The faults still waiting."""
        return [asdict(f) for f in self.waiting]


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, with a way to cut the connection in each request's scope."""

    def connection_made(self, transport: Any) -> None:
        """Remember how to cut this connection."""
        super().connection_made(transport)
        app = self.app

        async def with_abort(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, _ABORT: transport.abort}, receive, send)

        self.app = with_abort


class FaultLayer:
    """Counts every request to the two APIs, and does to it what was ordered."""

    def __init__(self, app: App, faults: Callable[[], Faults], requests: Callable[[], dict[str, int]]) -> None:
        self._app = app
        self._faults = faults
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or harm it."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        counts, name = self._requests(), f"{method} {re.sub(r'/task/[0-9]+', '/task/{id}', path)}"
        counts[name] = counts.get(name, 0) + 1
        fault = self._faults().take(method, path)
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await self._harm(fault, scope, receive, send)

    async def _harm(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        async def cut() -> None:
            scope[_ABORT]()
            while (await receive())["type"] != "http.disconnect":
                pass

        if fault.fault == "drop_before":
            await cut()
        elif fault.fault == "drop_mid_body":
            await self._drop_in_the_middle(cut, scope, receive, send)
        elif fault.fault == "status_before":
            while (await receive()).get("more_body"):  # taken whole, so that the answer is surely read
                pass
            await _answer(send, fault.status, _error_body(fault))
        elif fault.fault == "slow":
            answer = await self._run(scope, receive)
            await asyncio.sleep(fault.seconds)
            for message in answer:
                await send(message)
        else:
            await self._run(scope, receive)
            if fault.fault == "drop_after":
                await cut()
            elif fault.fault == "garbage_after":
                await _answer(send, 200, ("application/json", b'{"success": tru'))
            else:
                await _answer(send, fault.status, _error_body(fault))

    async def _run(self, scope: Scope, receive: Receive) -> list[Message]:
        """Let the request take its full effect, and keep its answer back."""
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, keep)
        return answer

    async def _drop_in_the_middle(
        self, cut: Callable[[], Awaitable[None]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        length = int(dict(scope["headers"]).get(b"content-length", b"0"))
        if length == 0:  # nothing on the way in: cut the answer in half
            for message in await self._run(scope, receive):
                if message["type"] == "http.response.body":
                    body = message.get("body", b"")
                    await send({**message, "body": body[: len(body) // 2], "more_body": True})
                    break
                await send(message)
            await asyncio.sleep(0.01)  # the half that was sent leaves before the cut
            await cut()
            return
        taken = 0
        while taken < length // 2:
            message = await receive()
            taken += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await cut()


def _error_body(fault: Fault) -> tuple[str, bytes]:
    if fault.status == 502:  # a proxy answers for the service, in HTML
        return "text/html", b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    body: dict[str, Any] = {"success": False, "code": 50001, "message": "INTERNAL", "error": "Something went wrong"}
    if fault.status == 429:
        body |= {"code": 42900, "message": "RATE_LIMIT", "error": "Too many requests", "retryAfter": fault.seconds}
    return "application/json", json.dumps(body).encode()


async def _answer(send: Send, status: int, content: tuple[str, bytes]) -> None:
    kind, body = content
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
