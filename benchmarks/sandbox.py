"""A sandbox in a process of its own, so that its CPU and memory are not measured along."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from reelflow.sandbox import SandboxControl


@contextlib.contextmanager
def running_sandbox(*options: str) -> Iterator[SandboxControl]:
    """Start a sandbox on a free port, and end it."""
    command = [sys.executable, "-m", "deployments", "sandbox", "--port", "0", "--plan", "PRO", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("a pipe was asked for")
        yield SandboxControl(process.stdout.readline().split()[-1])
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
