"""The server with PostgreSQL and Redis of docs/deployment.md: its commands and files as they stand there."""

import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api import Api
from support.installation import ADMIN, LEDGER_PASSWORD, PASSWORDS, Installation
from support.prefect_server import turn_off_schedules
from support.processes import commands_of
from support.sink import Sink, save_notification
from support.topology import new_topology
from support.waiting import until

pytestmark = pytest.mark.slow
KINDS = ("events", "message:messaging-cache:", ":seen:", ":lease:")
"""What Redis has by the document's settings: messages, which of them came before, their order, and slots."""
ENV_FILES = {"server.env": 0o600, "client.env": 0o640}
ENDED = ("COMPLETED", "FAILED", "CRASHED")


@pytest.fixture
def place(sandbox: Any) -> Iterator[Installation]:
    with new_topology() as topology:
        yield Installation(topology, sandbox.url)


def _redis(place: Installation, database: int = 0) -> Any:
    """A client of a database of Redis."""
    connection = {"port": place.redis_port, "db": database, "password": PASSWORDS["REDIS_PASSWORD"]}
    return importlib.import_module("redis").Redis(**connection)


def _keys(place: Installation, database: int) -> set[str]:
    """The names in a database of Redis."""
    with _redis(place, database) as client:
        return {key.decode() for key in client.scan_iter()}


def _start(api: Api, name: str, **parameters: Any) -> str:
    """Start a run of a flow's deployment."""
    return api.start(api.deployment(name), **parameters)


def _refuse_strangers(place: Installation) -> None:
    """Without the password, neither Prefect's API nor a database is open; none is in a command line."""
    own = list(commands_of(str(place.folder)).values())

    assert httpx.post(f"{place.api}/flow_runs/filter", trust_env=False).status_code == httpx.codes.UNAUTHORIZED
    assert not place.can_open("postgres", user="prefect", password=PASSWORDS["PREFECT_PASSWORD"])
    assert not place.can_open("reelflow", user="reelflow", password="")
    assert place.can_open("reelflow", user="reelflow", password=LEDGER_PASSWORD)
    assert len(own) >= 4
    assert [c for c in own for secret in (*PASSWORDS.values(), LEDGER_PASSWORD) if secret in c] == []


def _show_the_ui(place: Installation) -> None:
    """Its pages come from a folder of the server's user; files with passwords are not for everybody."""
    page = httpx.get(f"{place.api[:-4]}/", auth=ADMIN, trust_env=False, follow_redirects=True)

    assert page.headers["content-type"].startswith("text/html")
    assert "<title>Prefect" in page.text
    assert (place.folder / "home/server/ui").is_dir()
    modes = {name: (place.folder / "etc/reelflow" / name).stat().st_mode & 0o777 for name in ENV_FILES}
    assert modes == ENV_FILES


def _name_the_way_out(place: Installation) -> None:
    """Of a ledger with a wrong password, and with none where nobody can type it."""
    at = f"127.0.0.1:{place.postgres_port}/reelflow"

    wrong = place.in_terminal(f"reelflow ledger use postgresql://reelflow:wrong@{at} && exit 1 || true")
    untyped = place.in_terminal(f"reelflow ledger use postgresql://reelflow@{at} < /dev/null && exit 1 || true")

    assert "password authentication failed" in wrong
    assert "it asks for the password, and stores it for all machines" in wrong
    assert "asks for a password, and there is no terminal to ask in" in untyped


def _fill_redis(place: Installation, api: Api, sandbox: Any, video: Path) -> None:
    """Redis accepts nothing new, as with a full disk, while a run waits for its answer: the post's outcome is found.

    The worker asks as seldom as Prefect has it. As often as in tests, it would give up within half a minute, and end
    its run.
    """
    worker = place.topology["reelflow"]
    worker.environment.pop("PREFECT_WORKER_QUERY_SECONDS")
    worker.restart()
    sandbox.order_fault("slow", "POST", "/api/private/post", seconds=300)
    post = {"video": str(video), "accounts": ["x"], "caption": "full", "watch_minutes": 5}
    before = len(sandbox.posts)
    mine = _start(api, "publish-video", post=post)
    until("the post, whose answer is held back", lambda: len(sandbox.posts) == before + 1)
    with _redis(place) as client:
        client.config_set("maxmemory", 1)  # of which it uses more already
        with pytest.raises(importlib.import_module("redis").exceptions.OutOfMemoryError):
            client.set("anything", "more")

    with pytest.raises(AssertionError, match="Internal Server Error"):
        _start(api, "publish-video", post=post | {"caption": "refused"})
    told = " ".join(place.in_terminal("reelflow doctor || true").split())
    sandbox.clear_faults()
    try:
        until("its outcome", lambda: _outcome(place, "full") == "published")
    except AssertionError as error:
        error.add_note(api.log_of(mine))
        raise
    with _redis(place) as client:
        client.config_set("maxmemory", 0)
    assert "FAILED Prefect server" in told
    assert "does not accept events (500)" in told
    run = _start(api, "check-connections")
    until("a run after it", lambda: _has_completed(place, api, run))
    assert "does not accept events" not in " ".join(place.in_terminal("reelflow doctor || true").split())
    assert [each["caption"] for each in sandbox.posts[before:]] == ["full"]


def _has_completed(place: Installation, api: Api, run: str) -> bool:
    """Whether a run has; until then, whatever has given up is started again, as systemd does."""
    for part in place.topology.parts.values():
        part.start()
    return bool(api.get(f"/flow_runs/{run}")["state_type"] == "COMPLETED")


def _outcome(place: Installation, caption: str) -> str:
    """What became of a post at its only account, as `reelflow posts` tells it."""
    lines = place.in_terminal("reelflow posts --json").splitlines()
    posts = [json.loads(line) for line in lines if line.startswith("{")]
    ((outcome,),) = [post["outcomes"] for post in posts if post["caption"] == caption]
    return str(outcome["state"])


def test_the_server_of_the_document(place: Installation, sandbox: Any, clip: Callable[[str], Path]) -> None:
    """Installed line by line; then all of it is restarted while a run waits for its answer: one post, nothing lost."""
    place.terminal.mkdir(parents=True)
    shutil.copy(clip("small.mp4"), place.terminal / "video.mp4")

    api, sink = Api(place.api, ADMIN), Sink()

    for printed in place.install():
        if "Next, start a worker" in printed:  # what schedules start would only take time
            turn_off_schedules(place.api, but="", auth=ADMIN)

    assert "checks passed" in printed
    assert "1 worker online: server1" in printed
    assert "Published to 1 of 1 account" in printed
    _refuse_strangers(place)
    _name_the_way_out(place)
    _show_the_ui(place)
    assert httpx.get(f"{place.api[:-4]}/ui-settings", auth=ADMIN, trust_env=False).json()["api_url"] == place.api
    save_notification(place.api, sink.url, PREFECT_API_AUTH_STRING=":".join(ADMIN))
    place.in_terminal("reelflow setup --notify custom-webhook/sink")
    sandbox.order_fault("slow", "POST", "/api/private/post", seconds=300)
    sandbox.fail_next(platform="X", reason="Duplicate content")
    form = {"video": str(clip("good.mp4")), "accounts": ["x", "instagram"], "caption": "away", "watch_minutes": 5}
    api.limit(api.deployment("publish-video"), 1)  # its run then has a slot, which has to be kept
    run, publish = _start(api, "publish-video", post=form), api.deployment("publish-video")
    until("the post, whose answer is held back", lambda: len(sandbox.posts) == 2)
    before = _keys(place, 0)
    assert [kind for kind in KINDS if not any(kind in key for key in before)] == []
    assert _keys(place, 1) != set()  # the tasks of the services

    place.topology["reelflow"].restart()
    place.topology["redis"].kill()
    place.topology["redis"].start()
    for name in ("prefect-server", "prefect-services"):
        place.topology[name].kill()
    place.topology["postgresql"].restart()
    for name in ("prefect-server", "prefect-services"):
        place.topology[name].start()

    lost = {key for key in before - _keys(place, 0) if "lease" in key}
    assert lost == set()
    assert api.taken_slots(publish) == 1
    sandbox.clear_faults()
    until("the run's end", lambda: api.get(f"/flow_runs/{run}")["state_type"] in ENDED)
    until("the alarm", lambda: any("Duplicate content" in got for got in sink.got))
    until("the slot", lambda: api.taken_slots(publish) == 0)
    until("the run's last words", lambda: "Finished in state Failed" in api.log_of(run))
    again = _start(api, "check-connections")
    until("another run", lambda: api.get(f"/flow_runs/{again}")["state_type"] == "COMPLETED")
    sink.close()
    assert [post["caption"] for post in sandbox.posts] == ["Fresh bread", "away"]
    assert sandbox.requests("POST /api/private/post") == 2
    assert "Traceback" not in api.log_of(run)
    assert "Duplicate content" in api.get(f"/flow_runs/{run}")["state"]["message"]
    assert "2 sends" in place.in_terminal("reelflow ledger show")

    _fill_redis(place, api, sandbox, clip("recommended.mp4"))
