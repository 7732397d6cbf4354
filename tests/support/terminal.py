"""A program in a terminal, and a person who answers what it asks."""

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def talk(
    command: Sequence[str], typed: Mapping[str, Iterator[str]], *, cwd: Path, env: Mapping[str, str], seconds: float
) -> tuple[int, str]:
    """Run a program to its end: its exit code, and all that was to be seen.

    Args:
        command: Its words.
        typed: What the person types, in the order of asking, by the end of the question.
        cwd: The folder it starts in.
        env: Its variables.
        seconds: After which it is killed.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    killer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    killer.start()
    try:
        printed = "".join(_converse(ours, typed)).replace("\r\n", "\n")
        return process.wait(seconds), printed
    finally:
        killer.cancel()
        os.close(ours)


def _converse(terminal: int, typed: Mapping[str, Iterator[str]]) -> Iterator[str]:
    """What a program prints in a terminal, until it ends; its questions are answered."""
    line = ""
    while True:
        try:
            text = os.read(terminal, 4096).decode("utf-8", "replace")
        except OSError:  # Linux: nobody has it open any more
            return
        if not text:
            return
        yield text
        line = (line + text)[-200:]
        for prompt, answers_to in typed.items():
            if line.endswith(prompt):
                os.write(terminal, f"{next(answers_to)}\n".encode())
                line = ""
