"""A campaign of 100 videos against a plain loop over our own client; and one of 1,000 against one of 100.

Both check each video first and read the history until every post has its outcome. The loop has no Prefect, no ledger
and one thread. The sandbox is a process of its own, its platforms are instant; so is Prefect's server, on SQLite. What
a process does once, such as loading its modules, is done before on both sides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.result import Result
from benchmarks.sandbox import running_sandbox
from benchmarks.videos import make_videos
from reelflow.posts.requests import read_video
from reelflow.sandbox.catalog import ACCOUNTS, API_KEY
from reelflow.taisly import TaislyClient
from reelflow.taisly.wire import Status

VIDEOS = 100
ROUNDS = 3
MANY = 1000
LARGE = 50_000_000
INSTAGRAM = next(account["id"] for account in ACCOUNTS if account["platform"] == "Instagram")
SMALL_BOUND, LARGE_BOUND, MANY_BOUND = 2.0, 1.1, 1.2
TASK_RUNS_BOUND, REQUESTS_BOUND = 3.0, 1.1
MEMORY_BOUND = 60.0
"""MB that ten times as many videos may take more: their rows, and the report of them."""

_RUN = """
import json, resource, sys, time
from flows.campaign import publish_campaign
from blocks import TaislyAccount
from reelflow.campaigns.form import CampaignForm
from reelflow.posts.request_limit import REQUESTS_PER_HOUR
import logging
REQUESTS_PER_HOUR["PRO"] = 1_000_000  # as the sandbox allows here
logging.disable(logging.CRITICAL)
url, plan, warm = sys.argv[1:]
taisly = TaislyAccount(api_key="taisly_sandbox", base_url=url, plan="PRO", first_look_seconds=0.05)
form = CampaignForm(plan=plan, accounts=["Instagram"], minutes_apart=0, watch_minutes=10)
publish_campaign(taisly, form.model_copy(update={"dry_run": True, "plan": warm}), return_state=True)
start = time.perf_counter()
state = publish_campaign(taisly, form, return_state=True)
seconds = time.perf_counter() - start
report = state.result(raise_on_failure=False)
report = getattr(report, "report", report)
print(json.dumps({
    "seconds": seconds,
    "published": report.number_of("published"),
    "message": state.message,
    "run": str(state.state_details.flow_run_id),
    "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def measure() -> list[Result]:
    """Each pair in turns, `ROUNDS` times; the median counts. A campaign of 1,000 is run once."""
    with tempfile.TemporaryDirectory() as folder, _prefect(Path(folder)) as server:
        place = Path(folder)
        small = make_videos(place / "small", VIDEOS)
        pairs = [(_campaign(server, place, "small"), _loop(small)) for _ in range(ROUNDS)]
        large = make_videos(place / "large", VIDEOS, size=LARGE)
        large_pairs = [(_campaign(server, place, "large"), _loop(large)) for _ in range(ROUNDS)]
        make_videos(place / "many", MANY)
        many = _campaign(server, place, "many")
    ours = _median(pairs)[0]
    return [
        _ratio(f"a campaign of {VIDEOS} small videos vs a loop over the client", *_median(pairs), SMALL_BOUND),
        _ratio(f"the same with files of {LARGE / 1e6:.0f} MB", *_median(large_pairs), LARGE_BOUND),
        Result(
            f"a campaign of {MANY} videos vs one of {VIDEOS}, time per video",
            f"{many['seconds'] / MANY / (ours['seconds'] / VIDEOS):.2f} times "
            f"({1000 * many['seconds'] / MANY:.0f} ms, {1000 * ours['seconds'] / VIDEOS:.0f} ms)",
            f"at most {MANY_BOUND}",
            many["seconds"] / MANY <= MANY_BOUND * ours["seconds"] / VIDEOS and many["published"] == MANY,
        ),
        Result(
            "its memory", f"+{many['megabytes'] - ours['megabytes']:.0f} MB", f"at most +{MEMORY_BOUND:.0f} MB",
            many["megabytes"] - ours["megabytes"] <= MEMORY_BOUND,
        ),
        Result(
            "task runs on the server for each video", f"{ours['task_runs'] / VIDEOS:.2f}",
            f"at most {TASK_RUNS_BOUND:g}", ours["task_runs"] <= TASK_RUNS_BOUND * VIDEOS,
        ),
        Result(
            "requests to Taisly for each video", f"{ours['requests'] / VIDEOS:.2f}", f"at most {REQUESTS_BOUND:g}",
            ours["requests"] <= REQUESTS_BOUND * VIDEOS,
        ),
    ]  # fmt: skip


def _median(pairs: list[tuple[dict[str, Any], float]]) -> tuple[dict[str, Any], float]:
    """The pair with the median of the ratios."""
    return sorted(pairs, key=lambda pair: pair[0]["seconds"] / pair[1])[len(pairs) // 2]


def _ratio(what: str, ours: dict[str, Any], theirs: float, bound: float) -> Result:
    ratio = ours["seconds"] / theirs
    each = f"{1000 * ours['seconds'] / VIDEOS:.0f} ms, {1000 * theirs / VIDEOS:.0f} ms a video"
    is_whole = ours["published"] == VIDEOS
    return Result(what, f"{ratio:.2f} times its time ({each})", f"at most {bound:g}", ratio <= bound and is_whole)


@contextmanager
def _prefect(folder: Path) -> Iterator[str]:
    from deployments.local.processes import start_prefect_server, wait_for_prefect_server

    process, address = start_prefect_server(folder, 0)
    try:
        wait_for_prefect_server(process, address, folder)
        yield address
    finally:
        process.stop()


def _campaign(server: str, folder: Path, name: str) -> dict[str, Any]:
    """One run of the flow in a process of its own, with a new ledger and a new sandbox."""
    plan = folder / f"{name}.csv"
    rows = [f"{name}/{path.name},{path.with_suffix('.txt').read_text()},now"
            for path in sorted((folder / name).glob("*.mp4"))]  # fmt: skip
    plan.write_text("\n".join(["video,caption,when", *rows]) + "\n", "utf-8")
    warm = folder / "warm.csv"
    warm.write_text("\n".join(["video,caption,when", rows[0]]) + "\n", "utf-8")
    with running_sandbox("--requests-per-hour", "1000000") as box:
        environment = {
            **os.environ,
            "PREFECT_API_URL": f"{server}/api",
            "PREFECT_HOME": str(folder / "client"),
            "REELFLOW_LEDGER_URL": f"sqlite:///{folder / f'{name}.db'}",
        }
        _forget_ledger(environment)
        (folder / f"{name}.db").unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", _RUN, box.taisly_url, str(plan), str(warm)],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        found["requests"] = box.requests()
    found["task_runs"] = _task_runs(server, found["run"])
    return found


def _forget_ledger(environment: dict[str, str]) -> None:
    """Let the server know no ledger: each campaign has a new one."""
    code = (
        "from prefect.blocks.core import Block\n"
        "try:\n    Block.delete('reelflow-ledger/main')\nexcept ValueError:\n    pass"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)


def _task_runs(server: str, run: str) -> int:
    import httpx

    time.sleep(2)  # Prefect's clients report task runs as events
    body = {"flow_runs": {"id": {"any_": [run]}}}
    return int(httpx.post(f"{server}/api/task_runs/count", json=body).json())


def _loop(videos: list[Path]) -> float:
    """Seconds that a plain loop takes."""
    with running_sandbox("--requests-per-hour", "1000000") as box, TaislyClient(API_KEY, box.taisly_url) as client:
        client.platforms()
        read_video(str(videos[0]))
        began, start = datetime.now(UTC), time.perf_counter()
        left = set()
        for path in videos:
            read_video(str(path))
            left.add(client.create_post(path, [INSTAGRAM], path.with_suffix(".txt").read_text()).history_id)
        while left:
            items = client.history_between(began - timedelta(minutes=1), datetime.now(UTC) + timedelta(minutes=1))
            left -= {i.id for i in items if i.result and all(r.status is not Status.PENDING for r in i.result)}
        return time.perf_counter() - start
