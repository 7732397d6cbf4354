"""The clients and the sandbox share no code. They meet in these payloads, written from the vendors' pages."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

import reelflow.errors
from reelflow.errors import InputError, ReelflowError, UnreadableAnswer
from reelflow.sandbox.catalog import API_KEY
from reelflow.taisly import TaislyClient
from reelflow.tikmatrix import TikMatrixClient

HERE = Path(__file__).parent / "payloads"
BASE = {"taisly": "https://app.taisly.com/api/private", "tikmatrix": "http://localhost:50809/api/v1"}


def _exchanges() -> list[Any]:
    return [
        pytest.param(api, exchange, id=f"{api}: {exchange['about']}")
        for api in ("taisly", "tikmatrix")
        for exchange in json.loads((HERE / f"{api}.json").read_text())
    ]


def _call(client: Any, call: list[Any], video: Path) -> Any:
    name, *args = call
    kwargs = (
        args.pop() if args and isinstance(args[-1], dict) and name in ("create_task", "tasks", "pause_repost") else {}
    )
    return getattr(client, name)(*(video if arg == "VIDEO" else arg for arg in args), **kwargs)


@pytest.mark.parametrize(("api", "exchange"), _exchanges())
def test_the_client_sends_and_reads_what_the_pages_say(api: str, exchange: dict, tmp_path: Path) -> None:
    """One request, as documented, and the documented answer understood."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(exchange["response"]["status"], json=exchange["response"]["json"])

    transport = httpx.MockTransport(answer)
    client = (
        TaislyClient("taisly_key", BASE[api], transport=transport)
        if api == "taisly"
        else TikMatrixClient(BASE[api], transport=transport)
    )
    video = tmp_path / "clip.mov"
    video.write_bytes(b"the video's bytes")

    if kind := exchange.get("raises"):
        with pytest.raises(getattr(reelflow.errors, kind)) as caught:
            _call(client, exchange["call"], video)
        assert str(caught.value).endswith(".")
    else:
        _call(client, exchange["call"], video)

    (request,), wanted = seen, exchange["request"]
    assert (request.method, str(request.url).partition("?")[0]) == (wanted["method"], BASE[api] + wanted["path"])
    assert dict(request.url.params) == wanted.get("query", {})
    if api == "taisly":
        assert request.headers["Authorization"] == "Bearer taisly_key"
    if "json" in wanted:
        assert json.loads(request.content) == wanted["json"]
    for name, value in wanted.get("form", {}).items():
        assert f'name="{name}"\r\n\r\n{value}\r\n'.encode() in request.content
    if "form" in wanted:
        assert b'name="video"; filename="clip.mov"\r\nContent-Type: video/quicktime' in request.content
        assert b"the video's bytes" in request.content
        assert b"scheduled" not in request.content


@pytest.mark.parametrize("api", ["taisly", "tikmatrix"])
def test_the_sandbox_answers_what_the_pages_say(api: str, sandbox: Any, clip: Callable[[str], Path]) -> None:
    """The same exchanges, one after the other, over real HTTP: same status, and every documented field."""
    base = sandbox.taisly_url if api == "taisly" else sandbox.tikmatrix_url
    rule = ""
    for exchange in json.loads((HERE / f"{api}.json").read_text()):
        wanted = exchange["request"]
        options: dict[str, Any] = {"params": wanted.get("query")}
        if "json" in wanted:
            options["json"] = {k: rule if v == "RULE" else v for k, v in wanted["json"].items()}
        if "form" in wanted:
            options |= {
                "data": wanted["form"],
                "files": {"video": ("a.mp4", clip("small.mp4").read_bytes(), "video/mp4")},
            }
        headers = {"Authorization": f"Bearer {API_KEY}"} if api == "taisly" else {}

        answer = httpx.request(wanted["method"], base + wanted["path"], headers=headers, trust_env=False, **options)

        assert answer.status_code == exchange["response"]["status"], (exchange["about"], answer.text)
        _same_shape(exchange["response"]["json"], answer.json(), exchange["about"])
        if wanted["path"] == "/reposts":
            rule = answer.json()["data"][0]["_id"]


def _same_shape(wanted: Any, found: Any, where: str) -> None:
    if isinstance(wanted, dict):
        assert isinstance(found, dict), where
        for key, value in wanted.items():
            assert key in found, f"{where}: {key} is missing in {found}"
            _same_shape(value, found[key], f"{where}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(found, list), where
        assert bool(found) == bool(wanted), where
        for item in found:
            _same_shape(wanted[0], item, f"{where}[]")
    elif wanted is None:
        assert found is None or isinstance(found, str), where  # a time that may be missing
    elif isinstance(wanted, bool) and "[]" not in where:  # of an item in a list only the kind is promised
        assert found == wanted, where
    else:
        assert type(found) is type(wanted), (where, found)


TAISLY_ODD = [
    ("platforms", {"data": [{"_id": 7, "identifier": "TikTok", "new": 1}]},
     lambda r: (r[0].id, r[0].platform) == ("7", "TikTok")),
    ("platforms", [{"id": "a", "platform": "X"}], lambda r: r[0].platform == "X"),
    ("generate_key", {"data": {"key": "taisly_new"}}, lambda r: r == "taisly_new"),
    ("history_page", {"data": [{"_id": "h", "result": [{"identifier": "X", "status": "published?"}]}]},
     lambda r: r[0].result[0].status == "PENDING"),
    ("history_page", {"data": [{"id": 5, "date": "2026-01-02T03:04:05Z", "description": "c", "result": None}]},
     lambda r: r[0].id == "5" and r[0].created.year == 2026 and r[0].result == []),
    ("history_page", {"data": [{"id": "h", "date": "1767323045000", "platforms": [{"_id": "a"}],
                                "result": [{"platform": {"id": "a", "platform": "X"},
                                            "status": "FAILED", "error": {"odd": 1}}]}]},
     lambda r: r[0].created.year == 2026 and r[0].account_ids == ("a",) and r[0].result[0].platform_id == "a"
     and r[0].result[0].reason is None and r[0].result[0].status == "FAILED"),
    ("history_page", {"data": [{"id": "h", "date": "yesterday", "platforms": "all of them"}]},
     lambda r: r[0].created is None and r[0].account_ids == ()),
    ("reposts", {"data": [{"id": "r", "from": "a", "to": ["b"]}]},
     lambda r: r[0].targets == ("b",) and not r[0].paused),
    ("reposts", {"data": [{"id": "r", "from": {"_id": "a"}, "to": None}]},
     lambda r: r[0].source == "a" and r[0].targets == ()),
    ("reposts", {"data": [{"id": "r", "from": "a", "to": "b", "isPaused": None}]},
     lambda r: r[0].targets == ("b",) and not r[0].paused),
    ("reposts", {"data": [{"id": "r", "from": "a", "to": {"_id": "b"}}]}, lambda r: r[0].targets == ("b",)),
]  # fmt: skip


@pytest.mark.parametrize(("method", "body", "holds"), TAISLY_ODD)
def test_what_taislys_pages_leave_open_is_read_leniently(method: str, body: Any, holds: Callable[[Any], bool]) -> None:
    """Other spellings, numbers for text, new fields, statuses that nobody documented."""
    client = TaislyClient("k", transport=httpx.MockTransport(lambda request: httpx.Response(200, json=body)))

    assert holds(getattr(client, method)())


@pytest.mark.parametrize(
    ("method", "body", "words"),
    [
        ("platforms", {"data": {"count": 0}}, "no list of platforms"),
        ("reposts", {"data": [{"id": "r", "from": "a", "to": [{"name": "b"}]}]}, r"lacks fields .* \(to\.0\)"),
        ("reposts", {"data": [{"id": "r", "from": "a", "to": True}]}, r"lacks fields .* \(to\.0\)"),
        ("generate_key", {"data": "taisly_new"}, "the old key no longer works. Generate another one"),
    ],
)
def test_what_cannot_be_read_from_taisly_is_said(method: str, body: Any, words: str) -> None:
    client = TaislyClient("k", transport=httpx.MockTransport(lambda request: httpx.Response(200, json=body)))

    with pytest.raises(UnreadableAnswer, match=words):
        getattr(client, method)()


def test_a_post_that_cannot_be_sent_is_refused_before_the_request(tmp_path: Path) -> None:
    """A time without a zone, a file that is gone."""
    video = tmp_path / "v.mp4"
    video.write_bytes(b"1234")
    client = TaislyClient("k", transport=httpx.MockTransport(lambda request: pytest.fail("something was sent")))

    with pytest.raises(InputError, match="needs a time zone"):
        client.create_post(video, ["a"], scheduled=datetime(2030, 1, 1))  # noqa: DTZ001
    with pytest.raises(InputError, match=r"gone\.mp4 cannot be read: No such file"):
        client.create_post(tmp_path / "gone.mp4", ["a"])


PLAIN_TASK = {"id": 3, "status": 2, "serial": "S", "script_args": {"username": "u"}}
ODD_TASK = {"id": "3", "status": "2", "real_serial": "S", "script_args": '{"username": "u"}'}


@pytest.mark.parametrize(
    "body",
    [
        {"code": 0, "data": {"total": 1, "tasks": [ODD_TASK]}},
        {"code": "0", "data": [{**PLAIN_TASK, "remark": None}]},
        {"code": 0, "data": {"records": [PLAIN_TASK]}},
        {"code": 0, "data": {"data": [PLAIN_TASK], "list": None}},
    ],
)
def test_what_tikmatrixs_pages_leave_open_is_read_leniently(body: Any) -> None:
    """The key of the array, numbers as text, arguments as JSON text."""
    client = TikMatrixClient(transport=httpx.MockTransport(lambda request: httpx.Response(200, json=body)))

    (task,) = client.tasks().tasks

    assert (task.id, task.status, task.serial, task.username) == (3, 2, "S", "u")


def test_a_phone_task_that_tikmatrix_describes_oddly_counts_as_unfinished() -> None:
    """A status that nobody documented, arguments that are no JSON."""
    odd = {"code": 0, "data": {"id": 3, "status": "paused", "script_args": "{user"}}
    client = TikMatrixClient(transport=httpx.MockTransport(lambda request: httpx.Response(200, json=odd)))

    task = client.task(3)

    assert (task.status, task.script_args) == (None, {})


@pytest.mark.parametrize(("method", "what"), [("tasks", "tasks"), ("devices", "devices")])
@pytest.mark.parametrize("data", ["none", {"total": 1}, None])
def test_a_listing_without_a_list_is_said(method: str, what: str, data: Any) -> None:
    answer = httpx.Response(200, json={"code": 0, "data": data})
    client = TikMatrixClient(transport=httpx.MockTransport(lambda request: answer))

    with pytest.raises(UnreadableAnswer, match=f"no list of {what}"):
        getattr(client, method)()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(200, json={"code": 40301, "message": "no"}), "NotAllowed"),
        (httpx.Response(403, json={"code": 40301, "message": "no"}), "NotAllowed"),
        (httpx.Response(200, json={"code": 50001, "message": "boom"}), "OutcomeUnknown"),
        (httpx.Response(500, text="panic"), "OutcomeUnknown"),
        (httpx.Response(400, text="bad field"), "Refused"),
        (httpx.Response(200, json={"code": 12345, "message": "new"}), "Refused"),
        (httpx.Response(200, text="<html>"), "UnreadableAnswer"),
        (httpx.Response(200, json={"code": 0, "data": {"task_ids": "many"}}), "UnreadableAnswer"),
        (httpx.Response(429, json={"retryAfter": 3}), "Busy"),
    ],
)
def test_each_way_tikmatrix_says_no_is_told_apart(answer: httpx.Response, kind: str) -> None:
    """HTTP statuses with JSON or text, and HTTP 200 with a code."""
    client = TikMatrixClient(transport=httpx.MockTransport(lambda request: answer))

    with pytest.raises(ReelflowError) as caught:
        client.create_task("follow", {"target_user": "a"}, serials=["S"])

    assert type(caught.value).__name__ == kind


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(200, json={"success": False, "message": "LIMIT", "error": "Limit reached"}), "Refused"),
        (httpx.Response(403, json={"success": False, "message": "LIMIT", "error": "Limit reached"}), "Refused"),
        (httpx.Response(429, json={"success": False, "message": "LIMIT", "error": "Limit reached"}), "Refused"),
        (httpx.Response(200, json={"success": False, "detailMessage": "no good"}), "Refused"),
        (httpx.Response(200, json={"success": True}), "UnreadableAnswer"),
        (httpx.Response(200, text="<html>"), "UnreadableAnswer"),
        (httpx.Response(502, text="<html>"), "OutcomeUnknown"),
        (httpx.Response(429, json={}), "Busy"),
        (httpx.Response(403, json={}), "NotAllowed"),
    ],
)
def test_each_way_taisly_says_no_is_told_apart(answer: httpx.Response, kind: str, tmp_path: Path) -> None:
    """HTTP 200 with success:false is an error too; a success without an id is one that nobody can follow."""
    video = tmp_path / "v.mp4"
    video.write_bytes(b"1234")

    def take(request: httpx.Request) -> httpx.Response:
        request.read()
        return answer

    with pytest.raises(ReelflowError) as caught:
        TaislyClient("k", transport=httpx.MockTransport(take)).create_post(video, ["a"])

    assert type(caught.value).__name__ == kind
