"""The videos and the plans in a folder, as the run form offers them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from reelflow.video.rules import Limits

MOST = 200
"""Videos; somebody who has more names them by hand."""
DEEPEST = 3
"""Folders below the one that was named: enough for a year's weeks, too few for a whole disk."""


PLANS = (".csv", ".tsv", ".json", ".yaml", ".yml")
"""Endings of files that may be a campaign's plan."""
RESULTS = ".results.csv"
"""What a campaign writes, which is no plan."""


def video_files(folder: Path) -> list[str]:
    """The videos in `folder`, the newest first, by their names relative to it; with "/" on every system.

    Hidden files and folders are skipped. What cannot be read counts as not there.
    """
    return _newest_first(folder, [path for path in _files(folder) if path.suffix.lower() in Limits().endings])


def plan_sources(folder: Path) -> list[str]:
    """What a campaign can be made from: the folders with videos in `folder`, and the files that may be plans.

    Named as `video_files` does; `folder` itself by its whole path.
    """
    files = list(_files(folder))
    folders = {path.parent for path in files if path.suffix.lower() in Limits().endings}
    plans = [path for path in files if path.suffix.lower() in PLANS and not path.name.endswith(RESULTS)]
    return _newest_first(folder, [*folders, *plans])


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = [] if depth >= DEEPEST else [name for name in folders if not name.startswith((".", "@"))]
        yield from (Path(place) / name for name in files if not name.startswith("."))


def _newest_first(folder: Path, paths: Iterable[Path]) -> list[str]:
    named = [(_modified(p), str(p) if p == folder else p.relative_to(folder).as_posix()) for p in paths]
    return [name for _, name in sorted(named, key=lambda each: (-each[0], each[1]))[:MOST]]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
