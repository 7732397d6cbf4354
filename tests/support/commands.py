"""`reelflow` in the test's own process, which has imported Prefect already: seconds less for each command."""

import contextlib
import io
import logging
import os
from typing import NamedTuple

import pytest

from deployments.cli import main


class Done(NamedTuple):
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def reelflow(*words: str, **environment: str) -> Done:
    """Run one command to its end. What it sets in the environment and for the engine's log is put back."""
    out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
    engine = logging.getLogger("reelflow")
    level = engine.level
    os.environ.update(environment)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as exited:
            main(words)
    finally:
        engine.setLevel(level)
        os.environ.clear()
        os.environ.update(before)
    return Done(int(exited.value.code or 0), out.getvalue(), err.getvalue())
