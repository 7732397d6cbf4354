"""Rules of the house that no library knows, each with a sentence that says what to do: part of ``make lint``.

The directions of imports are import-linter's (pyproject.toml).
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
LAYERS = ("deployments", "flows", "tasks", "blocks", "reelflow")
LOADED_AS_SCRIPTS = ("flows", "tasks", "blocks")
"""Prefect puts flows/ first on sys.path; tasks/ and blocks/ are packages of the same kind."""

BANNED = {
    r"\btak(e|es|en|ing) back\b|\btook back\b": "say 'cancel' (a task, a post) or 'remove' (what setup made)",
    r"\bg(ive|ives|iven|iving) back\b": "say 'release'",
    r"\bwithdr(aw|aws|awn|ew|awal|awing)\b": "say 'cancel'",
    r"\banew\b": "say 'again', or 'a new …'",
    r"\b(is|are|all is) (not )?well\b": "say 'works', 'failed', '3 checks passed'",
    r"\bhangs? on\b": "say 'is connected to'",
    r"\bhas ended by itself\b": "say 'exited unexpectedly'",
    r"\bfails? inside\b|\bfailed inside\b": "say 'internal error'",
    r"\bknows? no such\b": "say 'not found'",
    r"\bis to do nothing\b|\bare to do nothing\b": "say 'nothing to do'",
    r"\bwish(es)?\b": "say 'request', or name the options",
    r"\bbroke off\b": "say 'stopped', 'was interrupted'",
    r"\bl(eaves?|eft|eaving) out\b": "say 'skipped' or 'omitted'",
    r"\bsigns? of life\b": "say 'heartbeat'",
}
"""Words that no sentence for people has, with the better ones."""


class Finding(NamedTuple):
    """Where a rule is broken, and what to do about it."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def file_names(root: Path) -> Iterator[Finding]:
    """No file that Prefect loads as a script, or finds beside one, hides a package of the same name."""
    taken = set(importlib.metadata.packages_distributions()) | set(sys.stdlib_module_names) | set(LAYERS)
    for layer in LOADED_AS_SCRIPTS:
        for path in sorted((root / layer).glob("*.py")):
            if path.stem != "__init__" and path.stem in taken:
                yield Finding(
                    path.relative_to(root),
                    1,
                    f"is named like the package {path.stem}, and would be imported in its place: Prefect puts flows/ "
                    "first on sys.path. Rename the file",
                )


def models_in_flows(root: Path) -> Iterator[Finding]:
    """No class lives in a flow file."""
    for path in sorted((root / "flows").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield Finding(
                    path.relative_to(root),
                    node.lineno,
                    f"defines {node.name}: a stored result would name the script's module and come back as a dict. "
                    "Move it to a form.py or records in reelflow/",
                )


def banned_words(root: Path) -> Iterator[Finding]:
    """No sentence for people has a word that its readers would stumble over."""
    for path, line, text in _texts(root):
        for pattern, better in BANNED.items():
            if match := re.search(pattern, text, re.IGNORECASE):
                yield Finding(path, line + text[: match.start()].count("\n"), f"{match.group()!r}: {better}")


def words_of_the_ui(root: Path) -> Iterator[Finding]:
    """The engine names no deployment, no worker or work pool, and nothing by its place in a form."""
    named = yaml.safe_load((root / "prefect.yaml").read_text("utf-8"))["deployments"]
    names = "|".join(each["name"] for each in named)
    pattern = re.compile(rf"\b({names})\b|\b(block|field) (below|above)\b|\b(workers?|work pools?)\b")
    for path in sorted((root / "reelflow").rglob("*.py")):
        for line, text in _strings(path):
            if match := pattern.search(text):
                yield Finding(
                    path.relative_to(root),
                    line,
                    f"{match.group()!r} is a word of the UI. Return a code or a fact, and word it in tasks/",
                )


_RUN = ("subprocess.run", "subprocess.check_output", "subprocess.check_call", "subprocess.call")


def endless_waits(root: Path) -> Iterator[Finding]:
    """No bare `wait`, `join` or `communicate` in a test, and no program run without a timeout: it may wait for ever."""
    for path in sorted((root / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called, given = ast.unparse(node.func), {keyword.arg for keyword in node.keywords}
            is_bare = node.func.attr in ("wait", "join", "communicate") and not node.args and not given
            if is_bare or (called in _RUN and "timeout" not in given):
                yield Finding(path.relative_to(root), node.lineno, f"{called}() may wait forever. Give it a timeout")


def _texts(root: Path) -> Iterator[tuple[Path, int, str]]:
    """All texts that people read: strings of the code, documents, YAML and pages."""
    for layer in (*LAYERS, "benchmarks", "tests"):
        for path in sorted((root / layer).rglob("*.py")):
            if "shape" in path.parts:  # the words themselves
                continue
            for line, text in _strings(path):
                yield path.relative_to(root), line, text
        for pattern in ("*.yaml", "*.html"):
            for path in sorted((root / layer).rglob(pattern)):
                yield path.relative_to(root), 1, path.read_text("utf-8")
    for path in (*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md")), root / "prefect.yaml"):
        yield path.relative_to(root), 1, path.read_text("utf-8")


def _strings(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


RULES = (file_names, models_in_flows, banned_words, words_of_the_ui, endless_waits)


def main() -> int:
    """Print every finding; 1 if there is one."""
    findings = [finding for rule in RULES for finding in rule(ROOT)]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
