"""A client for Taisly's API: one method per endpoint, each of which sends one request once."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import httpx
from pydantic import BaseModel

from reelflow.addresses import check_url
from reelflow.counted_body import CountedBody
from reelflow.errors import InputError, UnreadableAnswer
from reelflow.taisly.answers import SERVICE, accepted_post, body_of
from reelflow.taisly.wire import AcceptedPost, ConnectedAccount, HistoryItem, KeyInfo, RepostRule
from reelflow.transport import UPLOAD_TIMEOUT, ServiceClient, exchange, open_client, redact
from reelflow.wire_types import parse
from reelflow.wording import count, one_line

log = logging.getLogger(__name__)

BASE_URL = "https://app.taisly.com/api/private"

MIME_TYPES = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".flv": "video/x-flv",
    ".mpeg": "video/mpeg",
    ".mpg": "video/mpeg",
}
"""The file endings that the official SDK accepts, with the MIME type it sends for each."""

M = TypeVar("M", bound=BaseModel)
FileStamp = tuple[int, int]
"""(size in bytes, modification time in ns): what a file was when it was checked."""


class TaislyClient(ServiceClient):
    """Taisly's API with one key.

    Args:
        api_key: ``taisly_…``. Never part of an error, a log line or a repr.
        base_url: https, or an address on this machine (the sandbox).
        transport: For tests: an ``httpx.BaseTransport`` to use in place of the network.
        clock: For tests: Unix seconds.

    Every method raises the errors of `reelflow.errors`: `NothingSent` and `Busy` (safe to repeat),
    `OutcomeUnknown`, `Refused` and `NotAllowed` (repeating does not help).
    """

    def __init__(
        self,
        api_key: str,
        base_url: str = BASE_URL,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = _checked_key(api_key)
        self._transport = transport
        url = check_url(base_url, service=SERVICE)
        http = open_client(url, headers={"Authorization": f"Bearer {self._key}"}, transport=transport)
        super().__init__(url, http, clock)

    # The key itself

    def with_key(self, api_key: str) -> TaislyClient:
        """Another client of the same Taisly with another key; to be closed by itself."""
        return TaislyClient(api_key, self._base_url, transport=self._transport, clock=self._clock)

    def use_key(self, api_key: str) -> None:
        """Use another key for every request that is made from now on, in every thread."""
        self._key = _checked_key(api_key)
        self._http.headers["Authorization"] = f"Bearer {self._key}"

    def key_info(self) -> dict[str, Any]:
        """GET ``/user/api-key``: what Taisly says about this key. The fields are not documented."""
        return self._json("GET", "/user/api-key")

    def key_facts(self) -> KeyInfo:
        """The same, as far as its fields are known; without any of the key, wherever the answer quotes it."""
        body = self.key_info()
        inner = body["data"] if isinstance(body.get("data"), dict) else body
        known = {name: redact(value, self._key) if isinstance(value, str) else value for name, value in inner.items()}
        return self._parse(known, KeyInfo)

    def generate_key(self) -> str:
        """POST ``/user/api-key/generate``: a new key, shown this once. The key in use dies at once.

        Raises:
            UnreadableAnswer: the answer does not show the new key; the key in use no longer works all the same.
        """
        body = self._json("POST", "/user/api-key/generate")
        inner = body.get("data")
        places = [body, inner if isinstance(inner, dict) else {}]
        for place in places:
            for name in ("apiKey", "key"):
                with contextlib.suppress(InputError):  # one that is masked is none
                    if isinstance(key := place.get(name), str):
                        return _checked_key(key)
        raise UnreadableAnswer(
            "Taisly generated a new key but did not show it where expected; the old key no longer works. "
            "Generate another one in Taisly's settings.",
            service=SERVICE,
        )

    def revoke_key(self) -> None:
        """POST ``/user/api-key/revoke``: every later call with this key fails."""
        self._json("POST", "/user/api-key/revoke")

    # Accounts and posts

    def platforms(self) -> list[ConnectedAccount]:
        """GET ``/platform/platforms``: the connected accounts."""
        return self._items("GET", "/platform/platforms", ConnectedAccount)

    def create_post(
        self,
        video: Path,
        account_ids: Sequence[str],
        description: str = "",
        *,
        preview_seconds: float = 0,
        scheduled: datetime | None = None,
        progress: Callable[[int, int], None] | None = None,
        expect: FileStamp | None = None,
        before_last: Callable[[], None] = lambda: None,
    ) -> AcceptedPost:
        """POST ``/post``: send a video to accounts. The answer means accepted, not published.

        The file is streamed from disk. `OutcomeUnknown` means that the post may have been
        published: check the history before sending again.

        Args:
            video: The file.
            account_ids: Ids from `platforms`.
            description: The caption.
            preview_seconds: The moment of the video that is shown as its preview.
            scheduled: When to publish, with a time zone; None for now.
            progress: Called with (bytes taken, bytes in all) as the upload goes.
            expect: What the file was when it was checked. If it is something else by the time its last byte
                has been read, the request is left incomplete and InputError raised: nothing is posted.
            before_last: Called when all but the last piece has left. What it raises leaves the request incomplete.

        Raises:
            InputError: the file cannot be read or has changed, or `scheduled` has no time zone. Nothing was posted.
        """
        fields = {
            "platforms": json.dumps(list(account_ids)),
            "description": description,
            "previewTime": f"{preview_seconds:g}",
        }
        if scheduled is not None:
            if scheduled.tzinfo is None:
                raise InputError("The scheduled time needs a time zone.")
            fields["scheduled"] = str(round(scheduled.timestamp() * 1000))
        with _open_video(video) as file:
            request = self._request(
                "POST",
                "/post",
                data=fields,
                files={"video": (one_line(video.name), file, MIME_TYPES.get(video.suffix.lower(), "video/mp4"))},
                timeout=UPLOAD_TIMEOUT,
            )
            request.stream = _counted(request, video.name, file, progress, expect, before_last)
            response = exchange(self._http, request, service=SERVICE)
        return accepted_post(response, key=self._key)

    def history_page(self, page: int = 1) -> list[HistoryItem]:
        """GET ``/post/history?page=``: ten posts a page, newest first."""
        return self._history(page=page)

    def history_between(self, start: datetime, end: datetime) -> list[HistoryItem]:
        """GET ``/post/history?startTime=&endTime=``: every post of that time, unpaged.

        The unit is not documented; Unix milliseconds are assumed, as in POST ``/post``.
        """
        return self._history(startTime=round(start.timestamp() * 1000), endTime=round(end.timestamp() * 1000))

    def _history(self, **params: int) -> list[HistoryItem]:
        items = self._items("GET", "/post/history", HistoryItem, params=params)
        if odd := sum(not item.id for item in items):
            log.warning("Taisly's history has %s without an ID; skipped.", count(odd, "entry", "entries"))
        return items

    def cancel_scheduled(self, history_id: str) -> None:
        """GET ``/post/cancelSchedule?id=``: delete a scheduled post for good. Yes, it is a GET."""
        self._json("GET", "/post/cancelSchedule", params={"id": history_id})

    # Repost rules

    def reposts(self) -> list[RepostRule]:
        """GET ``/reposts``: the rules."""
        return self._items("GET", "/reposts", RepostRule)

    def add_repost(self, source: str, targets: Sequence[str]) -> None:
        """POST ``/repost/add``. A rule that would close a circle is refused (400)."""
        self._json("POST", "/repost/add", json={"from": source, "to": list(targets)})

    def delete_repost(self, rule_id: str) -> None:
        """POST ``/repost/delete``."""
        self._json("POST", "/repost/delete", json={"id": rule_id})

    def pause_repost(self, rule_id: str, *, paused: bool) -> None:
        """POST ``/repost/pause``: pause a rule or let it run again."""
        self._json("POST", "/repost/pause", json={"id": rule_id, "isPaused": paused})

    # How an answer is read

    @staticmethod
    def _parse(value: Any, model: type[M]) -> M:
        return parse(value, model, service=SERVICE)

    def _json(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        request = self._request(method, path, **kwargs)
        return body_of(exchange(self._http, request, service=SERVICE), key=self._key)

    def _items(self, method: str, path: str, model: type[M], **kwargs: Any) -> list[M]:
        body = self._json(method, path, **kwargs)
        data = body.get("data")
        if not isinstance(data, list):  # also none at all: an empty list must not be taken for granted
            raise UnreadableAnswer(f"Taisly sent no list of {path.rpartition('/')[2]}.", service=SERVICE)
        return [self._parse(item, model) for item in data]


def _checked_key(api_key: str) -> str:
    key = api_key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(
            "The Taisly API key is empty or contains invalid characters. Copy it again from Taisly's settings.",
            service=SERVICE,
        )
    return key


def _counted(
    request: httpx.Request,
    name: str,
    file: BinaryIO,
    progress: Callable[[int, int], None] | None,
    expect: FileStamp | None,
    before_last: Callable[[], None],
) -> CountedBody:
    """The body of an upload: it counts what leaves, and holds back the last piece if the file has changed."""
    boundary = request.headers["Content-Type"].partition("boundary=")[2]
    len_last = len(f"--{boundary}--\r\n")

    def unchanged() -> None:
        now = os.fstat(file.fileno())
        whole = body.taken + len_last == body.total
        if not whole or (expect is not None and (now.st_size, now.st_mtime_ns) != expect):
            raise InputError(
                f"{name} changed while it was being uploaded; nothing was posted. "
                "Start again once the file is complete."
            )
        before_last()

    body = CountedBody(
        request.stream,  # type: ignore[arg-type] # a multipart body of httpx is a SyncByteStream
        int(request.headers["Content-Length"]),
        progress,
        unchanged,
    )
    return body


@contextlib.contextmanager
def _open_video(video: Path) -> Iterator[BinaryIO]:
    try:
        file = video.open("rb")
    except OSError as error:
        raise InputError(f"{video} cannot be read: {error.strerror}.") from None
    with file:
        yield file
