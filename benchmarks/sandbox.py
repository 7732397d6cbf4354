"""A sandbox in a process of its own, to measure against."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Sandbox:
    """Where it is, and what it counted."""

    url: str

    def ask(self, method: str, path: str) -> Any:
        """A request to its control."""
        answer = httpx.request(method, self.url + path, timeout=30, trust_env=False)
        return answer.raise_for_status().json()

    def requests(self) -> int:
        """How many requests both APIs had."""
        return sum(self.ask("GET", "/sandbox/state")["requests"].values())


@contextlib.contextmanager
def running_sandbox(*options: str) -> Iterator[Sandbox]:
    """Start a sandbox on a free port, and end it."""
    command = [sys.executable, "-m", "reelflow", "sandbox", "--port", "0", "--plan", "PRO", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("a pipe was asked for")
        yield Sandbox(process.stdout.readline().split()[-1])
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
