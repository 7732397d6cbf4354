"""The shell blocks and files of a document, in their order, to be executed and written as they stand."""

import re
from collections.abc import Mapping
from configparser import ConfigParser
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^```(sh|ini)\n(.*?)^```$", re.M | re.S)


class Shell(NamedTuple):
    """Lines for a shell."""

    lines: list[str]


class File(NamedTuple):
    """A file, or lines of one: its first line has its name."""

    name: str
    text: str


def section_of(path: Path, title: str) -> str:
    """The text below a heading, up to the next of its kind."""
    level = title.split()[0]
    _, found, rest = path.read_text("utf-8").partition(f"{title}\n")
    assert found, f"{path} has no heading {title!r}"
    return rest.partition(f"\n{level} ")[0]


def blocks_of(section: str, substitutes: Mapping[str, str]) -> list[Shell | File]:
    """The blocks `sh` and `ini`, with each word of `substitutes` replaced; each of them has to be there.

    What is put in is not searched again: one port may have the digits of another in it.
    """
    for word in substitutes:
        assert word in section, f"the document does not have {word!r} any more"
    found: list[Shell | File] = []
    words = re.compile("|".join(map(re.escape, substitutes)))
    for kind, original in FENCE.findall(section):
        text = words.sub(lambda match: substitutes[match[0]], original)
        if kind == "sh":
            found.append(Shell(text.strip().splitlines()))
        else:
            first, _, rest = text.partition("\n")
            found.append(File(first.removeprefix("# "), rest))
    return found


def settings_of(text: str) -> dict[str, str]:
    """The variables of an environment file."""
    return dict(line.split("=", 1) for line in text.splitlines() if line.strip())


def unit_of(text: str) -> dict[str, str]:
    """The section [Service] of a systemd unit."""
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    return dict(unit["Service"])
