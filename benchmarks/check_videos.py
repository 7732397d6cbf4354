"""Checking the 1,000 videos of a plan, as `reelflow plan check` does, against one `ffprobe` process for each."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.result import Result
from benchmarks.videos import make_videos
from reelflow.campaigns.check import check_alone
from reelflow.campaigns.reading import read_plan
from reelflow.campaigns.row_reading import ReadingOptions

VIDEOS = 1000
PROBED = 100
"""How many of them ffprobe reads: its time for each does not depend on how many there are."""
BOUND = 10.0
"""How many times faster than ffprobe reelflow must be."""


def measure() -> list[Result]:
    """Ours once over all; before it, ffprobe over every tenth."""
    if (ffprobe := shutil.which("ffprobe")) is None:
        return [Result("checking videos vs ffprobe", "ffprobe is not installed", f"at least {BOUND:g} times", False)]
    with tempfile.TemporaryDirectory() as folder:
        videos = make_videos(Path(folder), VIDEOS)
        _probe(ffprobe, videos[0])
        start = time.perf_counter()
        for video in videos[:: VIDEOS // PROBED]:
            _probe(ffprobe, video)
        theirs = (time.perf_counter() - start) / PROBED
        start = time.perf_counter()
        now = datetime.now(UTC)
        plan = check_alone(read_plan(folder, folder=None, options=ReadingOptions(), now=now), now)
        ours = (time.perf_counter() - start) / VIDEOS
    is_right = len(plan.rows) == VIDEOS and not plan.problems
    return [
        Result(
            f"checking {VIDEOS} videos vs one ffprobe process each",
            f"{theirs / ours:.1f} times faster ({1 / ours:.0f} a second, {1 / theirs:.0f} a second)",
            f"at least {BOUND:g} times",
            theirs >= BOUND * ours and is_right,
        )
    ]


def _probe(ffprobe: str, video: Path) -> None:
    command = [ffprobe, "-v", "error", "-show_format", "-show_streams", "-of", "json", str(video)]
    subprocess.run(command, check=True, capture_output=True)
