"""Small posters, kept on disk: a page that is made every hour shows the same videos again and again."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import secrets
import time
from pathlib import Path

from platformdirs import user_cache_path

from reelflow.errors import VideoUnreadable
from reelflow.video.poster import poster

HEIGHT, QUALITY = 120, 60
"""Pixels, and of JPEG: 2 to 5 KB."""
KEPT_SECONDS = 60 * 86400.0
"""A poster that was not used for so long is deleted."""


def default_folder() -> Path:
    """In the user's cache folder: it may be deleted at any time."""
    return user_cache_path("reelflow", appauthor=False) / "posters"


def kept_poster(
    path: Path, *, sha256: str, changed_before: float = math.inf, folder: Path | None = None
) -> bytes | None:
    """A small JPEG of a video: the kept one, wherever the file is by now, or one that is made and kept.

    None if none is kept, and the file is not here, is another one by now, or shows nothing. Decoding one takes 10 to
    90 ms (1080x1920, H.264), reading a kept one 0.1 ms.

    Args:
        path: Where the video was.
        sha256: Of its content, by which its poster is kept.
        changed_before: Unix seconds: a file that was changed later is another video under the same name.
        folder: Where posters are kept; None for the user's cache folder.
    """
    key = hashlib.sha256(f"{sha256}\0{HEIGHT}\0{QUALITY}".encode()).hexdigest()[:32]
    kept = (folder or default_folder()) / f"{key}.jpg"
    with contextlib.suppress(OSError):
        jpeg = kept.read_bytes()
        os.utime(kept)
        return jpeg
    try:
        if path.stat().st_mtime > changed_before:
            return None
    except (OSError, ValueError):  # ValueError: a path of another system, or with a NUL
        return None
    try:
        jpeg = poster(path, height=HEIGHT, quality=QUALITY)
    except (VideoUnreadable, OSError):
        return None
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{secrets.token_hex(4)}.part")
        part.write_bytes(jpeg)
        part.replace(kept)
    return jpeg


def forget_old_posters(folder: Path | None = None) -> None:
    """Delete posters that were not used for a long time. Never raises: a cache is no reason to fail."""
    before = time.time() - KEPT_SECONDS
    with contextlib.suppress(OSError):
        for kept in (folder or default_folder()).iterdir():
            with contextlib.suppress(OSError):
                if kept.stat().st_mtime < before:
                    kept.unlink()
