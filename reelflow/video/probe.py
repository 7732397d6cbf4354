"""What a video file really is, read with PyAV: as a player would show it, not as its header stores it.

Phones store video lying down with a note to turn it, old formats have pixels that are not square, music files
carry cover art as a "video" stream, and recordings that were cut off look whole to most readers. Each of these
is read here as a person would see it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import statistics
from collections.abc import Iterator
from fractions import Fraction
from io import BufferedReader
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from pydantic import BaseModel, ConfigDict, Field

from reelflow.errors import VideoUnreadable
from reelflow.video.containers import Outline, content_end, outline
from reelflow.video.reading import gaps, open_container, read_index, read_packets
from reelflow.wording import can_be_shown, one_line

_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of ITU-T H.273 that mean high dynamic range."""
UNKNOWN = "unknown"
"""The codec of a sound track that FFmpeg has no name for."""
_DURATION_TRUST = 0.5
"""Seconds by which a header's duration may differ from the packets' before the packets are believed."""


class VideoFacts(BaseModel):
    """What a video file is."""

    model_config = ConfigDict(frozen=True)

    size_bytes: int = Field(description="Size of the file in bytes.")
    container: str = Field(description="FFmpeg's name of the container, such as 'mov,mp4,m4a,3gp,3g2,mj2'.")
    duration: float = Field(description="Length in seconds, of the longest stream.")
    width: int = Field(description="Width in pixels as displayed: turned, and with square pixels.")
    height: int = Field(description="Height in pixels as displayed.")
    rotation: int = Field(description="Degrees counter-clockwise that a player turns the stored picture by.")
    fps: float | None = Field(description="Frames per second on average; None for a single frame.")
    variable_frame_rate: bool = Field(description="Whether the time between frames changes.")
    video_codec: str = Field(description="FFmpeg's name of the video codec, such as 'h264'.")
    bit_depth: int = Field(description="Bits per colour component.")
    hdr: str | None = Field(description="'PQ' or 'HLG' for high dynamic range, else None.")
    audio_codec: str | None = Field(description="FFmpeg's name of the audio codec, or 'unknown'; None without sound.")
    audio_channels: int = Field(0, description="Channels of the sound: 1, 2 or more; 0 without sound.")
    faststart: bool | None = Field(description="MP4 and MOV: whether the index stands at the front; else None.")


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[BufferedReader]:
    """The file at `path`, opened once for all that needs its bytes.

    Raises:
        VideoUnreadable: it is not a file, empty, or cannot be read.
    """
    if not can_be_shown(str(path)):
        raise VideoUnreadable("unreadable", "its name has characters that cannot be shown", "Rename the file.")
    try:
        mode = path.stat().st_mode
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        raise VideoUnreadable(
            "unreadable",
            "no such file" if missing else error.strerror or str(error),
            "Check the path; it is read where the flow or command runs.",
        ) from None
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise VideoUnreadable("unreadable", found, "Give the path of one video file.")
    try:
        file = path.open("rb")
    except OSError as error:
        raise VideoUnreadable(
            "unreadable",
            error.strerror or str(error),
            "Make the file readable for the user that runs reelflow.",
        ) from None
    with file:
        if os.fstat(file.fileno()).st_size == 0:
            raise VideoUnreadable("unreadable", "an empty file", "Export or copy the video again.", {"size_bytes": 0})
        yield file


def probe(
    path: Path, file: BufferedReader, *, index_only: bool = False, up_to: float | None = None
) -> VideoFacts | None:
    """Read what the file at `path` is, from its index or else from every packet, and decode one frame.

    Args:
        path: Where PyAV opens it: through a Python file object it would take several times as long.
        file: The same file, from `open_video`.
        index_only: Do not read every packet. The result is None for a file without an index.
        up_to: Of a file without an index, read no more than so many seconds; whether all of it is there stays open.

    Raises:
        VideoUnreadable: it is not a video, or a damaged one.
    """
    shape = outline(file)
    size = shape.size
    if index_only and shape.kind != "mp4":
        return None
    end = size if shape.kind == "mp4" else content_end(file, size)
    try:
        with open_container(path, end if end < size else None) as container:
            return _facts(container, size, shape, index_only=index_only, up_to=up_to)
    except (FFmpegError, ValueError, OverflowError, EOFError, IndexError) as error:  # IndexError: a stream too many
        if shape.kind is not None:
            raise VideoUnreadable(
                "corrupt",
                _cut_off(shape) or f"cannot be decoded ({reason_of(error)})",
                "Export or copy the video again; the file is damaged or incomplete.",
                {"size_bytes": size},
            ) from None
        raise VideoUnreadable(
            "unreadable",
            "not a video file",
            "Choose a video file, such as an MP4 or MOV.",
            {"size_bytes": size},
        ) from None


def _facts(container: Any, size: int, shape: Outline, *, index_only: bool, up_to: float | None) -> VideoFacts | None:
    pictures = [s for s in container.streams.video if not is_cover(s)]
    known = {"size_bytes": size, "container": container.format.name}
    if not pictures:
        raise VideoUnreadable("video", "no moving picture", "Choose a file that has video, not only sound.", known)
    if container.format.name.endswith("_pipe") or container.format.name in {"image2", "gif", "apng"}:
        raise VideoUnreadable(
            "format", f"a picture ({container.format.name})", "Export it as an MP4 video with H.264.", known
        )
    if found := _cut_off(shape):
        raise VideoUnreadable("corrupt", found, "Copy or export the video again; its end is missing.", known)

    stream = pictures[0]
    if stream.codec_context is None:
        raise VideoUnreadable(
            "video", "its picture has an unknown codec", "Export it as an MP4 video with H.264.", known
        )
    stream.codec_context.thread_count = 1  # one frame is decoded: threads would only cost their start
    read = read_index(container, stream, size)
    if read is None and index_only:
        return None
    frame, stamps, span, packets = read or read_packets(container, stream, up_to)
    is_part = read is None and up_to is not None and span is not None and span[1] - span[0] > up_to
    if frame is None:
        raise VideoUnreadable("corrupt", "no frame can be decoded", "Export the video again.", known)
    if stream.frames and packets < stream.frames * 0.98 - 1 and not is_part:
        raise VideoUnreadable(
            "corrupt",
            f"{packets} of {stream.frames} frames are present",
            "Copy or export the video again; its end is missing.",
            known,
        )

    if shape.kind is None and not is_part and (lost := _lost_seconds(container, span)):
        raise VideoUnreadable("corrupt", lost, "Copy or export the video again; its end is missing.", known)

    context = stream.codec_context
    width, height, rotation = displayed_size(frame, stream)
    audio = container.streams.audio
    return VideoFacts(
        size_bytes=size,
        container=container.format.name,
        duration=round(_duration(container, span, is_part=is_part), 3),
        width=width,
        height=height,
        rotation=rotation,
        fps=_fps(stamps),
        variable_frame_rate=_varies(stamps),
        video_codec=context.name,
        bit_depth=max(c.bits for c in frame.format.components),
        hdr=_HDR_TRANSFERS.get(int(getattr(frame, "color_trc", 0) or 0))
        or _HDR_TRANSFERS.get(int(context.color_trc or 0)),
        audio_codec=(audio[0].codec_context.name if audio[0].codec_context else UNKNOWN) if audio else None,
        audio_channels=audio[0].codec_context.channels if audio and audio[0].codec_context else 0,
        faststart=shape.index_first,
    )


def is_cover(stream: Any) -> bool:
    """Whether a "video" stream is a picture attached to the file, such as cover art."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _duration(container: Any, span: tuple[float, float] | None, *, is_part: bool) -> float:
    stated = container.duration / av.time_base if container.duration else None
    if span is None:
        return stated or 0.0
    measured = span[1] - span[0]
    if is_part:
        return max(stated or 0.0, measured)
    if stated is None or abs(stated - measured) > max(_DURATION_TRUST, 0.02 * measured):
        return measured
    return float(stated)


def _lost_seconds(container: Any, span: tuple[float, float] | None) -> str | None:
    """For containers without lengths of their own (FLV): a head that promises much more than there is."""
    if span is None or not container.duration:
        return None
    promised, there = container.duration / av.time_base, span[1] - span[0]
    if promised - there <= max(1.0, 0.05 * promised):
        return None
    return f"cut off: {there:.1f} of {promised:.1f} s are present"


def displayed_size(frame: Any, stream: Any) -> tuple[int, int, int]:
    """Width and height in pixels as a player shows a frame, and the degrees counter-clockwise that it turns it by."""
    pixel = stream.sample_aspect_ratio or Fraction(1)
    width = max(1, round(frame.width * pixel)) if pixel > 0 else frame.width
    rotation = int(getattr(frame, "rotation", 0) or 0) % 360
    if rotation % 180 == 90:
        return int(frame.height), int(width), rotation
    return int(width), int(frame.height), rotation


def _fps(stamps: list[float]) -> float | None:
    found = gaps(stamps)
    return round(len(found) / sum(found), 3) if found else None


def _varies(stamps: list[float]) -> bool:
    """Whether more than 5 % of the frames stand more than a third away from the usual gap.

    Containers round their times (FLV and Matroska to 1 ms), and a constant rate may drop a frame here and there.
    """
    found = gaps(stamps)
    if len(found) < 3:
        return False
    usual = statistics.median(found)
    odd = sum(abs(gap - usual) > max(usual / 3, 0.0015) for gap in found)
    return odd > 0.05 * len(found)


def _cut_off(shape: Outline) -> str | None:
    if shape.missing_bytes:
        return f"cut off: {shape.missing_bytes:,} bytes are missing at its end"
    if shape.has_index is False:
        return "cut off: its index (moov) is missing"
    return None


def reason_of(error: BaseException) -> str:
    """What FFmpeg says is wrong."""
    if isinstance(error, IndexError):
        return "it has more streams than it says"
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
