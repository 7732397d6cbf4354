"""Publish exactly once, whatever breaks: real processes, real HTTP, killed and cut at random.

Short rounds in `make test`. `make soak` runs the long ones and prints the counts that stand in docs/reliability.md.
"""

import collections
import functools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import support
from support.clips import numbered, variant
from support.outage import Locked, Outage
from support.race import at_once
from support.rounds import SEED, rounds
from support.sandbox_process import SandboxProcess
from support.waiting import until

from blocks import TaislyAccount
from flows.publish import publish_video
from reelflow.ledger import Ledger
from reelflow.posts.form import PostForm
from reelflow.records.post_states import PostState
from reelflow.sandbox.catalog import ACCOUNTS
from reelflow.sandbox.faults import KINDS, STATUSES

pytestmark = pytest.mark.slow
PUBLISHER = str(Path(support.__file__).parent / "publisher.py")
KNOWN = [{"id": a["id"], "platform": a["platform"], "name": a["displayName"]} for a in ACCOUNTS]
LEASE = "1.0"
PUBLISHES = rounds(32, 300)
TROUBLES = {"fault": rounds(30, 250), "kill": rounds(8, 60), "restart": rounds(2, 12), "rejection": rounds(4, 30),
            "style": rounds(6, 40), "outage": rounds(2, 12)}  # fmt: skip
"""What breaks, in an order of chance; an outage is the ledger's."""
FLOW_KILLS = rounds(6, 30)
SETTLED = {PostState.SUCCESS, PostState.FAILED, PostState.REFUSED, PostState.UNCONFIRMED}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SandboxProcess]:
    box = SandboxProcess(tmp_path / "sandbox")
    box.start()
    yield box
    box.stop()


@pytest.fixture
def environment(ledger_url: str) -> dict[str, str]:
    return {**os.environ, "REELFLOW_LEDGER_URL": ledger_url, "REELFLOW_LEASE_SECONDS": LEASE}


def _publisher(folder: Path, name: str, *, environment: dict[str, str], **config: Any) -> subprocess.Popen[str]:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"accounts": KNOWN, "follow_seconds": 1, "grace": 5, **config}))
    with (folder / f"{name}.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, PUBLISHER, str(path)],
            env=environment, stdout=log, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip


def _counted(state: dict[str, Any]) -> collections.Counter[tuple[str, str, str]]:
    """Posts in the sandbox by (sha256, caption, account)."""
    return collections.Counter(
        (post["sha256"], post["caption"], account) for post in state["posts"] for account in post["platforms"]
    )


def _on_record(ledger: Ledger, service: str) -> dict[tuple[str, str, str], PostState]:
    found = {}
    for state in PostState:
        for send, outcomes in ledger.find(state=state):
            for o in outcomes:
                if send.service == service:
                    found[(send.sha256, send.caption, o.account.id)] = o.state
    return found


def _random_fault(chance: random.Random) -> dict[str, Any]:
    return {
        "fault": chance.choice(KINDS),
        "method": chance.choice(["POST", "POST", "GET"]),
        "path": "/api/private/*",
        "status": chance.choice(STATUSES),
        "seconds": round(chance.uniform(0.05, 0.4), 2),
        "times": chance.randint(1, 3),
        "after": chance.randint(0, 3),
    }


def _random_style(chance: random.Random) -> dict[str, Any]:
    """A history that misleads, and still has what it needs for a post to be found in it."""
    return {
        "caption": chance.choice(["whole", "trimmed", "crlf", "escaped", "cut"]),
        "stale_seconds": chance.choice([0, 0, 1]),
        "without": chance.choice([[], [], ["platforms"], ["description"]]),
        "odd_entries": chance.random() < 0.3,
    }


class Lists:
    """Processes that each publish a list of posts; one that was killed or has ended goes on where it was."""

    def __init__(
        self, lists: list[list[dict[str, Any]]], start: Callable[..., subprocess.Popen[str]], folder: Path
    ) -> None:
        self.lists, self._start = lists, start
        self._logs = [folder / f"w{n}.log" for n in range(len(lists))]
        self.processes = [start(f"w{n}", posts=posts) for n, posts in enumerate(lists)]
        self._starts = [1] * len(lists)

    def _logged(self, n: int, word: str) -> list[str]:
        return [line for line in self._logs[n].read_text().splitlines() if line.startswith(word)]

    def at_work(self) -> list[int]:
        """Those that do not still load."""
        begun = [len(self._logged(n, "begun")) == starts for n, starts in enumerate(self._starts)]
        return [n for n, process in enumerate(self.processes) if begun[n] and process.poll() is None]

    def left(self, n: int) -> list[dict[str, Any]]:
        """What is left of a list."""
        done = {line.removeprefix("done ") for line in self._logged(n, "done ")}
        return [post for post in self.lists[n] if post["caption"] not in done]

    def go_on(self, n: int) -> None:
        """With what is left, after a look at the last five; or with all of it once more."""
        left = self.left(n)
        done = [post for post in self.lists[n] if post not in left]
        self.processes[n] = self._start(f"w{n}", posts=[*done[-5:], *left] if left else self.lists[n])
        self._starts[n] += 1

    def kill(self, n: int) -> None:
        self.processes[n].kill()
        self.processes[n].wait(30)


def test_many_publishes_under_faults(
    box: SandboxProcess, tmp_path: Path, environment: dict[str, str], clip: Callable[[str], Path],
    outage: Locked | Outage,
) -> None:  # fmt: skip
    """Four processes, faults at every request, processes and sandbox killed, ledger away: no duplicates, no loss."""
    chance = random.Random(SEED)
    files = [str(clip(name)) for name in ("small.mp4", "recommended.mp4", "good.mp4", "square.mp4")]
    posts = [
        {
            "file": str(variant(Path(chance.choices(files, weights=[5, 3, 2, 0.3])[0]), n)),
            "caption": f"post {n}",
            "accounts": [a["id"] for a in chance.sample(KNOWN, chance.randint(1, 6))],
        }
        for n in range(PUBLISHES)
    ]
    config = {"url": box.url, "ledger": outage.url}
    lists = [posts[n::4] for n in range(4)]
    working = Lists(lists, functools.partial(_publisher, tmp_path, environment=environment, **config), tmp_path)
    troubles = [kind for kind, number in TROUBLES.items() for _ in range(number)]
    chance.shuffle(troubles)
    counts: collections.Counter[str] = collections.Counter()
    end = time.monotonic() + 300
    while (troubles or any(process.poll() is None for process in working.processes)) and time.monotonic() < end:
        time.sleep(chance.uniform(0.02, 0.25))
        trouble = troubles.pop() if troubles else None
        if trouble == "fault":
            box.order_fault(**_random_fault(chance))
        elif trouble == "style":
            box.style_history(**_random_style(chance))
        elif trouble == "rejection":
            box.fail_next(platform=chance.choice(["TikTok", "X"]), reason="Rejected")
        elif trouble == "kill":
            until("a process at work", working.at_work, seconds=60)
            n = chance.choice(working.at_work() or [0])
            counts["kill with posts left"] += bool(working.left(n))
            working.kill(n)
            working.go_on(n)
        elif trouble == "restart":
            box.stop(chance.choice([signal.SIGKILL, signal.SIGTERM]))
            time.sleep(chance.uniform(0, 0.5))
            box.start()
        elif trouble == "outage":
            outage.cut()
            time.sleep(chance.uniform(0.2, 1.5))
            outage.restore()
        counts[trouble or "none"] += 1
        for n, process in enumerate(working.processes):
            if process.poll() is not None and (troubles or working.left(n)):
                working.go_on(n)
    for n in range(4):
        working.kill(n)

    # Everything is well again: every list is gone through once more, as its owner would.
    box.clear_faults()
    box.style_history()
    time.sleep(float(LEASE) + 0.5)
    last = [_publisher(tmp_path, f"w{n}", environment=environment, posts=lists[n], **config) for n in range(4)]
    for worker in last:
        assert worker.wait(300) == 0
    closing = _publisher(
        tmp_path, "last", environment=environment, posts=posts[:1], **(config | {"follow_seconds": 30, "grace": 0})
    )
    assert closing.wait(120) == 0

    service = box.url + "/api/private"
    ledger = Ledger(outage.url)
    counted, record = _counted(box.state), _on_record(ledger, service)
    ledger.close()
    states = collections.Counter(record.values())
    print(
        f"\nPosts on {ledger.url.get_backend_name()} (seed {SEED}): {PUBLISHES} posts to {len(record)} destinations "
        f"by 4 processes; {counts['fault']} faults, {counts['kill']} SIGKILLs of them, "
        f"{counts['restart']} restarts of the service, {counts['outage']} outages of the ledger. "
        f"Duplicates: {sum(n > 1 for n in counted.values())}. "
        + ", ".join(f"{state} {n}" for state, n in sorted(states.items()))
    )
    asked_for = {(post["caption"], account) for post in posts for account in post["accounts"]}
    assert {(caption, account) for _, caption, account in record} == asked_for, "every destination is on record"
    assert set(record.values()) <= SETTLED
    assert [key for key, n in counted.items() if n > 1] == [], "duplicates"
    for key, state in record.items():
        if state in (PostState.SUCCESS, PostState.FAILED):
            assert counted[key] == 1, ("lost", key, state)
        else:  # refused, or unconfirmed: with captions of their own the history would have told one that is out
            assert counted[key] == 0, ("out, and not known to be", key, state)
    assert {kind: counts[kind] for kind in TROUBLES} == TROUBLES, "the time was over before all of it had happened"
    assert counts["kill with posts left"] >= TROUBLES["kill"] // 3
    assert states[PostState.SUCCESS] > 0.5 * len(record)  # the rest is what faults that store nothing leave behind


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_that_race_for_the_same_posts(
    box: SandboxProcess, tmp_path: Path, environment: dict[str, str], clip: Callable[[str], Path], url: str,
    processes: int,
) -> None:  # fmt: skip
    """Started at the same moment on the same ten posts: each goes out once."""
    posts = [
        {"file": str(variant(clip("small.mp4"), n)), "caption": str(n), "accounts": [a["id"] for a in KNOWN]}
        for n in range(10)
    ]
    at = time.time() + 2
    racing = [
        _publisher(tmp_path, f"r{n}", environment=environment, posts=posts, url=box.url, ledger=url, start_at=at,
                   follow_seconds=0.2)
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
    """SQLite's own error, from a disk that takes no more; and all works once there is room."""
    posts = [{"file": str(clip("small.mp4")), "caption": "one", "accounts": [KNOWN[0]["id"]]}]
    config = {"accounts": KNOWN, "follow_seconds": 5, "grace": 5, "posts": posts, "url": box.url, "ledger": ledger_url}
    (tmp_path / "full.json").write_text(json.dumps(config))
    command = [sys.executable, PUBLISHER, str(tmp_path / "full.json")]

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
        tmp_path,
        "ro",
        environment=environment,
        posts=posts,
        url=box.url,
        ledger=f"sqlite:///file:{path}?mode=ro&uri=true",
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
from reelflow.posts.form import PostForm
url, video, caption = sys.argv[1:]
print("begun", flush=True)
taisly = TaislyAccount(api_key="taisly_sandbox", base_url=url + "/api/private", plan="PRO",
                       first_look_seconds=0.1, unconfirmed_after_minutes=0.2)
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


def _publish(url: str, video: Path, caption: str) -> Any:
    """The same run, as a call in this process."""
    taisly: Any = TaislyAccount(
        api_key="taisly_sandbox", base_url=f"{url}/api/private", plan="PRO", first_look_seconds=0.1,
        unconfirmed_after_minutes=0.2,
    )  # fmt: skip
    form = PostForm(video=str(video), accounts=["x", "instagram"], caption=caption, watch_minutes=0.5)
    return publish_video(taisly, form, return_state=True)


PHASES: dict[str, tuple[set[PostState], float]] = {
    "start": (set(), 1.5),
    "upload": ({PostState.CLAIMED, PostState.SENDING}, 1.6),
    "watch": ({PostState.ACCEPTED, *SETTLED}, 0.3),
}
"""In what state a run is when the phase begins, and within how many seconds from then it is killed."""


def test_the_flows_process_killed_again_and_again(
    box: SandboxProcess, server: str, environment: dict[str, str], tmp_path: Path, url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """SIGKILL at random moments of start, check, upload, wait and watch; then each run is started again."""
    chance = random.Random(SEED)
    killed: collections.Counter[str] = collections.Counter()
    ledger, environment = Ledger(url), {**environment, "REELFLOW_LEDGER_URL": url}
    phases = [list(PHASES)[n % len(PHASES)] for n in range(FLOW_KILLS)]
    chance.shuffle(phases)
    doomed = [(f"killed {n}", phase, chance.uniform(0, PHASES[phase][1])) for n, phase in enumerate(phases)]

    def states(caption: str) -> set[PostState]:
        return {
            o.state for s in PostState for send, found in ledger.find(state=s) if send.caption == caption for o in found
        }

    videos = {caption: numbered(tmp_path, n) for n, (caption, _, _) in enumerate(doomed)}

    def kill(caption: str, phase: str, wait: float) -> str:
        process = _flow(environment, server, box.url, videos[caption], caption)
        killer = threading.Timer(120, process.kill)
        killer.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            until(phase, lambda: not PHASES[phase][0] or states(caption) & PHASES[phase][0])
            time.sleep(wait)
            ended = process.poll() is not None
        finally:
            killer.cancel()
            process.kill()
            process.communicate(timeout=30)
        return "ENDED" if ended else str(min(states(caption), default="START"))

    for n in range(0, FLOW_KILLS, 2):  # two at a time, as the machine has two cores
        pair = doomed[n : n + 2]
        if any(phase == "upload" for _, phase, _ in pair) or chance.random() < 0.5:
            box.order_fault(fault="slow", method="POST", path="/api/private/post", seconds=1.5, times=2)
        killed.update(at_once(len(pair), lambda k, pair=pair: kill(*pair[k])))  # type: ignore[misc]
        box.clear_faults()

    monkeypatch.setenv("REELFLOW_LEDGER_URL", url)
    monkeypatch.setenv("REELFLOW_LEASE_SECONDS", LEASE)
    again = collections.Counter(_publish(box.url, videos[caption], caption).name for caption, _, _ in doomed)

    counted = _counted(box.state)
    record = _on_record(ledger, box.url + "/api/private")
    ledger.close()
    ended = dict(collections.Counter(str(state) for state in record.values()))
    print(
        f"\nFlow on {ledger.url.get_backend_name()} (seed {SEED}): {FLOW_KILLS} SIGKILLs of its process, "
        f"in state {dict(killed)}. Started again: {dict(again)}. "
        f"Duplicates: {sum(n > 1 for n in counted.values())}. {ended}"
    )
    assert len(record) == 2 * FLOW_KILLS
    assert max(counted.values()) == 1
    for key, state in record.items():  # killed between the seal and the last piece's arrival: not out, and not known
        assert counted[key] == (state is PostState.SUCCESS), (key, state)
    assert set(record.values()) <= {PostState.SUCCESS, PostState.UNCONFIRMED}
    assert list(record.values()).count(PostState.UNCONFIRMED) <= max(2, FLOW_KILLS // 5)
    assert killed["ENDED"] <= FLOW_KILLS // 2
    assert killed["SENDING"] >= FLOW_KILLS // 6


def test_prefects_server_stops_and_starts_in_the_middle(
    box: SandboxProcess, new_database: Path, tmp_path: Path, environment: dict[str, str], clip: Callable[[str], Path],
    url: str,
) -> None:  # fmt: skip
    """The run goes on without it and ends; started again, it reports."""
    from deployments.local.processes import start_prefect_server, wait_for_prefect_server

    environment = {**environment, "REELFLOW_LEDGER_URL": url}
    home = tmp_path / "server" / "prefect"
    home.mkdir(parents=True)
    shutil.copy(new_database, home / "prefect.db")
    program, address = start_prefect_server(tmp_path / "server", 0)
    port = httpx.URL(address).port or 0
    try:
        wait_for_prefect_server(program, address, tmp_path / "server")
        box.order_fault(fault="slow", method="POST", path="/api/private/post", seconds=3)
        flow = _flow(environment, address, box.url, clip("good.mp4"), "server away")
        until("the post, whose answer is 3 s away", lambda: box.state["posts"], seconds=60)
        program.stop()
        program, again = start_prefect_server(tmp_path / "server", port)
        assert again == address
        wait_for_prefect_server(program, address, tmp_path / "server")
        flow.communicate(timeout=120)
        second = _flow(environment, address, box.url, clip("good.mp4"), "server away").communicate(timeout=120)[0]
    finally:
        program.stop()

    assert "nothing was sent again" in second
    assert set(_counted(box.state).values()) == {1}
