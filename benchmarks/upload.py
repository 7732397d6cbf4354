"""Uploading 400 MB to the sandbox: reelflow's client against ``curl -F``, and the memory it takes."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.result import Result
from benchmarks.sandbox import running_sandbox
from reelflow.sandbox.catalog import ACCOUNTS, API_KEY
from reelflow.video.sample import make_sample

SIZE = 400_000_000
ROUNDS = 5
TIME_BOUND = 1.2
MEMORY_BOUND = 64.0
"""MB above what the process needed before the upload."""

_OURS = """
import json, resource, sys, time
from pathlib import Path
from reelflow.taisly import TaislyClient
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with TaislyClient(sys.argv[1], sys.argv[2]) as client:
    client.platforms()
    before, start = peak(), time.perf_counter()
    client.create_post(Path(sys.argv[3]), [sys.argv[4]], "bench", progress=lambda taken, total: None)
    print(json.dumps({"seconds": time.perf_counter() - start, "megabytes": peak() - before}))
"""


def _grow(video: Path) -> None:
    """Make a whole video 400 MB big with an empty box at its end."""
    size = video.stat().st_size
    with video.open("r+b") as file:
        file.seek(size)
        file.write((SIZE - size).to_bytes(4, "big") + b"free")
        block = bytes(1 << 20)
        for _ in range((SIZE - size - 8) // len(block)):
            file.write(block)
        file.truncate(SIZE)


def measure() -> list[Result]:
    """The best of five rounds each, in turns, over loopback: the rest is the disk writing 400 MB back."""
    curl = shutil.which("curl")
    if curl is None:
        return [Result("upload of 400 MB vs curl -F", "curl is not on this machine", "not measured", True)]
    account = ACCOUNTS[0]["id"]
    ours, theirs, memory = [], [], []
    with tempfile.TemporaryDirectory() as folder, running_sandbox() as box:
        video = make_sample(Path(folder) / "clip.mp4")
        _grow(video)
        api = box.taisly_url
        rival = [curl, "-sf", "--noproxy", "*", "-H", f"Authorization: Bearer {API_KEY}",
                 "-F", f"video=@{video};type=video/mp4", "-F", f"platforms={json.dumps([account])}",
                 "-F", "description=bench", "-o", "/dev/null", f"{api}/post"]  # fmt: skip
        for _ in range(ROUNDS):
            start = time.perf_counter()
            subprocess.run(rival, check=True)
            theirs.append(time.perf_counter() - start)
            done = subprocess.run(
                [sys.executable, "-c", _OURS, API_KEY, api, str(video), account],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found = json.loads(done.stdout)
            ours.append(found["seconds"])
            memory.append(found["megabytes"])
            box.reset()
    mine, other = min(ours), min(theirs)
    return [
        Result(
            "upload of 400 MB vs curl -F",
            f"{mine / other:.2f} times its wall time ({mine:.2f} s vs {other:.2f} s)",
            f"at most {TIME_BOUND} times",
            mine / other <= TIME_BOUND,
        ),
        Result(
            "peak memory of that upload",
            f"{max(memory):.0f} MB above what it was before",
            f"at most {MEMORY_BOUND:.0f} MB",
            max(memory) <= MEMORY_BOUND,
        ),
    ]
