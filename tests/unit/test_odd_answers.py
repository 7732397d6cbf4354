"""Answers that no service should give, many hundreds of them, to every method of both clients."""

import inspect
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from reelflow.errors import InputError, ReelflowError
from reelflow.taisly import TaislyClient
from reelflow.tikmatrix import TikMatrixClient
from reelflow.transport import ServiceClient

ROUNDS = 1600
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ARGUMENTS: dict[str, dict[str, Any]] = {
    "history_between": {"start": NOW, "end": NOW},
    "cancel_scheduled": {"history_id": "7"},
    "add_repost": {"source": "a", "targets": ["b"]},
    "delete_repost": {"rule_id": "7"},
    "pause_repost": {"rule_id": "7", "paused": True},
    "create_task": {"script_name": "follow", "script_config": {}, "serials": ["S"]},
    "task": {"task_id": 7},
    "delete_task": {"task_id": 7},
    "delete_tasks": {"task_ids": [7]},
    "stop_task": {"task_id": 7},
    "retry_task": {"task_id": 7},
}
"""What the methods need that need something."""

NASTY: list[Any] = [
    None, True, False, 0, -1, 2**63, 10**30, 10**299, -(10**299), 1e308, 0.1, "", " ", "7", "-7", "1e999", "nan", "inf",
    "9" * 400, "\ud800", "a\udfffb", "\x00\x1b[31m", "\u202egpj", "a\n\n|b", "é" * 5000, "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59", "20261332", {}, [], [None], [[]], {"id": None}, {"_id": {}}, {"platform": {"id": []}},
    [{"id": 10**30}], "{", '{"username": {"a": ["\\ud800"]}}', '{"username": ' + "[" * 5000, [1e300], ["7"] * 300,
]  # fmt: skip
FIELDS = {
    "id", "_id", "platform", "identifier", "displayName", "status", "error", "url", "platformId", "result", "from",
    "to", "isPaused", "description", "platforms", "date", "scheduled", "historyId", "message", "detailMessage", "agent",
    "success", "code", "apiKey", "retryAfter", "data", "list", "total", "tasks", "task_ids", "plan_name", "api_enabled",
    "device_limit", "serial", "remark", "script_args", "script_name", "retry_count", "start_time", "devices", "failed",
}  # fmt: skip
BODIES = [
    b"", b"null", b"[]", b"{", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), "{}".encode("utf-32"),
    b"[" * 50_000, b'{"a":' * 2_000, b"9" * 6_000, b"NaN", b"-Infinity", b"1e999", b'"\\ud800"', b'"\xe9"',
    b'{"success": false, "error": "\\ud800"}', b'{"code": 1e999}', b'{"code": 1e308}', b'{"code": "\\u0669"}',
    b"<html>" + b" " * 10_000, b"\x1f\x8b\x08\x00rest",
]  # fmt: skip
HEADERS = [
    {}, {"Content-Type": "text/plain; charset=klingon"}, {"Content-Type": "text/html; charset=hex"},
    {"Content-Type": "application/json; charset=utf-16"}, {"Content-Type": "text/plain; charset=idna"},
    {"Content-Encoding": "gzip"}, {"Content-Encoding": "deflate"}, {"Content-Encoding": "br"},
    {"Content-Encoding": "gzip, gzip"}, {"Date": "Mon, 99 Foo 99999999999999999999 99:99:99 GMT"}, {"Date": "0"},
    {"Date": "Mon, 01 Jan 0001 00:00:00 -2359"}, {"Date": "Thu, 31 Dec 9999 23:59:59 -0000"}, {"Date": "\xe9"},
    {"Retry-After": "1e999"}, {"Retry-After": "nan"}, {"Retry-After": "9" * 5000}, {"Retry-After": "\xb2"},
    {"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, {"Location": "http://[::1"},
    {"Location": "http://a:99999999/"}, {"Location": "//\xe9\x00"}, {"Set-Cookie": "a=b; expires=" + "9" * 50},
]  # fmt: skip
STATUSES = [
    200,
    200,
    200,
    200,
    201,
    204,
    299,
    302,
    304,
    400,
    401,
    403,
    404,
    408,
    409,
    418,
    429,
    429,
    500,
    502,
    599,
    999,
]


def _value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if depth < 4 and kind < 0.4:
        return {name: _value(rng, depth + 1) for name in rng.sample(sorted(FIELDS), rng.randint(1, 8))}
    if depth < 4 and kind < 0.55:
        return [_value(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    return rng.choice(NASTY)


GOOD = {
    "id": 7, "platform": "TikTok", "displayName": "@mara", "description": "Hello", "platforms": ["a"], "date": 1,
    "from": "a", "to": ["b"], "serial": "S", "status": 1, "script_name": "follow", "script_args": {"username": "u"},
    "retry_count": 1, "result": [{"platform": "TikTok", "status": "FAILED", "error": "no", "url": "https://x.example"}],
    "task_ids": [7],
}  # fmt: skip


def _likely(rng: random.Random) -> Any:
    """An answer of the usual shape with a few odd fields, so that what is inside of it is read too."""
    items: list[dict[str, Any]] = []
    for _ in range(2):
        odd = {name: rng.choice(NASTY) for name in rng.sample(sorted(FIELDS), 4)}
        result = GOOD["result"][0] | {name: rng.choice(NASTY) for name in rng.sample(sorted(FIELDS), 2)}  # type: ignore[index]
        items.append({**GOOD, "result": [result], **odd})
    inner = rng.choice([items, {"list": items}, items[0], {**items[0], "list": items}])
    return {"success": True, "code": 0, "historyId": rng.choice(NASTY), "data": inner}


def _answers(seed: int) -> Iterator[httpx.Response]:
    rng = random.Random(seed)
    while True:
        shape = rng.random()
        body = rng.choice(BODIES) if shape < 0.3 else json.dumps(_likely(rng) if shape < 0.7 else _value(rng)).encode()
        headers = [(name, value.encode("latin-1")) for name, value in rng.choice(HEADERS).items()]
        yield httpx.Response(rng.choice(STATUSES), headers=headers, content=iter([body]))


def _methods(client: ServiceClient) -> list[str]:
    names = [n for n, _ in inspect.getmembers(type(client), inspect.isfunction) if not n.startswith("_")]
    return [n for n in names if n not in ("close", "use_key", "with_key")]  # none of these sends a request


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude={"caption", "script_args"})
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


@pytest.mark.parametrize("make", [TaislyClient, TikMatrixClient])
def test_whatever_a_service_answers_the_error_is_ours(make: Callable[..., ServiceClient], tmp_path: Path) -> None:
    """And what is read of it can be stored, sent and shown on one line."""
    video = tmp_path / "v.mp4"
    video.write_bytes(b"x")
    answers = _answers(20261122)

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        return next(answers)

    key = ("taisly_key",) if make is TaislyClient else ()
    client = make(*key, transport=httpx.MockTransport(answer))
    methods = _methods(client)
    rounds = {name: ARGUMENTS.get(name, {}) for name in methods}
    if make is TaislyClient:
        rounds["create_post"] = {"video": video, "account_ids": ["a"]}
    for number in range(ROUNDS // 2):
        name = methods[number % len(methods)]
        try:
            texts = list(_texts(getattr(client, name)(**rounds[name])))
        except ReelflowError as error:
            texts = [error.message]
        if name != "key_info":  # whatever Taisly sends
            assert [t for t in texts if len(t) > 2000 or not t.isprintable()] == [], (number, name)


@pytest.mark.parametrize("text", ["\ud800", "caf\udce9"])
def test_text_that_cannot_be_sent_is_wrong_input(text: str) -> None:
    """Nothing was sent."""

    def forbidden(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request)

    transport = httpx.MockTransport(forbidden)

    with pytest.raises(InputError, match="cannot be sent"):
        TikMatrixClient(transport=transport).create_task("follow", {"target_user": text}, usernames=["a"])
    with pytest.raises(InputError, match="cannot be sent"):
        TikMatrixClient(transport=transport).tasks(serial=text)
    with pytest.raises(InputError, match="cannot be sent"):
        TaislyClient("k", transport=transport).cancel_scheduled(text)
    with pytest.raises(InputError, match="cannot be sent"):
        TaislyClient("k", transport=transport).add_repost(text, [])
