"""`with Sandbox() as sandbox:`, as other projects' tests use it."""

import doctest
import gc
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from support.waiting import until

import reelflow.sandbox.embedded
from reelflow.sandbox import Sandbox, SandboxControl
from reelflow.sandbox.catalog import ACCOUNTS

DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"


def get(url: str, key: str = "taisly_sandbox") -> httpx.Response:
    return httpx.get(url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)


def test_the_examples_run() -> None:
    """The one of its docstring, and the one of docs/sandbox.md."""
    assert doctest.testmod(reelflow.sandbox.embedded).failed == 0
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    namespace: dict[str, object] = {}
    exec(compile(example, str(DOCS), "exec"), namespace)  # noqa: S102 - our own document
    for name, test in list(namespace.items()):
        if name.startswith("test_"):
            test()  # type: ignore[operator]


def test_importing_the_package_imports_no_server() -> None:
    """`import reelflow.sandbox` is cheap; a wrong name is an AttributeError."""
    code = "import sys, reelflow.sandbox; print({'uvicorn', 'starlette', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)

    assert done.stdout.strip() == "set()"
    with pytest.raises(AttributeError, match="Sandpit"):
        reelflow.sandbox.Sandpit  # noqa: B018


def test_it_stops_quickly_and_leaves_nothing() -> None:
    """No thread, folder, port or open socket (a warning, and so an error), though clients are still connected."""
    before = set(threading.enumerate())
    with httpx.Client(trust_env=False) as client:
        sandbox = Sandbox().start()
        url, videos = sandbox.url, sandbox.world.videos
        client.get(url)
        begin = time.monotonic()
        sandbox.stop()
        took = time.monotonic() - begin

    gc.collect()
    assert took < 1
    assert set(threading.enumerate()) <= before
    assert not videos.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=5)


def test_a_request_that_still_runs_does_not_hold_it_up() -> None:
    """It gets a second."""
    with Sandbox() as sandbox:
        sandbox.order_fault("slow", seconds=30)
        url = f"{sandbox.taisly_url}/reposts"
        client = threading.Thread(target=lambda: _lost(url))
        client.start()
        until("the request", sandbox.requests)
        begin = time.monotonic()

    assert time.monotonic() - begin < 5
    client.join(10)


def _lost(url: str) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(url, trust_env=False, timeout=60)


def test_one_can_be_started_again_and_two_run_side_by_side() -> None:
    """Each is as new."""
    sandbox = Sandbox()
    for _ in range(2):
        with sandbox, Sandbox(plan="PRO") as other:
            get(f"{sandbox.taisly_url}/reposts")

            assert (sandbox.requests(), other.requests()) == (1, 0)
            assert (sandbox.state["plan"], other.state["plan"]) == ("STARTER", "PRO")
            assert sandbox.url != other.url


def test_a_sandbox_that_does_not_run_says_so() -> None:
    """Before its start and after its end; a second start is a mistake."""
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="not running"):
        sandbox.taisly_url  # noqa: B018
    with sandbox, pytest.raises(RuntimeError, match="already running"):
        sandbox.start()
    for ask in (lambda: sandbox.world, lambda: sandbox.posts):
        with pytest.raises(RuntimeError, match="not running"):
            ask()


def test_what_it_cannot_be_is_said_at_the_start() -> None:
    """With what there is instead; and nothing of it stays."""
    for options, words in (({"plan": "FREE"}, "STARTER, INFLUENCER, PRO"), ({"license_plan": "Free"}, "Starter, Pro")):
        with pytest.raises(ValueError, match=words):
            Sandbox(**options).start()  # type: ignore[arg-type]
    gc.collect()


def test_a_data_folder_remembers_over_a_restart(tmp_path: Path) -> None:
    """On the same port, if it is free."""
    with Sandbox(data=tmp_path) as sandbox:
        sandbox.set_clock(300)
        port = httpx.URL(sandbox.url).port or 0
    with Sandbox(data=tmp_path, port=port) as again:
        assert again.world.data.clock_offset == 300
        assert httpx.URL(again.url).port == port


def test_the_control_works_from_outside_too() -> None:
    """Any address of a sandbox, with a slash at its end or without; each word does what it says."""
    with Sandbox(requests_per_hour=2) as sandbox:
        control = SandboxControl(f"{sandbox.url}/")
        control.order_fault("status_before", "GET", "*/reposts", status=503)
        control.clear_faults()
        statuses = [get(f"{control.taisly_url}/reposts", control.api_key).status_code for _ in range(3)]
        control.advance_clock(3601)
        statuses.append(get(f"{control.taisly_url}/reposts").status_code)
        control.fail_next(platform="X", reason="no")
        post = sandbox.world.add_post(
            sha256="s", file="f", caption="c", preview=0, accounts=[a["id"] for a in ACCOUNTS], scheduled=None
        )
        sandbox.world.add_task("follow", {}, "R58N01SANDBOX")

        assert statuses == [200, 200, 429, 200]
        assert control.requests("GET /api/private/reposts") == control.requests() == 4
        assert [p["historyId"] for p in control.posts] == [post.id]
        assert [d.fails_with for d in post.destinations if d.platform == "X"] == ["no"]
        assert [task["id"] for task in control.phone_tasks] == [1]
        control.restart_phones(lost=True, ids_from_1=True)
        assert (control.phone_tasks, sandbox.world.data.last_task_id) == ([], 0)
        with pytest.raises(ValueError, match="exactly one"):
            control.fail_next(reason="no")
        control.reset()
        assert (control.posts, control.requests(), sandbox.world.data.clock_offset) == ([], 0, 0)
