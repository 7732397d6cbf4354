"""Under which name a download is kept: the one that people know it by, so that reports and the ledger show that."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.message import Message

import httpx

from reelflow.video.rules import Limits
from reelflow.wording import one_line

LONGEST = 100
"""Characters: with the folder before it, a path that Windows takes, too."""
_TYPES = {
    "video/mp4": ".mp4", "video/x-m4v": ".mp4", "video/quicktime": ".mov", "video/webm": ".webm", "video/mpeg": ".mpg",
    "video/x-matroska": ".mkv", "video/x-msvideo": ".avi", "video/x-flv": ".flv",
}  # fmt: skip
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
"""What Windows has in no name."""
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that are no files on Windows."""


def name_on_web(answer: httpx.Response, *urls: httpx.URL) -> str:
    """The name that the server tells, or the end of one of the addresses; the one with the ending of a video first."""
    disposition = Message()
    disposition["Content-Disposition"] = answer.headers.get("Content-Disposition", "")
    told = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    names = [disposition.get_filename("") or "", *(url.path for url in urls)]
    return file_name_for(names, _TYPES.get(told, ""))


def file_name_for(names: Iterable[str], ending: str = "") -> str:
    """The first of the names that has the ending of a video; else the first one, with the ending added."""
    cleaned = [name for each in names if (name := _cleaned(each))]
    endings = tuple(Limits().endings)
    found = next((name for name in cleaned if name.lower().endswith(endings)), "")
    if not found:
        found = (cleaned[0] if cleaned else "video") + ending
    stem, dot, last = found.rpartition(".")
    return f"{stem[: LONGEST - len(last) - 1]}{dot}{last}" if dot and len(last) < LONGEST else found[:LONGEST]


def _cleaned(name: str) -> str:
    """The last part of a path of any system, as a file may be called on any."""
    last = one_line(name.replace("\\", "/").rstrip("/").rpartition("/")[2], 1000)
    last = _NOT_IN_NAMES.sub("_", last).lstrip(". ").rstrip(". ")
    return f"_{last}" if _DEVICES.fullmatch(last) else last
