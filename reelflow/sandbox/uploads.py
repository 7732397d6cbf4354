"""Takes a multipart form as it comes in: the file straight to disk, never whole in memory."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

FIELD_LIMIT = 64_000
"""Bytes of one text field; a caption has 2200 characters."""


class BadForm(Exception):
    """The request is no multipart form that can be read, or it broke off."""


class Form:
    """What came in: the text fields, and where the file of the field ``video`` was put.

    Args:
        folder: Where to put the file.
    """

    def __init__(self, folder: Path) -> None:
        self.fields: dict[str, str] = {}
        self.video: Path | None = None
        self.complete = False
        self._folder = folder
        self._header = ""
        self._headers: dict[str, bytes] = {}
        self._name = ""
        self._text = b""
        self._file: BinaryIO | None = None

    def close(self) -> None:
        """Close the file, and delete it unless the form is complete."""
        if self._file is not None:
            self._file.close()
        if not self.complete:
            self.discard()

    def discard(self) -> None:
        """Delete the file."""
        if self.video is not None:
            self.video.unlink(missing_ok=True)

    # What the parser calls

    def on_part_begin(self) -> None:
        """A part begins."""
        self._headers, self._text = {}, b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's name."""
        self._header += data[start:end].decode("latin-1").lower()

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's value."""
        self._headers[self._header] = self._headers.get(self._header, b"") + data[start:end]

    def on_header_end(self) -> None:
        """A header is complete."""
        self._header = ""

    def on_headers_finished(self) -> None:
        """The headers of a part are complete: its name is known, and whether it is a file."""
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options and self._name == "video" and self.video is None:
            ending = Path(options[b"filename"].decode("utf-8", "replace")).suffix.lower()
            self.video = self._folder / f"{secrets.token_hex(8)}{ending or '.mp4'}"
            self._file = self.video.open("wb")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """A piece of a part's content."""
        if self._file is not None:
            self._file.write(data[start:end])
        elif len(self._text) + end - start <= FIELD_LIMIT:
            self._text += data[start:end]
        else:
            raise BadForm(f"the field {self._name!r} is too long")

    def on_part_end(self) -> None:
        """A part is complete."""
        if self._file is not None:
            self._file.close()
            self._file = None
        else:
            self.fields[self._name] = self._text.decode("utf-8", "replace")

    def on_end(self) -> None:
        """The closing boundary has come: only now is it a form."""
        self.complete = True


_CALLBACKS = (
    "part_begin",
    "header_field",
    "header_value",
    "header_end",
    "headers_finished",
    "part_data",
    "part_end",
    "end",
)


async def receive_form(request: Request, folder: Path) -> Form:
    """Read the form, its file into `folder`.

    Raises:
        BadForm: it is not one, or breaks off. Nothing is left in `folder` then, nor when the client goes away.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise BadForm("it is not multipart/form-data")
    form = Form(folder)
    callbacks: Any = {f"on_{name}": getattr(form, f"on_{name}") for name in _CALLBACKS}
    parser = MultipartParser(options[b"boundary"], callbacks)
    try:
        async for chunk in request.stream():
            parser.write(chunk)
    except (FormParserError, ValueError) as error:
        form.complete = False
        raise BadForm(str(error)) from None
    except ClientDisconnect:
        form.complete = False
        raise BadForm("the client went away") from None
    finally:
        form.close()
    if not form.complete:
        raise BadForm("its closing boundary is missing")
    return form


def sha256_of(path: Path) -> str:
    """The sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
