"""What the sandbox refuses, as the services would: over HTTP, with what is wrong in the answer."""

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.waiting import until

from reelflow.errors import OutcomeUnknown, Refused
from reelflow.sandbox.catalog import ACCOUNTS, API_KEY
from reelflow.tikmatrix.wire import TaskStatus

TIKTOK, TIKTOK2, INSTAGRAM, YOUTUBE, X, *_ = [a["id"] for a in ACCOUNTS]
ADA = "R58N01SANDBOX"
FOLLOW = {"script_name": "follow", "script_config": {"target_user": "a"}}


def _ask(sandbox: Any, method: str, path: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    return httpx.request(method, sandbox.url + path, headers=headers, trust_env=False, **options)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "INVALID_PLATFORMS"),
        ({"platforms": "tiktok"}, "INVALID_PLATFORMS"),
        ({"platforms": "[]"}, "INVALID_PLATFORMS"),
        ({"platforms": json.dumps([TIKTOK]), "scheduled": "tomorrow"}, "INVALID_DATE"),
        ({"platforms": json.dumps([TIKTOK]), "previewTime": "the end"}, "INVALID_PREVIEW"),
    ],
    ids=str,
)
def test_a_field_of_a_post_that_cannot_be_read_is_refused(
    sandbox: Any, clip: Callable[[str], Any], fields: dict[str, str], code: str
) -> None:
    files = {"video": ("a.mp4", clip("small.mp4").read_bytes(), "video/mp4")}

    answer = _ask(sandbox, "POST", "/api/private/post", data=fields, files=files).json()

    assert (answer["success"], answer["message"]) == (False, code)
    assert sandbox.posts == []


def test_accounts_in_single_quotes_are_read(sandbox: Any, clip: Callable[[str], Any]) -> None:
    """As the documentation's own example has them."""
    files = {"video": ("a.mp4", clip("small.mp4").read_bytes(), "video/mp4")}
    fields = {"platforms": f"['{TIKTOK}', '{INSTAGRAM}']"}

    answer = _ask(sandbox, "POST", "/api/private/post", data=fields, files=files).json()

    assert answer["success"] is True
    assert [result["platformId"] for result in answer["result"]] == [TIKTOK, INSTAGRAM]


def test_an_account_has_both_names_of_its_id(sandbox: Any) -> None:
    """Clients seen in public read one or the other."""
    accounts = _ask(sandbox, "GET", "/api/private/platform/platforms").json()["data"]

    assert [account["_id"] for account in accounts] == [account["id"] for account in accounts]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/post/history?startTime=today", None, "INVALID_DATE"),
        ("GET", "/post/cancelSchedule?id=nobody", None, "NOT_FOUND"),
        ("POST", "/repost/add", {"from": "nobody", "to": [TIKTOK]}, "INVALID_PLATFORMS"),
        ("POST", "/repost/add", {"from": TIKTOK, "to": []}, "INVALID_PLATFORMS"),
        ("POST", "/repost/add", [TIKTOK], "INVALID_PLATFORMS"),
        ("POST", "/repost/delete", {"id": "nobody"}, "NOT_FOUND"),
        ("POST", "/repost/pause", {"id": "nobody", "isPaused": True}, "NOT_FOUND"),
    ],
)
def test_what_taisly_does_not_know_is_refused(sandbox: Any, method: str, path: str, body: Any, code: str) -> None:
    answer = _ask(sandbox, method, f"/api/private{path}", json=body).json()

    assert (answer["success"], answer["message"]) == (False, code)


def test_a_body_that_is_no_json_is_an_empty_one_for_taisly(sandbox: Any) -> None:
    answer = _ask(sandbox, "POST", "/api/private/repost/delete", content=b"{id: 1}").json()

    assert answer["message"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("method", "path", "options", "words"),
    [
        ("POST", "/task", {"content": b"{script"}, "not JSON"),
        ("POST", "/task", {"json": ["follow"]}, "must be a JSON object"),
        ("POST", "/task", {"json": FOLLOW | {"script_config": "a", "serials": [ADA]}}, "script_config must be"),
        ("POST", "/task", {"json": FOLLOW}, "serials or usernames is required"),
        ("POST", "/task", {"json": FOLLOW | {"serials": ADA}}, "serials or usernames is required"),
        ("POST", "/task", {"json": FOLLOW | {"serials": ["Z9"]}}, "unknown device: Z9"),
        ("POST", "/task", {"json": FOLLOW | {"serials": [ADA], "start_time": "25:00"}}, "start_time must be HH:MM"),
        ("GET", "/task?page=first", {}, "must be numbers"),
        ("GET", "/task?status=failed", {}, "must be numbers"),
        ("DELETE", "/task/batch", {"json": {"task_ids": []}}, "task_ids is required"),
    ],
    ids=str,
)
def test_a_request_that_tikmatrix_cannot_read_is_refused(
    sandbox: Any, method: str, path: str, options: dict[str, Any], words: str
) -> None:
    answer = _ask(sandbox, method, f"/api/v1{path}", **options).json()

    assert answer["code"] == 40001
    assert words in answer["message"]
    assert sandbox.phone_tasks == []


def test_retrying_all_restarts_every_failed_task_and_no_other(sandbox: Any) -> None:
    client = sandbox.tikmatrix()
    client.create_task("follow", {"target_users": ["a", "b"]}, serials=[ADA])
    client.stop_task(1)

    client.retry_all()

    assert [task["status"] for task in sandbox.phone_tasks] == [TaskStatus.PENDING] * 2
    assert [task["remark"] for task in sandbox.phone_tasks] == ["", ""]


def test_rules_that_meet_again_are_no_circle(sandbox: Any) -> None:
    """TikTok to Instagram and YouTube, and both of them to X: a rule to TikTok may still be added."""
    client = sandbox.taisly()
    client.add_repost(INSTAGRAM, [X])
    client.add_repost(YOUTUBE, [X])
    client.add_repost(TIKTOK, [INSTAGRAM, YOUTUBE])

    client.add_repost(TIKTOK2, [TIKTOK])

    with pytest.raises(Refused, match="circle"):
        client.add_repost(X, [TIKTOK2])
    assert len(client.reposts()) == 4


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (["slow"], "Send a JSON object."),
        ({"fault": "slow", "wait": 3}, "Unknown field: wait."),
        ({"fault": "status_before", "status": 418}, "'status' must be one of 302, 403, 404"),
        ({"fault": "slow", "seconds": -1}, "'seconds' must be a number of at least 0."),
        ({"fault": "slow", "probability": "often"}, "'probability' must be a number of at least 0."),
        ({"fault": "slow", "after": True}, "'after' must be a number of at least 0."),
        ({"fault": "slow", "times": 1.5}, "'times' must be a whole number"),
    ],
    ids=str,
)
def test_a_fault_that_makes_no_sense_is_not_ordered(sandbox: Any, order: Any, words: str) -> None:
    answer = _ask(sandbox, "POST", "/sandbox/faults", json=order)

    assert (answer.status_code, words in answer.json()["error"]) == (400, True)
    assert _ask(sandbox, "GET", "/sandbox/faults").json() == {"faults": []}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/sandbox/fail-next", {"platform": "X", "times": 0}, "'times' must be a whole number of at least 1."),
        ("/sandbox/clock", {"advance": "1 hour"}, "must be numbers of seconds"),
    ],
)
def test_an_order_that_makes_no_sense_changes_nothing(sandbox: Any, path: str, body: Any, words: str) -> None:
    before = sandbox.state["now"]

    answer = _ask(sandbox, "POST", path, json=body)

    assert (answer.status_code, words in answer.json()["error"]) == (400, True)
    assert sandbox.state["now"] - before < 60_000
    assert sandbox.world.data.fail_next == []


def test_a_video_that_was_never_sent_is_not_found(sandbox: Any) -> None:
    assert _ask(sandbox, "GET", "/sandbox/videos/nothing.mp4").status_code == 404


def test_a_fault_with_a_chance_hits_some_requests(sandbox: Any) -> None:
    """As many as its seed says, and the same ones again after a reset."""

    def hits() -> list[bool]:
        sandbox.order_fault("status_before", probability=0.5, times=None)
        found = []
        for _ in range(12):
            try:
                sandbox.taisly().reposts()
                found.append(False)
            except OutcomeUnknown:
                found.append(True)
        return found

    first = hits()
    sandbox.reset()

    assert 0 < sum(first) < 12
    assert hits() == first


def test_a_client_that_goes_away_before_the_fault_is_no_trouble(sandbox: Any) -> None:
    """It sent less than the half after which its connection was to be cut."""
    sandbox.order_fault("drop_mid_body", "POST", "/api/private/post")
    url = httpx.URL(sandbox.url)
    with socket.create_connection((url.host, url.port)) as client:
        client.sendall(f"POST /api/private/post HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: 999\r\n\r\nx".encode())
        until("the request", lambda: sandbox.requests("POST /api/private/post"))

    assert sandbox.taisly().reposts() == []
    assert sandbox.posts == []


def test_in_real_time_a_phone_begins_its_next_task_at_once(sandbox: Any) -> None:
    """When one has ended, and only by the clock, however often the tasks are read."""
    sandbox.world.realtime = True
    client = sandbox.tikmatrix()
    client.create_task("follow", {"target_users": ["a", "b"]}, serials=[ADA])
    for _ in range(9):
        client.tasks()
    before = [task["status"] for task in sandbox.phone_tasks]

    sandbox.advance_clock(60)
    client.tasks()

    assert before == [TaskStatus.RUNNING, TaskStatus.PENDING]
    assert [task["status"] for task in sandbox.phone_tasks] == [TaskStatus.COMPLETED, TaskStatus.RUNNING]
