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
MOST_BYTES = 200
"""File systems take names of 255 bytes, and other programs add to them."""
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
    told = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    names = [told_name(answer), *(url.path for url in urls)]
    return file_name_for(names, _TYPES.get(told, ""))


def told_name(answer: httpx.Response) -> str:
    """The name of the file that the server tells; empty for none, and for one that cannot be read."""
    disposition = Message()
    disposition["Content-Disposition"] = answer.headers.get("Content-Disposition", "")
    try:
        return disposition.get_filename("") or ""
    except (TypeError, ValueError, LookupError):  # of parts that do not fit together, or an odd charset
        return ""


def file_name_for(names: Iterable[str], ending: str = "") -> str:
    """The first of the names that has the ending of a video; else the first one, with the ending added."""
    cleaned = [name for each in names if (name := _cleaned(each))]
    endings = tuple(Limits().endings)
    found = next((name for name in cleaned if name.lower().endswith(endings)), "")
    if not found:
        found = (cleaned[0] if cleaned else "video") + ending
    stem, dot, last = found.rpartition(".")
    if not dot or len(last.encode()) >= LONGEST:
        return _cut(found, LONGEST, MOST_BYTES)
    return _cut(stem, LONGEST - len(last) - 1, MOST_BYTES - len(last.encode()) - 1) + dot + last


def _cut(name: str, most: int, most_bytes: int) -> str:
    return name[:most].encode()[:most_bytes].decode(errors="ignore")


def _cleaned(name: str) -> str:
    """The last part of a path of any system, as a file may be called on any."""
    last = one_line(name.replace("\\", "/").rstrip("/").rpartition("/")[2], 1000)
    last = _NOT_IN_NAMES.sub("_", last).lstrip(". ").rstrip(". ")
    return f"_{last}" if _DEVICES.fullmatch(last) else last
