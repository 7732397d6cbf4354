"""The command `reelflow` as one application: what it imports, and how it ends."""

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from support.commands import reelflow

from deployments.cli import app

COMMANDS = ["check", "sandbox", "fit", "publish", "publish-and-engage", "campaign", "plan", "inbox", "posts",
            "week", "resolve", "cancel", "rotate-api-key", "accounts", "release", "phones", "reposts", "setup",
            "teardown", "doctor", "ledger", "demo", "up", "serve"]  # fmt: skip
ONLY_GROUPS = ("ledger", "plan")
"""What does nothing without one of its commands."""
GROUPS = {
    "plan": ["template", "check"],
    "ledger": ["show", "use", "move", "unblock"],
    "reposts": ["apply"],
    "phones": ["warm-up", "comment", "follow", "unfollow", "post", "tasks"],
}
PARTS = [(group, name) for group, names in GROUPS.items() for name in names]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "none.mp4"], ["fit", "--help"]])
def test_what_needs_no_prefect_does_not_wait_for_it(arguments: list[str]) -> None:
    """Its import takes two seconds, and longer on a slow machine."""
    code = (
        "import sys; from deployments.cli import app;"
        f"app({arguments!r}, result_action='return_value');"
        "sys.exit('prefect' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("names", [*((name,) for name in COMMANDS if name not in ONLY_GROUPS), *PARTS], ids="-".join)
def test_every_command_is_found_where_it_is_named(names: tuple[str, ...]) -> None:
    """Commands are imported when they are run, so that a wrong name would be noticed then only."""
    command = functools.reduce(lambda found, name: found[name], names, app)

    assert command.default_command is not None
    assert command.help.split("\n")[0].endswith(".")


def test_the_list_of_commands_is_whole() -> None:
    """A command that is added is added above too."""
    assert {name for name in app if not name.startswith("-")} == set(COMMANDS)
    assert {(group, name) for group in GROUPS for name in app[group] if not name.startswith("-")} == set(PARTS)


def _commands(parent: App = app, *before: str) -> Iterator[tuple[str, ...]]:
    """The words of every registered command; what is in a group comes after it."""
    for name in (each for each in parent if not each.startswith("-")):
        yield (*before, name)
        yield from _commands(parent[name], *before, name)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run commands in, and a Prefect server that is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    return tmp_path


@pytest.mark.parametrize("words", [*_commands()], ids="-".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_every_command_is_shown_and_starts_nothing(words: tuple[str, ...], flag: str, nowhere: Any) -> None:
    """Also of those without parameters, such as `up`, which would start a server."""
    done = reelflow(*words, flag)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: reelflow {' '.join(words)}")
    assert list(nowhere.iterdir()) == []


@pytest.mark.parametrize("words", [*_commands()], ids="-".join)
@pytest.mark.parametrize("more", [["--no-such-option"], ["--dryrun"]], ids=" ".join)
def test_an_unknown_option_is_an_error_and_starts_nothing(
    words: tuple[str, ...], more: list[str], nowhere: Any
) -> None:
    """Exit code 2, and the mistake on standard error."""
    done = reelflow(*words, *more)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("reelflow: ")
    assert f"See `{' '.join(['reelflow', *words])} --help`." in done.stderr
    assert list(nowhere.iterdir()) == []


@pytest.mark.parametrize("name", ["up", "demo", "doctor"])
def test_an_unknown_argument_is_an_error_and_starts_nothing(name: str, nowhere: Any) -> None:
    """`reelflow up now` means something that reelflow does not do."""
    done = reelflow(name, "now")

    assert (done.returncode, done.stdout) == (2, "")
    assert "now" in done.stderr
    assert list(nowhere.iterdir()) == []


INTERRUPTED = """
import os, signal
from deployments.cli import app, main
@app.command
def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    while True: pass
main(["interrupted"])
"""


@pytest.mark.skipif(os.name != "posix", reason="signals and pipes are Unix's")
def test_a_reader_that_has_gone_and_ctrl_c_have_the_usual_codes() -> None:
    """141 and 130, and nothing on standard error."""
    command = [sys.executable, "-m", "deployments", "check", "a", "b", "--json"]
    unread = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert unread.stdout is not None
    unread.stdout.close()
    _, said = unread.communicate(timeout=30)
    interrupted = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, check=False, timeout=30)

    assert (unread.returncode, said) == (141, b"")
    assert (interrupted.returncode, interrupted.stderr) == (130, b"")
