"""What is wrong with a video for publishing: pure functions of what `probe` found and of the limits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reelflow.video.probe import UNKNOWN, VideoFacts


class Limits(BaseModel):
    """What may be published. The defaults are Taisly's documented limits."""

    model_config = ConfigDict(frozen=True)

    min_duration: float = Field(3.0, description="Seconds.")
    max_duration: float = Field(90.0, description="Seconds.")
    duration_slack: float = Field(
        0.05, description="Seconds of grace on both ends: an encoder's last audio packet is up to 0.03 s long."
    )
    max_bytes: int = Field(500_000_000, description="Bytes; '500 MB' is read in the stricter sense.")
    advised_bytes: int = Field(300_000_000, description="Bytes; Instagram may refuse more. A warning.")
    aspect: float = Field(9 / 16, description="Width divided by height, as displayed.")
    aspect_tolerance: float = Field(0.01, description="Share by which the aspect ratio may be off.")
    endings: tuple[str, ...] = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".flv", ".mpeg", ".mpg")
    min_width: int = Field(540, description="Pixels; below it platforms look poor. A warning.")
    min_height: int = Field(960, description="Pixels; below it platforms look poor. A warning.")
    max_fps: float = Field(60.0, description="Frames per second; above it platforms re-encode. A warning.")

    @property
    def advised_megabytes(self) -> float:
        """`advised_bytes` as people say it."""
        return self.advised_bytes / 1e6


CONTAINERS: dict[str, tuple[str, ...]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": (".mp4", ".mov"),
    "matroska,webm": (".mkv", ".webm"),
    "avi": (".avi",),
    "flv": (".flv",),
    "mpeg": (".mpeg", ".mpg"),
    "mpegvideo": (".mpeg", ".mpg"),
}
"""The containers that Taisly accepts, by FFmpeg's names, with the file endings of each."""

OTHER_CONTAINERS = {"mpegts", "asf", "ogg", "mxf", "dv"}
"""Those that Taisly does not accept, and that hold videos all the same: a fit can write them as MP4."""

UNREADABLE = ("unreadable", "corrupt", "video")
"""Codes of the problems of a file that cannot be read as a video."""
_WORDS = {
    "aspect": "aspect ratio",
    "bit_depth": "bit depth",
    "variable_frame_rate": "frame rate",
    "frame_rate": "frame rate",
    "audio_codec": "sound",
    "audio_channels": "sound",
    "audio": "sound",
}
"""How people call what a problem's code names, where that is not the word."""


class Problem(BaseModel):
    """One thing that is wrong with a video. An error keeps it from being published, a warning does not."""

    model_config = ConfigDict(frozen=True)

    code: str
    level: Literal["error", "warning"]
    found: str
    allowed: str
    hint: str

    def __str__(self) -> str:
        if self.code in UNREADABLE:
            return f"{self.found}. {self.hint}"
        word = "allowed" if self.level == "error" else "recommended"
        return f"{_WORDS.get(self.code, self.code)}: {self.found} ({word}: {self.allowed}). {self.hint}"


def problems(path: Path, facts: VideoFacts, limits: Limits | None = None) -> list[Problem]:
    """Everything that is wrong with the video, errors first."""
    limits = limits or Limits()
    return [*_errors(path, facts, limits), *_warnings(path, facts, limits)]


def size_problem(size_bytes: int, limits: Limits) -> Problem | None:
    """The problem of a file that is too big, whatever is in it."""
    if size_bytes <= limits.max_bytes:
        return None
    return Problem(
        code="size",
        level="error",
        found=f"{size_bytes / 1e6:.1f} MB",
        allowed=f"at most {limits.max_bytes / 1e6:.0f} MB",
        hint="Export with a lower bit rate: 10 Mbit/s is plenty for 1080x1920.",
    )


def ending_problem(path: Path, limits: Limits) -> Problem | None:
    """The problem of a file whose name has an ending that is not accepted."""
    if path.suffix.lower() in limits.endings:
        return None
    return Problem(
        code="format",
        level="error",
        found=f"file ending {path.suffix.lower() or '(none)'}",
        allowed=" ".join(limits.endings),
        hint="Export as MP4, or rename the file if it is one of these already.",
    )


_TRIM = (
    "Trim it, set 'If the video does not fit' to 'blur' and 'If it is too long' to 'trim', or use `reelflow fit` with "
    "`--too-long trim`."
)


def _errors(path: Path, facts: VideoFacts, limits: Limits) -> list[Problem]:
    found: list[Problem | None] = [ending_problem(path, limits)]
    if facts.container not in CONTAINERS and found[0] is None:
        found.append(
            Problem(
                code="format",
                level="error",
                found=f"container {facts.container}",
                allowed="MP4, MOV, AVI, MKV, WebM, FLV, MPEG",
                hint="Export the video as MP4 with H.264.",
            )
        )
    slack = limits.duration_slack
    if not limits.min_duration - slack <= facts.duration <= limits.max_duration + slack:
        too_long = facts.duration > limits.max_duration
        found.append(
            Problem(
                code="duration",
                level="error",
                found=f"{facts.duration:.2f} s",
                allowed=f"{limits.min_duration:g} to {limits.max_duration:g} s",
                hint=_TRIM if too_long else "Make it longer, or choose another video.",
            )
        )
    ratio = facts.width / facts.height
    if abs(ratio / limits.aspect - 1) > limits.aspect_tolerance:
        kind = "landscape" if ratio > 1.05 else "square" if ratio > 0.95 else "vertical, but not 9:16"
        found.append(
            Problem(
                code="aspect",
                level="error",
                found=f"{kind}, {facts.width}x{facts.height}",
                allowed=f"9:16, within {limits.aspect_tolerance:.0%}",
                hint="Crop or pad it to 9:16, set 'If the video does not fit' to 'blur', or use `reelflow fit`.",
            )
        )
    found.append(size_problem(facts.size_bytes, limits))
    return [p for p in found if p is not None]


_RE_ENCODED = "It works, but platforms will re-encode it. Export as H.264 for full control."
_ADVICE = {
    "codec": ("H.264", _RE_ENCODED),
    "bit_depth": ("8 bit", _RE_ENCODED),
    "hdr": ("standard range", "Colours may look washed out; export in Rec. 709."),
    "variable_frame_rate": ("constant", "Sound may drift; export with a constant frame rate."),
    "frame_rate": ("at most {limits.max_fps:g}", "Export with 30 or 60 frames per second."),
    "audio_codec": ("AAC", _RE_ENCODED),
    "audio_channels": ("stereo", "Platforms mix it to stereo in their own way. Export with stereo sound."),
    "audio": ("a sound track", "Platforms show silent videos less. Add music or speech."),
    "large": ("at most {limits.advised_megabytes:.0f} MB", "Instagram may refuse it; export with a lower bit rate."),
    "resolution": ("at least {limits.min_width}x{limits.min_height}", "Export in 1080x1920."),
    "faststart": (
        "index at the front",
        "Export with 'fast start' (web optimised) so that platforms can begin at once.",
    ),
    "ending": ("the matching ending", "Rename the file so that its ending matches its content."),
}
"""For each warning, in their order: what is recommended, with the limits to fill in, and what to do."""


def _warnings(path: Path, facts: VideoFacts, limits: Limits) -> list[Problem]:
    found = _worth_a_warning(path, facts, limits)
    return [
        Problem(code=code, level="warning", found=found[code], allowed=allowed.format(limits=limits), hint=hint)
        for code, (allowed, hint) in _ADVICE.items()
        if code in found
    ]


def _worth_a_warning(path: Path, facts: VideoFacts, limits: Limits) -> dict[str, str]:
    """What was found for each warning that applies, by its code."""
    found: dict[str, str] = {}
    if facts.video_codec != "h264":
        found["codec"] = facts.video_codec
    if facts.bit_depth > 8:
        found["bit_depth"] = f"{facts.bit_depth} bit"
    if facts.hdr is not None:
        found["hdr"] = f"HDR ({facts.hdr})"
    if facts.variable_frame_rate:
        found["variable_frame_rate"] = "variable frame rate"
    if facts.fps is not None and facts.fps > limits.max_fps + 0.1:
        found["frame_rate"] = f"{facts.fps:.2f} frames per second"
    if facts.audio_codec == UNKNOWN:
        found["audio_codec"] = "sound with an unknown codec"
    if facts.audio_channels > 2:
        found["audio_channels"] = f"{facts.audio_channels} channels of sound"
    if facts.audio_codec is None:
        found["audio"] = "no sound"
    if limits.advised_bytes < facts.size_bytes <= limits.max_bytes:
        found["large"] = f"{facts.size_bytes / 1e6:.1f} MB"
    if min(facts.width, facts.height) < limits.min_width or max(facts.width, facts.height) < limits.min_height:
        found["resolution"] = f"{facts.width}x{facts.height}"
    if facts.faststart is False:
        found["faststart"] = "index at the end of the file"
    ending = path.suffix.lower()
    if ending in limits.endings and ending not in CONTAINERS.get(facts.container, limits.endings):
        found["ending"] = f"{ending}, but the content is {facts.container.partition(',')[0]}"
    return found
