"""The command `reelflow` as one application: what it imports, and how it ends."""

import functools
import os
import subprocess
import sys

import pytest

from deployments.cli import app

COMMANDS = ["check", "sandbox", "publish", "setup", "teardown", "doctor", "ledger", "demo", "up", "serve"]
PARTS = [("ledger", "show"), ("ledger", "use"), ("ledger", "move"), ("ledger", "unblock")]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "none.mp4"]])
def test_what_needs_no_prefect_does_not_wait_for_it(arguments: list[str]) -> None:
    """Its import takes two seconds, and longer on a slow machine."""
    code = (
        "import sys; from deployments.cli import app;"
        f"app({arguments!r}, result_action='return_value');"
        "sys.exit('prefect' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("names", [*((name,) for name in COMMANDS if name != "ledger"), *PARTS], ids="-".join)
def test_every_command_is_found_where_it_is_named(names: tuple[str, ...]) -> None:
    """Commands are imported when they are run, so that a wrong name would be noticed then only."""
    command = functools.reduce(lambda found, name: found[name], names, app)

    assert command.default_command is not None
    assert command.help.split("\n")[0].endswith(".")


def test_the_list_of_commands_is_whole() -> None:
    """A command that is added is added above too."""
    assert {name for name in app if not name.startswith("-")} == set(COMMANDS)
    assert {("ledger", name) for name in app["ledger"] if not name.startswith("-")} == set(PARTS)


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
