"""What a fit has changed, as one picture: the original beside what is published."""

from __future__ import annotations

import io
from pathlib import Path

from reelflow.errors import VideoUnreadable
from reelflow.video.poster import poster

_GAP = 12
"""Pixels between the two."""


def before_after(before: Path, after: Path, *, at: float = 0.0, height: int = 240) -> bytes:
    """The picture at `at` seconds of both videos side by side, `height` pixels high, as a JPEG.

    If the first one cannot be read any more, only that of the second: what is published is what counts.

    moviepy's composition is the shortest way to one picture; to a whole video, ffmpeg's filters are ten times as fast.

    Raises:
        VideoUnreadable: the second one has no such picture.
    """
    import numpy as np
    from moviepy import ImageClip, clips_array
    from PIL import Image

    jpegs = [poster(after, at=at, height=height, quality=95)]
    try:
        jpegs.insert(0, poster(before, at=at, height=height, quality=95))
    except (VideoUnreadable, OSError):
        return jpegs[0]
    clips: list[ImageClip] = []
    for jpeg in jpegs:
        with Image.open(io.BytesIO(jpeg)) as image:
            pixels = np.asarray(image.convert("RGB"))
        clips.append(ImageClip(np.pad(pixels, ((0, 0), (0, 0 if clips else _GAP), (0, 0)), constant_values=255)))
    try:
        both = clips_array([clips], bg_color=(255, 255, 255)).get_frame(0)
    except (ValueError, OSError) as error:
        raise VideoUnreadable("corrupt", str(error), "Export the video again.") from None
    out = io.BytesIO()
    Image.fromarray(both.astype(np.uint8)).save(out, "JPEG", quality=80)
    return out.getvalue()
