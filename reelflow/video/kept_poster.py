"""Small posters, kept on disk: a page that is made every hour shows the same videos again and again."""

from __future__ import annotations

import contextlib
import hashlib
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


def kept_poster(path: Path, *, changed_before: float, folder: Path | None = None) -> bytes | None:
    """A small JPEG of a video; None if the file is not here, is another one by now, or shows nothing.

    Decoding one takes 10 to 90 ms (1080x1920, H.264), reading a kept one 0.1 ms.

    Args:
        path: The video's.
        changed_before: Unix seconds: a file that was changed later is another video under the same name.
        folder: Where posters are kept; None for the user's cache folder.
    """
    try:
        facts = path.stat()
        if facts.st_mtime > changed_before:
            return None
        key = f"{path.absolute()}\0{facts.st_size}\0{facts.st_mtime_ns}\0{HEIGHT}\0{QUALITY}"
    except (OSError, ValueError):  # ValueError: a path of another system, or with a NUL
        return None
    kept = (folder or default_folder()) / f"{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.jpg"
    with contextlib.suppress(OSError):
        jpeg = kept.read_bytes()
        os.utime(kept)
        return jpeg
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
