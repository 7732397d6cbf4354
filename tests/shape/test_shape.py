"""Guards for the shape of the project: what a reviewer would otherwise have to remember."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from prefect.testing.standard_test_suites import BlockStandardTestSuite

import blocks
from deployments.cli import app

ROOT = Path(__file__).parents[2]


def test_only_the_helpers_of_the_tests_are_a_package() -> None:
    """The suite imports by path; another __init__.py would change what `import` means."""
    assert [path.parent.name for path in (ROOT / "tests").rglob("__init__.py")] == ["support"]


def test_no_committed_file_names_a_registry() -> None:
    """The pinned requirements must install from wherever the user's tools point."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    ).stdout.split("\n")
    assert "uv.lock" not in listed
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert not re.search(r"https?://|--index|--find-links", (ROOT / name).read_text())


def test_the_bounds_that_keep_prefect_working_are_there() -> None:
    """Each with its reason beside it; without them the server breaks, the second time silently."""
    text = (ROOT / "pyproject.toml").read_text()
    wanted = tomllib.loads(text)["project"]["dependencies"]

    assert "fastapi<0.151" in wanted
    assert "sqlalchemy>=2.0,<2.1" in wanted
    assert re.search(r'"fastapi<0\.151",\s+# \S', text)
    assert re.search(r'"sqlalchemy>=2\.0,<2\.1",\s*# \S', text)
    assert importlib.metadata.version("sqlalchemy").startswith("2.0.")


def test_ci_runs_what_everybody_runs() -> None:
    """`.ci/run` calls make test and nothing of its own."""
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]

    assert commands == ["exec make test"]


class BlockStandards(BlockStandardTestSuite):
    """Prefect's own standards for blocks."""

    def test_has_a_valid_image(self, block: Any) -> None:
        """Without fetching it from the internet: it is one of the pictures that Prefect's own blocks show."""
        import prefect.blocks.system
        import prefect.blocks.webhook

        shown = {str(prefect.blocks.system.Secret._logo_url), str(prefect.blocks.webhook.Webhook._logo_url)}

        assert str(block._logo_url) in shown


class TestTaislyAccount(BlockStandards):
    """The Taisly block."""

    @pytest.fixture
    def block(self) -> Any:
        return blocks.TaislyAccount


class TestTikMatrixHost(BlockStandards):
    """The TikMatrix block."""

    @pytest.fixture
    def block(self) -> Any:
        return blocks.TikMatrixHost


class TestReelflowLedger(BlockStandards):
    """The ledger's block."""

    @pytest.fixture
    def block(self) -> Any:
        return blocks.ReelflowLedger


class TestPostingSlots(BlockStandards):
    """The block with the posting slots."""

    @pytest.fixture
    def block(self) -> Any:
        return blocks.PostingSlots


class TestChatGPTSettings(BlockStandards):
    """The ChatGPT block."""

    @pytest.fixture
    def block(self) -> Any:
        return blocks.ChatGPTSettings


@pytest.mark.parametrize("name", blocks.__all__)
def test_every_block_has_a_required_field(name: str) -> None:
    """Without one the server refuses every run that takes it: a reference "is valid under each of" two kinds."""
    assert any(field.is_required() for field in getattr(blocks, name).model_fields.values())


def test_block_slugs_never_change() -> None:
    """Saved blocks of users hang on them."""
    assert blocks.TaislyAccount.get_block_type_slug() == "taisly-account"
    assert blocks.TikMatrixHost.get_block_type_slug() == "tikmatrix-host"
    assert blocks.ChatGPTSettings.get_block_type_slug() == "chatgpt-settings"
    assert blocks.ReelflowLedger.get_block_type_slug() == "reelflow-ledger"
    assert blocks.PostingSlots.get_block_type_slug() == "posting-slots"


def test_one_command_registers_every_block(server: str) -> None:
    """`python -m prefect block register -m blocks`."""
    import os

    done = subprocess.run(
        [sys.executable, "-m", "prefect", "block", "register", "-m", "blocks"],
        capture_output=True, text=True, check=False, timeout=120, cwd=ROOT,
        env={**os.environ, "PREFECT_API_URL": f"{server}/api", "NO_COLOR": "1", "COLUMNS": "200"},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Taisly Account" in done.stdout
    assert "TikMatrix Host" in done.stdout
    assert "Posting Slots" in done.stdout


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda p: p.name)
def test_make_targets_in_the_documents_are_true(path: Path) -> None:
    """What is named after `make` is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))

    made = re.findall(r"\bmake ([a-z-]+)`|^make (?:-C \S+ )?([a-z][a-z-]*)", path.read_text("utf-8"), re.M)

    assert {a or b for a, b in made} <= targets


def test_the_commands_are_there() -> None:
    """Those that people know; tests/shape/test_documents.py checks the others, and their options."""
    assert set(app) >= {"check", "sandbox", "publish", "setup", "teardown", "doctor", "demo", "up"}


def test_every_test_that_a_document_names_exists() -> None:
    """In docs/reliability.md; a name that ends in … is the beginning of one, or of several."""
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    files = list((ROOT / "tests").rglob("test_*.py"))
    tests = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.M)}
    exists = {file.stem for file in files} | tests

    named = re.findall(r"`(test_\w+)(…?)`", text)

    assert len(named) > 20
    assert [
        name for name, more in named if not (any(e.startswith(name) for e in exists) if more else name in exists)
    ] == []


def test_no_document_or_file_names_a_place_that_is_not_in_the_project() -> None:
    """What the project needs is in the project."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    outside = "../" + "shared"
    for name in filter(None, done.stdout.split("\n")):
        file = ROOT / name
        if file.exists():
            assert outside not in file.read_text("utf-8", "replace"), name
