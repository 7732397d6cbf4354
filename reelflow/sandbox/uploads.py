"""Takes a multipart form as it comes in: the file straight to disk, never whole in memory."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, create_form_parser
from starlette.requests import Request

FIELD_LIMIT = 64_000
"""Bytes of one text field; a caption has 2200 characters."""


class BadForm(Exception):
    """The request is no multipart form that can be read."""


@dataclass
class Form:
    """What came in: the text fields, and where the file of the field ``video`` was put."""

    fields: dict[str, str] = field(default_factory=dict)
    video: Path | None = None
    sha256: str = ""

    def discard(self) -> None:
        """Delete the file."""
        if self.video is not None:
            self.video.unlink(missing_ok=True)


async def receive_form(request: Request, folder: Path) -> Form:
    """Read the form, its file into `folder`.

    Raises:
        BadForm: it is not one, or breaks off. Nothing is left in `folder` then, nor when the client goes away.
    """
    form = Form()
    files: list[File] = []

    def on_field(found: Field) -> None:
        form.fields[(found.field_name or b"").decode()] = (found.value or b"").decode("utf-8", "replace")

    parser_options = {
        "UPLOAD_DIR": str(folder),
        "UPLOAD_DELETE_TMP": False,
        "UPLOAD_KEEP_EXTENSIONS": True,
        "MAX_MEMORY_FILE_SIZE": 0,
        "MAX_FIELD_SIZE": FIELD_LIMIT,
    }
    whole = False
    try:
        headers = {"Content-Type": request.headers.get("content-type", "").encode("latin-1")}
        parser = create_form_parser(headers, on_field, files.append, parser_options)
        async for chunk in request.stream():
            parser.write(chunk)
        parser.finalize()
        parser.close()
        whole = True
    except (FormParserError, ValueError, KeyError) as error:
        raise BadForm(str(error)) from None
    finally:
        for file in files:
            file.close()
            name = file.actual_file_name
            if name is None:
                continue
            if whole and file.field_name == b"video" and form.video is None:
                form.video = Path(os.fsdecode(name))
            else:
                Path(os.fsdecode(name)).unlink(missing_ok=True)
    return form


def sha256_of(path: Path) -> str:
    """The sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
