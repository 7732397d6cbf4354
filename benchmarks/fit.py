"""A fit of a 10 s clip, as `reelflow fit` does it, against one bare ffmpeg with the same encoder settings.

Ours counts from the start of its process to its end: Python, the checks of both files, their fingerprint and
the copy beside the original.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.result import Result
from reelflow.video.ffmpeg import ffmpeg_program
from reelflow.video.fit_command import GOP_SECONDS, MOST_BITS, QUALITY, SOUND_BITS

ROUNDS = 3
BOUND = 1.3
ENCODER = [
    "-c:v", "libx264", *QUALITY, "-profile:v", "high", "-pix_fmt", "yuv420p", "-bf", "2", "-g", str(30 * GOP_SECONDS),
    "-maxrate", str(MOST_BITS[30]), "-bufsize", str(2 * MOST_BITS[30]),
    "-c:a", "aac", "-b:a", str(SOUND_BITS), "-ar", "48000", "-ac", "2", "-movflags", "+faststart",
]  # fmt: skip
_PAD = "scale=1080:-2,pad=1080:1920:-1:-1"
_SDR = (
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,"
    "format=yuv420p"
)
FILTERS = {
    "pad": _PAD,
    "blur": "split[a][b];[a]scale=1080:1920:force_original_aspect_ratio=increase,crop=1080:1920,boxblur=20:5[c];"
    "[b]scale=1080:-2[d];[c][d]overlay=(W-w)/2:(H-h)/2",
    "crop": "crop=ih*9/16:ih,scale=608:1080",
    "HDR, pad": f"{_SDR},{_PAD}",
}
"""What people find for each, on the web."""
_MEASURED = (
    "import json, resource, subprocess, sys, time; at = time.perf_counter(); "
    "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); "
    "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
    "print(json.dumps([time.perf_counter() - at, used.ru_utime + used.ru_stime, used.ru_maxrss]))"
)
_OURS = (
    "import json, resource, sys, time; at = time.perf_counter(); from deployments.cli import app; "
    "app(sys.argv[1:], result_action='return_value'); "
    "used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]; "
    "print(json.dumps([time.perf_counter() - at, sum(u.ru_utime + u.ru_stime for u in used), "
    "sum(u.ru_maxrss for u in used)]))"
)


class _Cost(NamedTuple):
    """Of one run: seconds, those of all cores, and the peak memory of all its processes together in kilobytes."""

    seconds: float
    cpu_seconds: float
    kilobytes: float


def measure() -> Iterator[Result]:
    """The median of three rounds each, in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = {False: _clip(folder / "clip.mp4"), True: _hdr_clip(folder / "hdr.mp4")}
        for what, filters in FILTERS.items():
            clip = clips[what.startswith("HDR")]
            ours, theirs = list[_Cost](), list[_Cost]()
            for number in range(ROUNDS):
                theirs.append(_bare(clip, filters, folder / "bare.mp4"))
                ours.append(_fit(clip, what.rpartition(" ")[2], folder / f"cache-{what}-{number}"))
            yield from _results(what, ours, theirs)


def _results(what: str, ours: list[_Cost], theirs: list[_Cost]) -> list[Result]:
    name = f"fit of 10 s 1920x1080, {what}, vs one bare ffmpeg"
    seconds = [statistics.median(each.seconds for each in costs) for costs in (ours, theirs)]
    cpu = [statistics.median(each.cpu_seconds for each in costs) for costs in (ours, theirs)]
    memory = [statistics.median(each.kilobytes for each in costs) / 1024 for costs in (ours, theirs)]
    time_ratio, memory_ratio = seconds[0] / seconds[1], memory[0] / memory[1]
    return [
        Result(
            name, f"{time_ratio:.2f} times its time ({seconds[0]:.1f} s, {seconds[1]:.1f} s; of all cores "
            f"{cpu[0] / cpu[1]:.2f}: {cpu[0]:.1f} s, {cpu[1]:.1f} s)",
            f"at most {BOUND}", time_ratio <= BOUND,
        ),
        Result(
            f"{name}: memory", f"{memory_ratio:.2f} times ({memory[0]:.0f} MB, {memory[1]:.0f} MB)",
            f"at most {BOUND}", memory_ratio <= BOUND,
        ),
    ]  # fmt: skip


def _bare(clip: Path, filters: str, to: Path) -> _Cost:
    command = [ffmpeg_program(), "-nostdin", "-v", "error", "-y", "-i", str(clip), "-vf", filters, *ENCODER, str(to)]
    done = subprocess.run([sys.executable, "-c", _MEASURED, *command], check=True, capture_output=True, text=True)
    return _Cost(*json.loads(done.stdout))


def _fit(clip: Path, how: str, cache: Path) -> _Cost:
    words = ["fit", str(clip), "--how", how, "--output", str(clip.with_name("ours.mp4")), "--overwrite", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", _OURS, *words], check=True, capture_output=True, text=True,
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip
    return _Cost(*json.loads(done.stdout.splitlines()[-1]))


def _clip(path: Path) -> Path:
    return _made(path, "yuv420p", "-c:v", "libx264", "-preset", "veryfast")


def _hdr_clip(path: Path) -> Path:
    colours = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    return _made(path, "yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1",
                 "-x265-params", f"log-level=error:{colours}", "-color_primaries", "bt2020", "-color_trc", "smpte2084",
                 "-colorspace", "bt2020nc")  # fmt: skip


def _made(path: Path, pixels: str, *encoder: str) -> Path:
    told = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc" if "10" in pixels else "null"
    words = ["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30:d=10", "-f", "lavfi",
             "-i", "sine=frequency=440:duration=10", "-vf", told, *encoder, "-pix_fmt", pixels,
             "-c:a", "aac"]  # fmt: skip
    subprocess.run([ffmpeg_program(), *words, "-movflags", "+faststart", str(path)], check=True, capture_output=True)
    return path


if __name__ == "__main__":
    for result in measure():
        print(
            f"{'ok  ' if result.holds else 'FAIL'} {result.what}  {result.found}   (bound: {result.bound})", flush=True
        )
