"""What the documents say is there: links, pictures, commands with their options, and the words of messages."""

import ast
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import cyclopts
import pytest

from deployments.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PICTURES = ROOT / "docs" / "pictures"
OF_PREFECT = (
    "Unknown error while creating flow run", "Select a block", "Scheduled", "Late", "is a required property",
    "missing a required argument", "Unable to connect to Prefect server",
)  # fmt: skip
"""What Prefect says, not we."""
COMPOSED = (
    ("Nothing was sent, because", "the same video", "was sent to"),
    ("ago", "with the caption"),
    ("Nothing was sent, because", "the same video", "is scheduled for"),
    ("Nothing was sent, because", "Taisly would post the video twice"),
    ("It was not", "approved", "before its time"),
    ("Setup would replace", "the API key"),
    ("Taisly", "does not accept the API key"),
    ("Taisly does not accept the key of", "the block"),
    ("Taisly does not tell whether it", "generated a new key"),
    ("Taisly has not", "generated a new key"),
    ("The phones are to comment on the post", ", but none of its accounts is on"),
    (
        "published",
        ", but",
        "the phones cannot start, since",
        "this Prefect server has no deployment engage-when-published",
    ),
)
"""Clauses that the code puts together, by their texts."""


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    """To a file that is there, and to a heading that it has."""
    for link, anchor in re.findall(r"\]\((?!https?://)([^)#\s]*)(?:#([^)]+))?\)", path.read_text("utf-8")):
        target = path.parent / link if link else path

        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), f"{link}#{anchor}"


def _anchors(path: Path) -> set[str]:
    """The headings of a document, as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_document_is_reached_from_the_index() -> None:
    """A newcomer finds it by following links."""
    start = ROOT / "docs" / "index.md"
    seen: set[Path] = set()
    todo = [start]
    while todo:
        path = todo.pop()
        seen.add(path)
        links = re.findall(r"\]\((?!https?://)([^)#\s]+\.md)", path.read_text("utf-8"))
        todo += {(path.parent / link).resolve() for link in links} - seen

    assert set((ROOT / "docs").rglob("*.md")) <= seen
    assert "(docs/index.md)" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("picture", sorted(PICTURES.iterdir()), ids=lambda path: path.name)
def test_every_picture_is_shown_and_can_be_taken_again(picture: Path) -> None:
    """In a document, and by `make pictures`."""
    shown = [link for path in DOCUMENTS for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", path.read_text("utf-8"))]

    assert picture.name in {Path(link).name for link in shown}
    assert f'"{picture.stem}"' in (ROOT / "docs" / "make_pictures.py").read_text("utf-8")


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_command_line_of_a_document_can_be_parsed(path: Path) -> None:
    """Commands and options exist and take such values; a mention within a sentence may be without its arguments."""
    text = path.read_text("utf-8")
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    whole = [line for line in lines if line.startswith("reelflow ") and "OPTIONS" not in line]
    mentioned = re.findall(r"`(reelflow [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S).replace("\n", " "))

    for line in whole:
        _parse(line)
    for line in mentioned:
        with suppress(cyclopts.MissingArgumentError):
            _parse(line)


def _parse(line: str) -> None:
    if line.startswith("reelflow sandbox:"):  # what it prints
        return
    words = shlex.split(line.partition(" # ")[0].partition(" < ")[0])[1:]
    if "COMMAND" in words or set(words) <= {"--help", "--version"}:
        return
    app.parse_args(words, exit_on_error=False, print_error=False)


def test_the_words_in_troubleshooting_are_those_of_the_code() -> None:
    """Each message in a first column, clause by clause: what lies between names and numbers is a text of the code."""
    rows = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8").splitlines()
    cells = [row.split("|")[1] for row in rows if row.startswith("| ")]
    said = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell) if not span.startswith("reelflow ")]
    texts = "\n".join(_texts())

    clauses = [clause.strip(" ,") for span in said for clause in re.split(r"[…'\"().:;\d]", span)]
    composed = {" ".join(parts).replace(" ,", ",") for parts in COMPOSED if all(part in texts for part in parts)}
    missing = [c for c in clauses if c and c not in OF_PREFECT and c not in composed and c not in texts]

    assert len(said) > 50
    assert missing == []


def _texts() -> Iterator[str]:
    """Every string of the code; what is filled in becomes a character that no document has."""
    for layer in ("deployments", "flows", "tasks", "blocks", "reelflow"):
        for file in (ROOT / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
        for file in (ROOT / layer).rglob("*.yaml"):
            yield file.read_text("utf-8")
