"""What a video looks like in a few numbers, so that another export of it can be recognised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image

from reelflow.video.probe import is_cover
from reelflow.video.reading import open_container

PICTURES = 4
"""How many are taken, spread over the video. Each costs the decoding of half a group of pictures on average."""
_SIZE = 16
_SMALL = 1280 * 720
"""Pixels of a picture that one thread decodes quickly."""


def picture_hashes(path: Path, duration: float) -> tuple[int, ...]:
    """The difference hash (dHash, 256 bits) of a few pictures of a video; empty where they cannot be decoded.

    Each bit says whether the picture, scaled to 17x16 grey pixels, becomes brighter from one pixel to the next. Scaling
    and encoding hardly change that. Source: Neal Krawetz, "Kind of Like That", 2013.

    Args:
        path: Of the video.
        duration: Its length in seconds.
    """
    try:
        with open_container(path) as container:
            stream = next(s for s in container.streams.video if not is_cover(s))
            # For small pictures, starting threads takes longer than they save; and many videos are read at once.
            stream.thread_type = "AUTO" if stream.width * stream.height > _SMALL else "NONE"
            stream.codec_context.skip_frame = "NONREF"  # half the time, for a picture some hundredths of a second off
            start = (container.start_time or 0) / av.time_base
            moments = [start + duration * (n + 0.5) / PICTURES for n in range(PICTURES)]
            return tuple(frame and _hash(frame) for frame in _frames(container, stream, moments))
    except (FFmpegError, StopIteration, OSError):
        return ()


def _frames(container: av.container.InputContainer, stream: av.VideoStream, moments: Sequence[float]) -> Iterator[Any]:
    """The first frame from each moment on, 0 where there is none; nothing is decoded twice."""
    frame: Any = None
    for at in moments:
        if frame is None or _has_key_between(stream, frame.time, at):
            container.seek(int(at * av.time_base))
            frames, frame = container.decode(stream), None
        while frame is None or frame.time is None or frame.time < at:
            if (frame := next(frames, None)) is None:
                break
        yield frame or 0


def _has_key_between(stream: av.VideoStream, now: float, at: float) -> bool:
    """Whether a seek from one moment to a later one saves decoding; as far as the index tells."""
    if stream.time_base is None or not len(stream.index_entries):
        return True
    key = stream.index_entries.search_timestamp(int(at / stream.time_base))
    return key < 0 or stream.index_entries[key].timestamp * stream.time_base > now


def _hash(frame: av.VideoFrame) -> int:
    grey = frame.reformat(format="gray").to_ndarray()
    small = np.asarray(Image.fromarray(grey).resize((_SIZE + 1, _SIZE), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits(small[:, 1:] > small[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")
