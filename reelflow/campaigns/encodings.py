"""The text of a file that does not say in which encoding it was written.

Unicode is certain: a byte-order mark says so, or every byte fits UTF-8. What Excel writes as "CSV" is in the encoding
of its system instead, and nothing in the file names it. Wrong letters would be published, so what can be told is read,
and the rest is refused.
"""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from reelflow.campaigns.languages import has_letters, is_western, may_be_central
from reelflow.errors import InputError

SAMPLE = 64_000
"""Bytes of the lines with special letters by which the encoding is told; more of them say nothing new."""
CONTROL_SHARE = 0.01
"""Of control characters in a text. One may come along with a copied caption; a file that has more is no text."""

_SAVE_IT = "Save it as text in UTF-8 (in Excel: Save as, 'CSV UTF-8')."
_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WINDOWS = "cp1252"
"""What Excel writes west of Poland on Windows."""
_CENTRAL = "cp1250"
"""What it writes in Poland and its neighbours to the south."""
_RARE = ("mac_roman", "cp850")
"""What it writes there on a Mac, and as "CSV (MS-DOS)"."""
_OTHERS = [_CENTRAL, "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp932", "gb18030", "big5", "cp949"]
"""What it writes elsewhere. charset-normalizer tells these apart; it takes "Über" for Chinese and "Déjà" for Polish."""
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1f\x7f]")


def decode(data: bytes, name: str) -> str:
    """The text of a file, without its byte-order mark.

    Args:
        data: The file.
        name: What it is called in the sentence that refuses it.

    Raises:
        InputError: it is no text, or its encoding cannot be told.
    """
    text = _decoded(data, name)
    if "\0" in text or len(_CONTROL.findall(text)) > CONTROL_SHARE * len(text):
        raise InputError(f"{name} is not a text file. {_SAVE_IT}")
    return text


def _decoded(data: bytes, name: str) -> str:
    marked = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "")
    try:
        return data.decode(marked or "utf-8")
    except UnicodeDecodeError:
        if marked or b"\0" in data:
            raise InputError(f"{name} is damaged or not a text file. {_SAVE_IT}") from None
    encoding = _told(data)
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        raise InputError(
            f"The encoding of {name} cannot be told, so its special letters would come out wrong. " + _SAVE_IT
        ) from None


def _told(data: bytes) -> str:
    """The encoding of a text that is not UTF-8; "" if it cannot be told."""
    special = b"\n".join(line for line in data.splitlines() if not line.isascii())[:SAMPLE]
    read = {encoding: special.decode(encoding, "replace") for encoding in (_WINDOWS, *_RARE, _CENTRAL)}
    western = [_WINDOWS] if is_western(read[_WINDOWS]) else []
    western = western or [each for each in _RARE if has_letters(read[each]) and is_western(read[each])]
    if western:
        is_told = len(western) == 1 and not may_be_central(read[western[0]], read[_CENTRAL])
        return western[0] if is_told else ""
    matches = list(from_bytes(special, cp_isolation=_OTHERS))
    if not matches:
        return ""
    first, *others = sorted(matches, key=lambda match: (match.chaos, -match.coherence))
    equals = [each for each in others if (each.chaos, each.coherence) == (first.chaos, first.coherence)]
    return "" if any(str(each) != str(first) for each in equals) else first.encoding
