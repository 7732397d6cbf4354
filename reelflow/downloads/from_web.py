"""Download a video from the web, once: a copy that its server still has is not loaded again."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from reelflow.addresses import name_of
from reelflow.answers import Deadline
from reelflow.downloads.folder import Downloads
from reelflow.downloads.kept import Kept, Place, get_kept
from reelflow.downloads.names import name_on_web
from reelflow.downloads.reach import Reach
from reelflow.downloads.source import LocalVideo
from reelflow.downloads.web import follow
from reelflow.errors import Busy, InputError, LinkEnded, NothingSent, OutcomeUnknown
from reelflow.transport import REQUEST_TIMEOUT, reason_of, retry_after
from reelflow.video.rules import Limits
from reelflow.wording import duration

log = logging.getLogger(__name__)

LOAD_SECONDS = 1800.0
"""For one download in all: 500 MB at 2.2 Mbit/s, which the slowest connection of an office has."""
PIECE = 256 * 1024
"""Bytes that are written at once."""
INSTEAD = "Download the video yourself, and give the path of its file."

_ENDED = (401, 403)
_GONE = (404, 410)
_AWAY = (408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530)
"""Statuses of a server, or of what stands before it, that may be another one in a moment."""
_PAGES = ("text/html", "application/xhtml+xml")
_BLANKS = b"\xef\xbb\xbf \t\r\n"
_BEGINNINGS_OF_PAGES = (b"<!doctype html", b"<html")


class _Asked(NamedTuple):
    """An answer that is not read yet, the addresses at both ends of the redirects, and the time for all of it."""

    response: httpx.Response
    first: httpx.URL
    last: httpx.URL
    deadline: Deadline


@dataclass(frozen=True)
class WebVideos:
    """Downloads videos.

    Attributes:
        downloads: Where they are kept.
        reach: Which addresses may be reached.
        seconds: For one download in all.
        most_bytes: More are not loaded.
    """

    downloads: Downloads
    reach: Reach = field(default_factory=Reach)
    seconds: float = LOAD_SECONDS
    most_bytes: int = Limits().max_bytes

    def get(self, address: str) -> LocalVideo:
        """The video at an address as a file of this machine.

        Raises:
            InputError: there is no video, it is too large or too slow, or it may not be loaded from there.
            NothingSent, OutcomeUnknown: its server is away, or the connection was lost: it may be tried again.
        """
        name = name_of(address)
        return get_kept(
            self.downloads,
            address.partition("#")[0],
            name,
            lambda place: self._load(address, name, place),
            patience=self.seconds,
        )

    def _load(self, address: str, name: str, place: Place) -> tuple[Kept, bool]:
        """The copy of what is there now, and whether it had to be loaded."""
        before = place.newest()
        with self._answer(address, name, before) as asked:
            answer = asked.response
            etag, last_modified = (answer.headers.get(key, "").strip() for key in ("ETag", "Last-Modified"))
            size = _size_of(answer)
            is_same = answer.status_code == 200 and before is not None and before.is_of(etag, last_modified, size)
            if before is not None and (is_same or answer.status_code == 304):
                return place.note(before.model_copy(update={"confirmed_at": time.time()})), False
            _check_answer(answer, name)
            with place.part(size, self.most_bytes) as part:
                log.info("Downloading %s%s.", name, f" ({size / 1e6:.1f} MB)" if size else "")
                for number, piece in enumerate(answer.iter_raw(PIECE)):
                    if number == 0 and piece.lstrip(_BLANKS)[:20].lower().startswith(_BEGINNINGS_OF_PAGES):
                        raise _no_video(name)
                    part.write(piece)
                    if asked.deadline.is_over:
                        break
                if asked.deadline.is_over:  # also cut, where the end of the connection is the end of the answer
                    raise _too_slow(name, self.seconds)
                if not part.size:
                    raise InputError(f"{name} is empty: its server sent nothing. Check the address.")
                file_name = name_on_web(answer, asked.last, asked.first)
                return part.keep(file_name, etag=etag, last_modified=last_modified), True

    @contextlib.contextmanager
    def _answer(self, address: str, name: str, before: Kept | None) -> Iterator[_Asked]:
        """The answer at the end of the redirects, not read yet. What goes wrong until it is closed becomes ours."""
        headers = {"User-Agent": "reelflow", "Accept": "*/*", "Accept-Encoding": "identity"}
        if before is not None:
            marks = {"If-None-Match": before.etag, "If-Modified-Since": before.last_modified}
            headers |= {key: mark for key, mark in marks.items() if mark}
        with contextlib.ExitStack() as opened, Deadline(self.seconds) as deadline:

            def trace(event: str, info: dict[str, Any]) -> None:
                if "request_body" not in event:  # there is none, and the time is for all the redirects together
                    deadline.trace(event, info)

            def get(url: httpx.URL) -> httpx.Response:
                client = opened.enter_context(self.reach.client(url, name, REQUEST_TIMEOUT))
                request = client.build_request("GET", url, headers=headers, extensions={"trace": trace})
                answer = client.send(request, stream=True)
                opened.callback(answer.close)
                return answer

            try:
                yield _Asked(*follow(address, name, get, instead=INSTEAD), deadline)
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, UnicodeError) as error:
                if deadline.is_over:
                    raise _too_slow(name, self.seconds) from None
                raise _from_httpx(error, name) from None


def _check_answer(answer: httpx.Response, name: str) -> None:
    status = answer.status_code
    if status in (*_ENDED, *_GONE):
        kind = LinkEnded if status in _ENDED else InputError
        raise kind(
            f"{name} could not be downloaded: its server answered {status}. Check the address: everybody who has it "
            "must be able to open it, and many links end after some hours."
        )
    if status == 429:
        wait = retry_after(httpx.Response(status, headers=answer.headers))
        raise Busy(f"{name} could not be downloaded: its server is getting too many requests (429).", retry_after=wait)
    if status in _AWAY:
        raise OutcomeUnknown(f"{name} could not be downloaded: its server answered {status}.")
    if status != 200:
        raise InputError(f"{name} could not be downloaded: its server answered {status}. {INSTEAD}")
    if answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() in _PAGES:
        raise _no_video(name)
    if (packed := answer.headers.get("Content-Encoding", "identity").strip().lower()) != "identity":
        raise InputError(f"{name} could not be downloaded: its server sends it compressed ({packed[:20]}). {INSTEAD}")


def _no_video(name: str) -> InputError:
    return InputError(f"{name} is a web page, not a video. Give the address from which the file itself is downloaded.")


def _too_slow(name: str, seconds: float) -> InputError:
    return InputError(f"The download of {name} took longer than {duration(seconds)} and was stopped. {INSTEAD}")


def _from_httpx(error: Exception, name: str) -> InputError | NothingSent | OutcomeUnknown:
    reason = reason_of(error)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | UnicodeError):
        return InputError(f"{name} could not be downloaded ({reason}). Check the address.")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return NothingSent(f"{name} could not be downloaded: its server cannot be reached ({reason}).")
    return OutcomeUnknown(f"The download of {name} was interrupted ({reason}).")


def _size_of(answer: httpx.Response) -> int | None:
    told = answer.headers.get("Content-Length", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 20 else None
