"""What a video looks like in a few numbers, so that another export of it can be recognised."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image

from reelflow.video.probe import is_cover
from reelflow.video.reading import open_container

PICTURES = 4
"""How many are taken, spread over the video. Each costs the decoding of half a group of pictures on average."""
_SIZE = 16


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
            stream.thread_type = "AUTO"
            stream.codec_context.skip_frame = "NONREF"  # half the time, for a picture some hundredths of a second off
            return tuple(_hash(container, stream, duration * (n + 0.5) / PICTURES) for n in range(PICTURES))
    except (FFmpegError, StopIteration, OSError):
        return ()


def _hash(container: av.container.InputContainer, stream: av.VideoStream, at: float) -> int:
    start = (container.start_time or 0) / av.time_base
    container.seek(int((at + start) * av.time_base))
    for frame in container.decode(stream):
        if frame.time is None or frame.time >= at + start:
            grey = frame.reformat(format="gray").to_ndarray()
            small = np.asarray(Image.fromarray(grey).resize((_SIZE + 1, _SIZE), Image.Resampling.BOX), dtype=np.int16)
            bits = (small[:, 1:] > small[:, :-1]).flatten()
            return int("".join("1" if bit else "0" for bit in bits), 2)
    return 0
