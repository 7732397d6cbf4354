"""Publish exactly once, whatever breaks: real processes, real HTTP, killed and cut at random.

The counts are printed (`pytest -s`) and stand in docs/reliability.md. Repeat one with REELFLOW_SEED.
"""

import collections
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sandbox_process import SandboxProcess

from reelflow.ledger import Ledger
from reelflow.models import State
from reelflow.sandbox.world import ACCOUNTS

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
SEED = int(os.environ.get("REELFLOW_SEED") or 20261122)
KNOWN = [{"id": a["id"], "platform": a["platform"], "name": a["displayName"]} for a in ACCOUNTS]
LEASE = "1.0"
PUBLISHES = 300
SETTLED = {State.SUCCESS, State.FAILED, State.REFUSED, State.UNCONFIRMED}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SandboxProcess]:
    box = SandboxProcess(tmp_path / "sandbox")
    box.start()
    yield box
    box.stop()


@pytest.fixture
def environment(ledger_url: str) -> dict[str, str]:
    return {**os.environ, "REELFLOW_LEDGER_URL": ledger_url, "REELFLOW_LEASE_SECONDS": LEASE}


def _publisher(folder: Path, name: str, environment: dict[str, str], **config: Any) -> subprocess.Popen[str]:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"accounts": KNOWN, "follow_seconds": 1, "grace": 5, **config}))
    with (folder / f"{name}.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, str(HERE / "publisher.py"), str(path)],
            env=environment, stdout=log, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip


def _counted(state: dict[str, Any]) -> collections.Counter[tuple[str, str, str]]:
    """Posts in the sandbox by (sha256, caption, account)."""
    return collections.Counter(
        (post["sha256"], post["caption"], account) for post in state["posts"] for account in post["platforms"]
    )


def _on_record(ledger: Ledger, service: str) -> dict[tuple[str, str, str], State]:
    found = {}
    for state in State:
        for send, outcomes in ledger.find(state=state):
            for o in outcomes:
                if send.service == service:
                    found[(send.sha256, send.caption, o.account.id)] = o.state
    return found


def _random_fault(chance: random.Random) -> dict[str, Any]:
    kinds = ["drop_before", "drop_after", "drop_mid_body", "status_before", "status_after", "garbage_after", "slow"]
    return {
        "fault": chance.choice(kinds),
        "method": chance.choice(["POST", "POST", "GET"]),
        "path": "/api/private/*",
        "status": chance.choice([429, 500, 502, 503]),
        "seconds": round(chance.uniform(0.05, 0.4), 2),
        "times": chance.randint(1, 3),
        "after": chance.randint(0, 3),
    }


def test_three_hundred_publishes_under_faults(
    box: SandboxProcess, tmp_path: Path, environment: dict[str, str], clip: Callable[[str], Path], ledger_url: str
) -> None:
    """Four processes, faults at every request, processes and sandbox killed: no duplicates, no loss."""
    chance = random.Random(SEED)
    files = [str(clip(name)) for name in ("small.mp4", "recommended.mp4", "good.mp4", "square.mp4")]
    posts = [
        {
            "file": chance.choices(files, weights=[5, 3, 2, 0.3])[0],
            "caption": f"post {n}",
            "accounts": [a["id"] for a in chance.sample(KNOWN, chance.randint(1, 6))],
        }
        for n in range(PUBLISHES)
    ]
    config = {"url": box.url, "ledger": ledger_url}
    lists = [posts[n::4] for n in range(4)]
    workers = [_publisher(tmp_path, f"w{n}", environment, posts=lists[n], **config) for n in range(4)]
    kills = restarts = faults = 0
    end = time.monotonic() + 240
    # Every process is killed now and then and begins its list again; the last ones run undisturbed to their end.
    while any(w.poll() is None for w in workers) and time.monotonic() < end:
        time.sleep(chance.uniform(0.02, 0.25))
        if chance.random() < 0.4:
            box.post("/sandbox/faults", **_random_fault(chance))
            faults += 1
        if chance.random() < 0.05:
            box.post("/sandbox/fail-next", platform=chance.choice(["TikTok", "X"]), reason="Rejected")
        if kills < 60 and chance.random() < 0.35:
            n = chance.randrange(4)
            if workers[n].poll() is None:
                workers[n].kill()
                workers[n].wait()
                kills += 1
                done = (tmp_path / f"w{n}.log").read_text().count("done")
                again = lists[n][max(0, min(len(lists[n]), done) - 5) :]
                workers[n] = _publisher(tmp_path, f"w{n}", environment, posts=again, **config)
        if restarts < 12 and chance.random() < 0.04:
            box.stop(chance.choice([signal.SIGKILL, signal.SIGTERM]))
            restarts += 1
            time.sleep(chance.uniform(0, 0.5))
            box.start()
    for worker in workers:
        worker.kill()
        worker.wait()

    # Everything is well again: every list is gone through once more, as its owner would.
    box.clear()
    time.sleep(float(LEASE) + 0.5)
    last = [_publisher(tmp_path, f"w{n}", environment, posts=lists[n], **config) for n in range(4)]
    for worker in last:
        assert worker.wait(300) == 0
    closing = _publisher(
        tmp_path, "last", environment, posts=posts[:1], **(config | {"follow_seconds": 30, "grace": 0})
    )
    assert closing.wait(120) == 0

    service = box.url + "/api/private"
    ledger = Ledger(ledger_url)
    counted, record = _counted(box.state), _on_record(ledger, service)
    ledger.close()
    states = collections.Counter(record.values())
    print(
        f"\nseed {SEED}: {PUBLISHES} posts, {len(record)} destinations, {faults} faults, {kills} SIGKILLs of the "
        f"publishers, {restarts} restarts of the service: duplicates {sum(n > 1 for n in counted.values())}, "
        + ", ".join(f"{state} {n}" for state, n in sorted(states.items()))
    )
    asked_for = {(post["caption"], account) for post in posts for account in post["accounts"]}
    assert {(caption, account) for _, caption, account in record} == asked_for, "every destination is on record"
    assert set(record.values()) <= SETTLED
    assert [key for key, n in counted.items() if n > 1] == [], "duplicates"
    for key, state in record.items():
        if state in (State.SUCCESS, State.FAILED):
            assert counted[key] == 1, ("lost", key, state)
        else:  # refused, or unconfirmed: with captions of their own the history would have told one that is out
            assert counted[key] == 0, ("out, and not known to be", key, state)
    assert kills >= 20
    assert states[State.SUCCESS] > 0.5 * len(record)  # the rest is what faults that store nothing leave behind


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_that_race_for_the_same_posts(
    box: SandboxProcess, tmp_path: Path, environment: dict[str, str], clip: Callable[[str], Path], ledger_url: str,
    processes: int,
) -> None:  # fmt: skip
    """Started at the same moment on the same ten posts: each goes out once."""
    posts = [
        {"file": str(clip("small.mp4")), "caption": str(n), "accounts": [a["id"] for a in KNOWN]} for n in range(10)
    ]
    at = time.time() + 2
    racing = [
        _publisher(tmp_path, f"r{n}", environment, posts=posts, url=box.url, ledger=ledger_url, start_at=at,
                   follow_seconds=10)
        for n in range(processes)
    ]  # fmt: skip

    codes = [process.wait(120) for process in racing]

    assert codes == [0] * processes
    counted = _counted(box.state)
    assert set(counted.values()) == {1}
    assert len(counted) == 10 * len(KNOWN)


def _limit_file_size() -> None:
    """As on a full disk: nothing larger than 100 kB can be written. The ledger needs some 140 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_sends_nothing_and_says_so(
    box: SandboxProcess, tmp_path: Path, environment: dict[str, str], clip: Callable[[str], Path], ledger_url: str
) -> None:
    """SQLite's own error, from a disk that takes no more; and all is well once there is room."""
    posts = [{"file": str(clip("small.mp4")), "caption": "one", "accounts": [KNOWN[0]["id"]]}]
    config = {"accounts": KNOWN, "follow_seconds": 5, "grace": 5, "posts": posts, "url": box.url, "ledger": ledger_url}
    (tmp_path / "full.json").write_text(json.dumps(config))
    command = [sys.executable, str(HERE / "publisher.py"), str(tmp_path / "full.json")]

    full = subprocess.run(
        command, env=environment, capture_output=True, text=True, preexec_fn=_limit_file_size, check=False, timeout=60
    )
    room = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert "LedgerUnavailable" in full.stdout
    assert "Nothing is sent without it" in full.stdout
    assert "Traceback" not in full.stderr
    assert "LedgerUnavailable" not in room.stdout
    assert set(_counted(box.state).values()) == {1}
    assert box.state["requests"]["POST /api/private/post"] == 1


def test_a_read_only_ledger_sends_nothing_and_says_so(
    box: SandboxProcess, tmp_path: Path, environment: dict[str, str], clip: Callable[[str], Path], ledger_url: str
) -> None:
    """As on a file system that was mounted read-only."""
    Ledger(ledger_url).open_sends("any")  # it exists, and is migrated
    path = ledger_url.removeprefix("sqlite:///")
    posts = [{"file": str(clip("small.mp4")), "caption": "one", "accounts": [KNOWN[0]["id"]]}]
    process = _publisher(
        tmp_path, "ro", environment, posts=posts, url=box.url, ledger=f"sqlite:///file:{path}?mode=ro&uri=true"
    )

    assert process.wait(60) == 0

    log = (tmp_path / "ro.log").read_text()
    assert "LedgerUnavailable" in log
    assert "readonly" in log
    assert box.state["posts"] == []


# The flow itself, under a real Prefect server

FLOW = """
import sys
from blocks import TaislyAccount
from flows.publish import publish_video
from reelflow.models import PostForm
url, video, caption = sys.argv[1:]
taisly = TaislyAccount(api_key="taisly_sandbox", base_url=url + "/api/private", plan="PRO",
                       first_look_seconds=0.1, unclear_after_minutes=0.2)
state = publish_video(taisly, PostForm(video=video, accounts=["x", "instagram"], caption=caption, watch_minutes=0.5),
                      return_state=True)
print(state.name, state.message)
"""


def _flow(
    environment: dict[str, str], server: str, url: str, video: Path, caption: str, **options: Any
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FLOW, url, str(video), caption],
        env={**environment, "PREFECT_API_URL": f"{server}/api", "PREFECT_LOGGING_LEVEL": "WARNING"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options,
    )  # fmt: skip


def test_the_flows_process_killed_thirty_times(
    box: SandboxProcess, server: str, environment: dict[str, str], clip: Callable[[str], Path], ledger_url: str
) -> None:
    """SIGKILL at random moments of start, check, upload, wait and watch; each time the run is started again."""
    chance = random.Random(SEED)
    video, last = clip("good.mp4"), collections.Counter()
    phases: collections.Counter[str] = collections.Counter()
    for n in range(0, 30, 2):  # two at a time, as the machine has two cores
        captions = [f"killed {n + k}" for k in range(2)]
        if chance.random() < 0.6:
            box.post("/sandbox/faults", fault="slow", method="POST", path="/api/private/post", seconds=1.5, times=2)
        doomed = [_flow(environment, server, box.url, video, c) for c in captions]
        # A run needs some 3 s to its upload here; most kills fall around it.
        moments = [chance.uniform(0.5, 3.0) if chance.random() < 0.3 else chance.gauss(4.0, 1.0) for _ in doomed]
        start = time.monotonic()
        for moment, process in sorted(zip(moments, doomed, strict=True), key=lambda pair: pair[0]):
            time.sleep(max(0.0, moment - (time.monotonic() - start)))
            phases["ended before"] += process.poll() is not None
            process.kill()
            process.communicate()
        ledger = Ledger(ledger_url)
        for c in captions:
            states = {
                o.state for s in State for send, found in ledger.find(state=s) if send.caption == c for o in found
            }
            phases[f"killed in {min(states, default='START')}"] += 1
        ledger.close()
        box.clear()
        for process in [_flow(environment, server, box.url, video, c) for c in captions]:
            words = process.communicate(timeout=120)[0]
            last[words.strip().splitlines()[-1].split()[0] if words.strip() else "?"] += 1

    counted = _counted(box.state)
    ledger = Ledger(ledger_url)
    record = _on_record(ledger, box.url + "/api/private")
    ledger.close()
    ended = dict(collections.Counter(str(state) for state in record.values()))
    print(
        f"\nseed {SEED}: 30 SIGKILLs of the flow's process: {dict(phases)}; then {dict(last)}; "
        f"duplicates {sum(n > 1 for n in counted.values())}, {ended}"
    )
    assert len(record) == 60
    assert max(counted.values()) == 1
    for key, state in record.items():  # killed between the seal and the last piece's arrival: not out, and not known
        assert counted[key] == (state is State.SUCCESS), (key, state)
    assert set(record.values()) <= {State.SUCCESS, State.UNCONFIRMED}
    assert list(record.values()).count(State.UNCONFIRMED) <= 6


def test_prefects_server_stops_and_starts_in_the_middle(
    box: SandboxProcess, tmp_path: Path, environment: dict[str, str], clip: Callable[[str], Path]
) -> None:
    """The run goes on without it and ends; started again, it reports."""
    from deployments.programs import start_server

    program, address = start_server(tmp_path / "server", 0)
    port = httpx.URL(address).port or 0
    try:
        program.wait_for(f"{address}/api/health")
        box.post("/sandbox/faults", fault="slow", method="POST", path="/api/private/post", seconds=3)
        flow = _flow(environment, address, box.url, clip("good.mp4"), "server away")
        end = time.monotonic() + 60
        while not box.state["posts"] and time.monotonic() < end:
            time.sleep(0.05)
        program.stop()
        time.sleep(1)
        program, again = start_server(tmp_path / "server", port)
        assert again == address
        program.wait_for(f"{address}/api/health")
        flow.communicate(timeout=120)
        second = _flow(environment, address, box.url, clip("good.mp4"), "server away").communicate(timeout=120)[0]
    finally:
        program.stop()

    assert "nothing was sent again" in second
    assert set(_counted(box.state).values()) == {1}
