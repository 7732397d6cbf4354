"""Reading what a video is: reelflow.video.probe against moviepy.VideoFileClip."""

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from benchmarks.result import Result
from reelflow.video.probe import open_video, probe
from reelflow.video.sample import make_sample

ROUNDS = 7
BOUND = 20


def _median(call: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure() -> list[Result]:
    """The median of seven rounds each, on a clip of 10 s in 1080x1920 with sound."""
    from moviepy import VideoFileClip

    with tempfile.TemporaryDirectory() as folder:
        clip = make_sample(Path(folder) / "clip.mp4", seconds=10, width=1080, height=1920)

        def ours_once() -> None:
            with open_video(clip) as file:
                probe(clip, file)

        def rival() -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                VideoFileClip(str(clip)).close()

        ours_once()
        rival()  # both warm: imports and page cache are not what is measured
        ours, theirs = _median(ours_once), _median(rival)
    return [
        Result(
            "probe of 10 s 1080x1920 vs moviepy.VideoFileClip",
            f"{theirs / ours:.0f} times faster ({ours * 1000:.1f} ms vs {theirs * 1000:.0f} ms)",
            f"at least {BOUND} times",
            theirs / ours >= BOUND,
        )
    ]
