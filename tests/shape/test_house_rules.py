"""The rules of the house can be broken, and say so: a rule that finds nothing anywhere would hold nothing."""

import subprocess
import sys
from pathlib import Path

import house_rules
import pytest

ROOT = Path(__file__).parents[2]


def _tree(root: Path, **files: str) -> Path:
    """A small project: file names with two underscores for a slash."""
    for layer in (*house_rules.LAYERS, "tests"):
        (root / layer).mkdir(parents=True)
    (root / "prefect.yaml").write_text("deployments: [{name: publish-video}]")
    for name, text in files.items():
        (root / f"{name.replace('__', '/')}.py").write_text(text)
    return root


@pytest.mark.parametrize(
    ("rule", "files", "words"),
    [
        (house_rules.file_names, {"flows__httpx": ""}, "is named like the package httpx"),
        (house_rules.file_names, {"tasks__queue": ""}, "is named like the package queue"),
        (house_rules.models_in_flows, {"flows__publish": "class Form: ..."}, "defines Form"),
        (house_rules.banned_words, {"tasks__cancel": "x = 'The post was withdrawn.'"}, "say 'cancel'"),
        (house_rules.banned_words, {"deployments__setup": "'''All is well.'''"}, "3 checks passed"),
        (house_rules.banned_words, {"tasks__watch": "x = 'The run gave no sign of life.'"}, "say 'heartbeat'"),
        (house_rules.words_of_the_ui, {"reelflow__posts": "x = 'Run publish-video again.'"}, "is a word of the UI"),
        (house_rules.words_of_the_ui, {"reelflow__form": "x = 'See the block below.'"}, "is a word of the UI"),
        (house_rules.words_of_the_ui, {"reelflow__runs": "x = 'No worker is running.'"}, "is a word of the UI"),
        (house_rules.endless_waits, {"tests__test_x": "process.wait()"}, "Give it a timeout"),
        (house_rules.endless_waits, {"tests__test_x": "threads[0].join()"}, "Give it a timeout"),
        (house_rules.endless_waits, {"tests__test_x": "subprocess.run(['true'], check=True)"}, "Give it a timeout"),
    ],
)
def test_a_broken_rule_is_found_and_says_what_to_do(rule: object, files: dict, words: str, tmp_path: Path) -> None:
    """With the file and the line."""
    (finding,) = rule(_tree(tmp_path, **files))  # type: ignore[operator]

    assert words in finding.what
    assert (tmp_path / finding.path).exists()
    assert finding.line == 1


def test_a_kept_house_has_no_findings(tmp_path: Path) -> None:
    """Ordinary names and words pass."""
    waits = "process.wait(20); thread.join(timeout=5); ', '.join(names); subprocess.run(['true'], timeout=120)"
    root = _tree(
        tmp_path,
        flows__publish="x = 'Cancelled 3 tasks.'",
        reelflow__posts="x = 'Nothing was sent.'",
        tests__test_x=waits,
    )

    assert [finding for rule in house_rules.RULES for finding in rule(root)] == []


def test_an_import_that_points_up_is_found(tmp_path: Path) -> None:
    """import-linter, with the contracts of pyproject.toml, on a copy of the house with one wrong import."""
    for layer in house_rules.LAYERS:
        for path in (ROOT / layer).rglob("*.py"):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(path.read_text("utf-8"), "utf-8")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8"), "utf-8")
    records = tmp_path / "reelflow" / "records" / "posts.py"
    records.write_text("from reelflow.posts.sending import send_post\nimport prefect\n" + records.read_text("utf-8"))

    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()",
         "--no-cache"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "COLUMNS": "200"}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip

    assert done.returncode == 1, done.stdout + done.stderr
    assert "The engine never imports Prefect" in done.stdout
    assert "reelflow.records.posts -> reelflow.posts.sending" in done.stdout
