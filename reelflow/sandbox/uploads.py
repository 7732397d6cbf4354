"""Receives a post as a multipart form: the video goes straight to disk, never whole into memory.

python-multipart parses; what becomes of each part is decided here. Its FormParser, which stores files as well, does
not keep two promises (0.0.34): a text field of a multipart form has no limit (`MAX_FIELD_SIZE` is for URL-encoded
forms only), and the file of a form that breaks off is never handed out, so that it stays open, and on the disk,
until the garbage collector comes by.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

FIELD_LIMIT = 64_000
"""Bytes in one text field; a caption has at most 2200 characters."""
_SAFE_EXTENSION = re.compile(r"\.[a-z0-9]{1,8}")


class BadForm(Exception):
    """The request is not a complete multipart form; the message says why."""


class Form:
    """A form as it arrives: its text fields, and where the file of its field ``video`` is; other files are ignored."""

    def __init__(self, folder: Path) -> None:
        self.fields: dict[str, str] = {}
        self.video: Path | None = None
        self.complete = False
        self.keep_video = False
        self._folder = folder
        self._header = self._value = self._disposition = b""
        self._name = ""
        self._text: bytes | None = None
        self._file: BinaryIO | None = None

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's name."""
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's value."""
        self._value += data[start:end]

    def on_header_end(self) -> None:
        """Keep the one header that counts."""
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        """Open a part. The video gets a random name; of the client's own only a plain extension is kept."""
        _, options = parse_options_header(self._disposition)
        self._disposition = b""
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            self._text = b""
        elif self._name == "video" and self.video is None:
            extension = Path(options[b"filename"].decode("utf-8", "replace")).suffix.lower()
            safe = extension if _SAFE_EXTENSION.fullmatch(extension) else ".mp4"
            self.video = self._folder / f"{secrets.token_hex(8)}{safe}"
            self._file = self.video.open("xb")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Write a piece of a part."""
        if self._file is not None:
            self._file.write(data[start:end])
        elif self._text is not None:
            if len(self._text) + end - start > FIELD_LIMIT:
                raise BadForm(f"the field {self._name!r} is longer than {FIELD_LIMIT} bytes")
            self._text += data[start:end]

    def on_part_end(self) -> None:
        """Close a part."""
        if self._file is not None:
            self._file.close()
        elif self._text is not None:
            self.fields[self._name] = self._text.decode("utf-8", "replace")
        self._file = self._text = None

    def on_end(self) -> None:
        """Note that the closing boundary has arrived: only now is it a form."""
        self.complete = True

    def close(self) -> None:
        """Close the file, and delete it unless it is to be kept."""
        if self._file is not None:
            self._file.close()
        if self.video is not None and not self.keep_video:
            self.video.unlink(missing_ok=True)


@asynccontextmanager
async def receive_form(request: Request, folder: Path) -> AsyncIterator[Form]:
    """Receive a form, its video into `folder`, where it stays only if `keep_video` is set inside the block.

    Raises:
        BadForm: It is not a multipart form, or it breaks off.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise BadForm("the content type is not multipart/form-data")
    form = Form(folder)
    callbacks: Any = {name: getattr(form, name) for name in vars(Form) if name.startswith("on_")}
    try:
        parser = MultipartParser(options[b"boundary"], callbacks)
        async for chunk in request.stream():
            parser.write(chunk)
        if not form.complete:
            raise BadForm("the closing boundary is missing")
    except FormParserError as error:
        raise BadForm(str(error)) from None
    except ClientDisconnect:
        raise BadForm("the client disconnected") from None
    else:
        yield form
    finally:
        form.close()
