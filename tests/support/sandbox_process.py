"""A sandbox in a process of its own, to be killed and started again."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx

from reelflow.sandbox import SandboxControl


class SandboxProcess(SandboxControl):
    """`reelflow sandbox` with a folder that it keeps, to be killed and started again on the same port.

    Args:
        folder: What it keeps.
        plan: At Taisly, with its quota; None for no quota that a test could reach.
    """

    def __init__(self, folder: Path, plan: str | None = None) -> None:
        super().__init__("")
        self.folder = folder
        self._plan = ["--plan", plan] if plan else ["--plan", "PRO", "--requests-per-hour", "1000000"]
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deployments", "sandbox", "--port", str(self.port), *self._plan, "--data",
             str(self.folder)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        killer = threading.Timer(60, self._process.kill)
        killer.start()
        try:
            self._url = self._process.stdout.readline().split()[-1]
        finally:
            killer.cancel()
        port = httpx.URL(self.url).port
        assert port is not None
        assert self.port in (0, port), "the sandbox must come back where it was"
        self.port = port

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(20)
        if self._process.stdout:
            self._process.stdout.close()
