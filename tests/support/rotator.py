"""A process that replaces an API key, and may be killed after each of its steps.

Usage: rotator.py CONFIG.json. The block is a file, and the sandbox is reached over HTTP. The pauses are cut short.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger, key_fingerprint
from reelflow.taisly import TaislyClient
from reelflow.upkeep.key_file import KeyFile
from reelflow.upkeep.rotation import Rotation

KILLED = 9
"""The exit code of a process that ended itself after a step."""


class BlockFile:
    """The saved block, as a file; `fails` counts the times that saving still fails."""

    def __init__(self, path: Path, service: str, fails: int = 0) -> None:
        self.path, self.service, self.fails = path, service, fails

    def read(self) -> str:
        return self.path.read_text()

    def rewrite(self) -> None:
        self._write(self.read())

    def replace(self, old: str, new: str) -> list[str]:
        if self.fails:
            self.fails -= 1
            raise ReelflowError("The Prefect server cannot be reached.")
        if key_fingerprint(self.read(), self.service) == old:
            self._write(new)
        return ["main"]

    def _write(self, key: str) -> None:
        part = self.path.with_suffix(".part")
        part.write_text(key)
        part.replace(self.path)


def rotation(url: str, ledger: Ledger, folder: Path, *, fails: int = 0, **more: Any) -> Rotation:
    """A rotation of the key in `folder`/block, which keeps the new one in `folder`/keys."""
    return Rotation(
        ledger,
        url,
        "the block 'main'",
        "main",
        BlockFile(folder / "block", url, fails),
        KeyFile(folder / "keys", "id"),
        lambda key: TaislyClient(key, url),
        **more,
    )


def main() -> None:
    """Replace the key; die after the step of the configuration."""
    config = json.loads(Path(sys.argv[1]).read_text())

    def after(step: str) -> None:
        if step == config.get("die_after"):
            os._exit(KILLED)

    folder = Path(config["folder"])
    ledger = Ledger(config["ledger"], clock=lambda: time.time() + config["later"])
    rotating = rotation(
        config["url"], ledger, folder, after=after, sleep=lambda seconds: time.sleep(min(seconds, 0.02))
    )
    try:
        done = rotating.replace((folder / "block").read_text(), patience=5)
    except ReelflowError as error:
        print(f"{type(error).__name__}: {error}")
        sys.exit(1)
    print("resumed" if done.resumed else "generated")


if __name__ == "__main__":
    main()
