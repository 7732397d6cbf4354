"""A picture of a video, as its poster."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from reelflow.errors import VideoUnreadable
from reelflow.video.probe import displayed_size, is_cover, reason_of
from reelflow.video.reading import open_container


def poster(path: Path, *, at: float = 0.0, height: int = 320, quality: int = 80) -> bytes:
    """The picture at `at` seconds as a JPEG of `height` pixels, turned the right way up.

    Raises:
        VideoUnreadable: no such picture can be decoded.
    """
    try:
        with open_container(path) as container:
            stream = next(s for s in container.streams.video if not is_cover(s))
            if at > 0:
                container.seek(int(at * av.time_base))
            chosen: Any = None
            for frame in container.decode(stream):
                chosen = frame
                if frame.time is None or frame.time >= at:
                    break
            if chosen is None:
                raise VideoUnreadable("corrupt", "no frame can be decoded", "Export the video again.")
            width, tall, rotation = displayed_size(chosen, stream)
            image = chosen.to_image()
            if rotation:
                image = image.rotate(rotation, expand=True)
            image = image.resize((max(1, round(height * width / tall)), height))
            out = io.BytesIO()
            image.save(out, "JPEG", quality=quality)
            return out.getvalue()
    except (FFmpegError, StopIteration, ValueError, IndexError) as error:
        raise VideoUnreadable("corrupt", reason_of(error), "Export the video again.") from None
