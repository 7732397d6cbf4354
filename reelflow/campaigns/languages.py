"""Which European languages a word can be of, by its special letters and what stands beside them.

One byte is a letter in the west and another one in Central Europe: "fête" and "fęte" are the same bytes. A word
that can be of one side only tells them apart.
"""

from __future__ import annotations

import re
from itertools import pairwise

_WESTERN = [
    frozenset(letters)
    for letters in (
        "äöüßé", "àâæçéèêëîïôœùûü", "áéíóúüñºª", "áâãàçéêíóôõúüºª", "àèéìíòóù", "åäöøæéü", "éèëïöüáó",
    )
]  # fmt: skip
"""The special letters of German, French, Spanish, Portuguese, Italian, the Nordic languages and Dutch.

Not those of Icelandic: in its bytes, ð ý þ are the ğ ı ş of Turkish.
"""
_SIGNS = frozenset("€£„“”‚‘’‹›«»–—…•·°§©®™½¼¾×¿¡\u00a0")
"""Those that may stand beside a word."""
_IN_WORDS = frozenset("’–·\u00a0")
"""Those that may stand inside one."""
_OPENING = frozenset("„‚¿¡")
"""Those that follow no letter."""
_ALONE = frozenset("àáâåæèéóôö")
"""The special letters that are words of their own."""
_VOWELS = frozenset("aeiouyáàâãäåæéèêëíîïóôõöøúûüœ")
_FOLLOWED_BY = {"ñ": _VOWELS, "œ": _VOWELS, "õ": frozenset("e"), "ã": frozenset("oes")}
"""What follows a letter inside a word. Where it does not, the byte is another letter: "koñ" is "koń"."""
_LAST = frozenset("ãìòù")
"""Those that end a word, or are followed as `_FOLLOWED_BY` says."""
_PIECE = re.compile(r"[\n\r\t,;.!?]+")

_STRICT = "bcdfghjkmpqstvxzç"
"""Consonants; l, n and r may carry a syllable, or stand before another one."""
_CONSONANTS = _STRICT + "lnrčćďňřšťžľĺŕ"
_CENTRAL = [
    (frozenset(letters), re.compile("|".join(impossible)))
    for letters, impossible in (
        ("ąćęłńóśźż", ("[qvx]", "[ćńśź][aeiouyóąę]", "(?<![b-df-hj-npr-tw-złśźżi])ę", r"(?<=[b-df-hj-np-qs-tw-z])ć\B")),
        ("áčďéěíňóřšťúůýž", ("[qwx]", "(?<![bdfmnptv])ě", r"\bů", "[aeiouyáéíóúý]ů",
                             f"(?<=[{_STRICT}])[čďňř](?=[{_CONSONANTS}])", rf"(?<=[{_STRICT}])[čďň]\b")),
        ("áäčďéíĺľňóôŕšťúýž", ("[qwx]", f"(?<![{_CONSONANTS}])[ŕĺ]", f"[ŕĺ](?![{_CONSONANTS}])",
                               f"(?<=[{_STRICT}])[čďň](?=[{_CONSONANTS}])", rf"(?<=[{_STRICT}])[čďň]\b")),
        ("čćđšž", ("[qwx]", f"(?<=[{_STRICT}])[čć](?=[{_CONSONANTS}])", rf"(?<=[{_STRICT}])[čć]\b")),
        ("áéíóöőúüű", ("[qwx]",)),
        ("ăâîşţ", ("[qwx]", "ă[aeo]")),
    )
]  # fmt: skip
"""The special letters of Polish, Czech, Slovak, Croatian, Hungarian and Romanian; what their words have not."""


def is_western(text: str) -> bool:
    """Whether each piece of a text has the special letters of one western language, and its signs in their places."""
    return all(_is_of_one_language(piece) for piece in _PIECE.split(text))


def has_letters(text: str) -> bool:
    """Whether a text has special letters, and not only signs."""
    return any(char.isalpha() and not char.isascii() for char in text)


def may_be_central(western: str, central: str) -> bool:
    """Whether a text that can be western can as well be of Central Europe.

    Args:
        western: The text in the western encoding.
        central: The same bytes in that of Central Europe.
    """
    either = "".join(w if w.isalpha() else c for w, c in zip(western, central, strict=True))
    words = [slice(*word.span()) for word in re.finditer(r"[^\W\d_]+", either)]
    doubtful = [central[word] for word in words if western[word] != central[word]]
    return bool(doubtful) and all(map(_is_central, doubtful))


def _is_of_one_language(piece: str) -> bool:
    special = {char for char in piece if not char.isascii()} - _SIGNS
    if special and not any(special <= alphabet | {each.upper() for each in alphabet} for alphabet in _WESTERN):
        return False
    for before, char, after in zip(" " + piece, piece, piece[1:] + " ", strict=False):
        if not char.isascii() and not _is_in_place(before, char, after):
            return False
    return True


def _is_in_place(before: str, char: str, after: str) -> bool:
    """Whether a special letter or a sign can stand between two others."""
    if char in _SIGNS:
        if char in _OPENING:
            return not before.isalpha()
        return char in _IN_WORDS or not (before.isalpha() and after.isalpha())
    if char.isupper() and before.islower():
        return False
    starts, ends, letter = not before.isalpha(), not after.isalpha(), char.lower()
    if letter in "ºª":
        return ends and (before.isdigit() or before in ".nN")
    if starts and ends:
        return letter in _ALONE
    if letter == "à":
        return starts or ends
    if letter == "ï":
        return before.lower() in _VOWELS
    if letter in _LAST and ends:
        return True
    return letter not in _LAST.union(_FOLLOWED_BY) or after.lower() in _FOLLOWED_BY.get(letter, ())


def _is_central(word: str) -> bool:
    if len(word) == 1 or any(b.islower() and a.isupper() for b, a in pairwise(word)):
        return False
    word = word.lower()
    special = {char for char in word if not char.isascii()}
    return any(special <= letters and not impossible.search(word) for letters, impossible in _CENTRAL)
