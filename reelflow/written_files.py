"""The files that people get: whole or not at all, and without formulas."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from reelflow.errors import InputError
from reelflow.wording import one_line

_FORMULA = re.compile(r"\s*'*[=+\-@＝＋－＠]|'*[\t\r\n]")
_ESCAPED = re.compile(r"'(?:\s*'*[=+\-@＝＋－＠]|'*[\t\r\n])")


def neutral_cell(text: str) -> str:
    """A cell for a CSV that a spreadsheet may open: what it would take for a formula gets an apostrophe before it."""
    return f"'{text}" if _FORMULA.match(text) else text


def plain_cell(text: str) -> str:
    """The text of which `neutral_cell` made a cell."""
    return text[1:] if _ESCAPED.match(text) else text


def replace_file(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a file in one move: who opens it meanwhile has the last one whole. Returns its whole path.

    Raises:
        InputError: it cannot be written there.
    """
    try:
        path = path.expanduser()
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            part.write_text(text, encoding, "replace", newline="")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: no home folder; ValueError: a NUL in the name
        reason = one_line(getattr(error, "strerror", None) or type(error).__name__)
        raise InputError(
            f"{one_line(str(path))!r} cannot be written ({reason}). Its folder must exist, and no other program may "
            "have it open."
        ) from None
    return path.absolute()
