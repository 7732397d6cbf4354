"""What a service sends may be endless, huge, or built to be misread: none of it holds up a run or fills its memory."""

import gzip
import json
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from support.raw_server import raw_server

from reelflow.counted_body import CountedBody
from reelflow.errors import NotAllowed, OutcomeUnknown, UnreadableAnswer
from reelflow.taisly import TaislyClient
from reelflow.tikmatrix import TikMatrixClient
from reelflow.transport import exchange, open_client

MB = 1_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def _endless(connection: socket.socket) -> None:
    connection.sendall(OK + b'\r\n{"success": true, "data": "')
    for _ in range(200):
        connection.sendall(b"x" * MB)


def _promised(connection: socket.socket) -> None:
    connection.sendall(OK + b"Content-Length: 200000000\r\n\r\n")
    for _ in range(200):
        connection.sendall(b" " * MB)


def _bomb(connection: socket.socket) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    packed = b"".join([*(packer.compress(b" " * MB) for _ in range(200)), packer.flush()])
    connection.sendall(OK + f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed)


def _brackets(connection: socket.socket) -> None:
    connection.sendall(OK + b"Content-Length: 20000000\r\n\r\n" + b"[" + b"[]," * 6_666_666 + b"]")


@pytest.mark.parametrize("answer", [_endless, _promised, _bomb, _brackets], ids=lambda each: each.__name__)
def test_a_huge_answer_takes_little_memory(answer: Callable[[socket.socket], None]) -> None:
    """200 MB of text, 200 MB in a gzip of 200 KB, 6.7 million lists: it is given up at 20 MB, and may have acted."""
    with raw_server(answer) as url, TikMatrixClient(url) as client:
        tracemalloc.start()
        try:
            with pytest.raises(UnreadableAnswer):
                client.retry_all()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak < 100 * MB


def _drip_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(connection, b"a")


def _drip_body(connection: socket.socket) -> None:
    connection.sendall(OK + b"Content-Length: 1000000\r\n\r\n")
    _drip(connection, b" ")


def _drip_chunk(connection: socket.socket) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n5;note=")
    _drip(connection, b"a")


def _drip_to_the_end(connection: socket.socket) -> None:
    connection.sendall(OK + b"\r\n{}")  # complete when the connection closes, whoever closes it
    _drip(connection, b" ")


def _drip(connection: socket.socket, byte: bytes) -> None:
    for _ in range(600):
        connection.sendall(byte)
        time.sleep(0.05)


@pytest.mark.parametrize(
    "answer", [_drip_head, _drip_body, _drip_chunk, _drip_to_the_end], ids=lambda each: each.__name__
)
def test_an_answer_that_never_ends_is_cut_at_its_deadline(answer: Callable[[socket.socket], None]) -> None:
    """Byte by byte, in its head or its body: no pause between two bytes is ever long enough for a read timeout."""
    with raw_server(answer) as url, open_client(url) as client:
        started = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="timed out"):
            exchange(client, client.build_request("POST", "/task"), service="TikMatrix", seconds=0.4)

    assert 0.3 < time.monotonic() - started < 5


def test_the_deadline_of_an_upload_starts_with_its_last_piece() -> None:
    """However long the upload itself takes; its answer has the time that an answer has."""

    class Slow(httpx.SyncByteStream):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for _ in range(4):
                time.sleep(0.3)
                yield b"x" * 300_000

    def later(connection: socket.socket) -> None:
        time.sleep(0.2)
        connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")

    with raw_server(later) as url, open_client(url) as client:
        request = client.build_request("POST", "/post", headers={"Content-Length": "1200000"}, content=b"")
        request.stream = CountedBody(Slow(), 1_200_000)
        answer = exchange(client, request, service="Taisly", seconds=0.8)

    assert answer.json() == {}


def test_each_request_has_its_own_connection() -> None:
    """A connection that the service is just closing would cast doubt on a request that never left."""
    connections = set()

    def answer(connection: socket.socket) -> None:
        connections.add(connection)
        connection.sendall(OK + b'Content-Length: 24\r\n\r\n{"code": 0, "data": {} }')

    with raw_server(answer) as url, TikMatrixClient(url) as client:
        client.stats()
        client.stats()

    assert len(connections) == 2


def _replying(body: bytes, status: int = 200, **headers: str) -> httpx.MockTransport:
    return httpx.MockTransport(
        lambda request: httpx.Response(
            status, headers={k.replace("_", "-"): v for k, v in headers.items()}, content=iter([body])
        )
    )


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"success": true, "data": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
        b'{"success": true, "data": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"success": true, "data": ' + b"9" * 400 + b"}",
        b'{"success": true, "data": ' + b"9" * 5000 + b"}",
        b'{"success": true, "data": NaN}',
        b'{"success": true, "data": 1e999}',
        b"\xff\xfe\x00",
        b'{"success": true, "data": "caf\xe9"}',
    ],
    ids=lambda body: body[:30].decode("ascii", "replace"),
)
def test_json_that_no_service_writes_cannot_be_understood(body: bytes) -> None:
    """Nested more than 32 deep, numbers of hundreds of digits, values that JSON does not have, another charset."""
    with pytest.raises(UnreadableAnswer):
        TaislyClient("k", transport=_replying(body)).revoke_key()


def test_half_characters_in_json_become_whole_ones() -> None:
    """A lone surrogate could be stored and sent nowhere; a pair is one character."""
    body = rb'{"success": true, "\ud800": "a\udc00b \ud83c\udf5e"}'

    assert TaislyClient("k", transport=_replying(body)).key_info() == {"success": True, "?": "a?b 🍞"}


def test_a_compressed_answer_is_read() -> None:
    """As proxies send it, and as the services may."""
    packed = gzip.compress(json.dumps({"success": True, "data": []}).encode())

    assert TaislyClient("k", transport=_replying(packed, Content_Encoding="gzip")).platforms() == []


def test_a_status_counts_whatever_the_encoding_of_the_body() -> None:
    """An encoding that was not asked for leaves a body without words."""
    with pytest.raises(NotAllowed):
        TaislyClient("k", transport=_replying(b"\x1b\x03", 401, Content_Encoding="br")).platforms()


def test_an_answer_that_is_not_what_it_says_cannot_be_understood(tmp_path: Path) -> None:
    """It says gzip and is not: a post may be out."""
    video = tmp_path / "v.mp4"
    video.write_bytes(b"x")

    def lie(request: httpx.Request) -> httpx.Response:
        request.read()
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=iter([b'{"success": true}']))

    with pytest.raises(UnreadableAnswer, match="cannot be read: it is not encoded as it says"):
        TaislyClient("k", transport=httpx.MockTransport(lie)).create_post(video, ["a"])
