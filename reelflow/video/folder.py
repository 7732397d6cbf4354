"""The videos in a folder, as the run form offers them."""

from __future__ import annotations

import os
from pathlib import Path

from reelflow.video.rules import Limits

MOST = 200
"""Videos; somebody who has more names them by hand."""
DEEPEST = 3
"""Folders below the one that was named: enough for a year's weeks, too few for a whole disk."""


def video_files(folder: Path) -> list[str]:
    """The videos in `folder`, the newest first, by their names relative to it; with "/" on every system.

    Hidden files and folders are skipped. What cannot be read counts as not there.
    """
    found: list[tuple[float, str]] = []
    for place, folders, files in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = [] if depth >= DEEPEST else [name for name in folders if not name.startswith((".", "@"))]
        for name in files:
            path = Path(place) / name
            if not name.startswith(".") and path.suffix.lower() in Limits().endings:
                found.append((_modified(path), path.relative_to(folder).as_posix()))
    return [name for _, name in sorted(found, key=lambda each: (-each[0], each[1]))[:MOST]]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
