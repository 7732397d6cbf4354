"""Read the answer to a request within limits: of its size, its time and its structure.

A service, or whatever stands between, may send without end, byte by byte, or something small that unpacks to gigabytes.
An answer beyond these limits is one that cannot be understood.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import httpx

MOST_BYTES = 20_000_000
"""Bytes of one answer, unpacked. A history of 1000 posts, each with 2200 characters of caption, has less than 10 MB."""
MOST_PARTS = 500_000
"""Lists and objects in one answer: each takes up to a hundred times as much memory as its two brackets."""
DEEPEST = 32
"""Lists and objects within each other. The services' own answers have five."""
MOST_DIGITS = 300
"""Of one number; up to here each fits a float."""

_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
_PACKED = ("gzip", "x-gzip", "deflate")


class Answer(httpx.Response):
    """An answer that has been read whole."""

    def json(self, **kwargs: Any) -> Any:
        """Its JSON, as `read_json` reads it; `kwargs` are httpx's and not used."""
        return read_json(self.content)


def read_json(text: bytes) -> Any:
    """What a JSON text says, without half characters (lone surrogates), which can be neither stored nor sent on.

    Raises:
        ValueError: it is no JSON, or none that a service writes: nested too deep, with too many parts or digits.
    """
    if text.count(b"[") + text.count(b"{") > MOST_PARTS:
        raise ValueError("too many lists and objects")
    try:
        value = _load(text)
        _check_depth(value)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if _HALF_CHARACTER.search(text):
        return _load(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def _load(text: bytes) -> Any:
    return json.loads(text, parse_int=_integer, parse_float=_decimal, parse_constant=_no_number)


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError("a number of too many digits")
    return int(digits)


def _decimal(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number that is too large")
    return number


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise ValueError("nested too deep")


def receive(client: httpx.Client, request: httpx.Request, *, seconds: float) -> Answer:
    """Send `request` once and read its answer, which may take `seconds` from the last piece of the request on.

    Raises:
        httpx.HTTPError: as `httpx.Client.send`; ReadTimeout after `seconds`, DecodingError for an answer that is too
            large or not encoded as it says.
    """
    with Deadline(seconds) as deadline:
        request.extensions |= {"trace": deadline.trace, _BEGUN: lambda: deadline.has_begun}
        try:
            response = client.send(request, stream=True)
            try:
                body = _read(response)
            finally:
                response.close()
        except (httpx.HTTPError, httpx.StreamError):
            if deadline.is_over:
                raise httpx.ReadTimeout(f"no whole answer within {seconds:g} s") from None
            raise
        if deadline.is_over:  # cut where the end of the connection is the end of the answer
            raise httpx.ReadTimeout(f"no whole answer within {seconds:g} s")
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _NO_LONGER_TRUE]
    return Answer(response.status_code, headers=headers, content=body, request=request)


def has_begun(request: httpx.Request) -> bool:
    """Whether some of a request may have left: what goes wrong from then on is no mistake in its address."""
    return bool(request.extensions.get(_BEGUN, bool)())


_BEGUN = "reelflow.begun"
_NO_LONGER_TRUE = (b"content-encoding", b"content-length", b"transfer-encoding")


def _read(response: httpx.Response) -> bytes:
    if response.is_stream_consumed:  # a transport of a test may have it whole
        return response.content
    unpack = _unpacker(response.headers.get("Content-Encoding", ""))
    body, raw = bytearray(), 0
    for piece in response.iter_raw():
        raw += len(piece)
        try:
            body += unpack(piece, MOST_BYTES - len(body) + 1)
        except zlib.error:
            raise httpx.DecodingError("it is not encoded as it says") from None
        if max(len(body), raw) > MOST_BYTES:
            raise httpx.DecodingError(f"it is longer than {MOST_BYTES / 1e6:g} MB")
    return bytes(body)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """What turns a piece into its content, or the first bytes of it. An encoding that was not asked for is left."""
    if encoding.strip().lower() not in _PACKED:
        return lambda piece, most: piece
    return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress  # 32: the head says whether it is gzip or zlib


class Deadline:
    """Cuts the connection when an answer has taken too long; a read timeout starts again with each piece.

    The time starts with the request, stops while its body is sent, and starts again after the body. Connections are
    learned from httpx's trace of the request, so the client must open one for each.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sockets: list[socket.socket] = []
        self._timer: threading.Timer | None = None
        self.is_over = False
        self.has_begun = False

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Follow a request: httpx calls this at each of its steps."""
        step = event.partition(".")[2]
        self.has_begun |= step == "send_request_headers.started"
        if step == "send_request_body.started":
            self._stop()
        elif step in ("send_request_body.complete", "send_request_body.failed"):
            self._start()
        elif step in ("connect_tcp.complete", "start_tls.complete"):
            self._sockets.append(info["return_value"].get_extra_info("socket"))
            if self.is_over:  # while the connection was made, so nobody has cut it yet
                self._cut()

    def _start(self) -> None:
        self._timer = threading.Timer(self._seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _cut(self) -> None:
        self.is_over = True
        for each in self._sockets:
            with suppress(OSError):  # closed, or handed to its encrypted successor
                each.shutdown(socket.SHUT_RDWR)
