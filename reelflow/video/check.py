"""Probe and rules together: the report on one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from reelflow.errors import VideoUnreadable
from reelflow.video.fingerprint import Fingerprint, fingerprint
from reelflow.video.probe import VideoFacts, open_video, probe
from reelflow.video.rules import UNREADABLE, Limits, Problem, ending_problem, problems, size_problem
from reelflow.wording import one_line

LONGEST_PATH = 4096
"""Characters of a path that are shown; Linux allows no more."""


class VideoReport(BaseModel):
    """What a file is and what is wrong with it.

    `facts` is None where the file could not be read; `fingerprint` where it was not asked for, or the file has errors.
    """

    file: str
    facts: VideoFacts | None
    known: dict[str, Any] = {}
    problems: list[Problem]
    fingerprint: Fingerprint | None = None

    @property
    def errors(self) -> list[Problem]:
        """What keeps it from being published."""
        return [p for p in self.problems if p.level == "error"]

    @property
    def warnings(self) -> list[Problem]:
        """What platforms will not like."""
        return [p for p in self.problems if p.level == "warning"]

    @property
    def ok(self) -> bool:
        """Whether it can be published."""
        return not self.errors

    @property
    def is_unreadable(self) -> bool:
        """Whether there is no such file, or none that can be read as a video."""
        return any(p.code in UNREADABLE for p in self.errors)

    def as_json(self) -> dict[str, Any]:
        """The report as one JSON object, as ``reelflow check --json`` prints it."""
        return {
            "file": self.file,
            "ok": self.ok,
            "facts": self.facts.model_dump() if self.facts else self.known,
            "problems": [p.model_dump() for p in self.problems],
        }


def check_video(
    path: Path, limits: Limits | None = None, *, with_fingerprint: bool = False, up_to: float | None = None
) -> VideoReport:
    """Read the file at `path` and say what is wrong with it. Never raises for a bad file.

    No more of a file is read than that needs: of one that is too large, its head and index.

    Args:
        path: Of the file, which is opened once by us and once by PyAV.
        limits: What may be published; Taisly's documented limits if None.
        with_fingerprint: Read all of a file without errors, for its sha256.
        up_to: Of a file that is too large and has no index, read so many seconds for its facts.
    """
    limits = limits or Limits()
    try:
        with open_video(path) as file:
            size = os.fstat(file.fileno()).st_size
            too_large = size_problem(size, limits)
            is_short = too_large is None
            facts = probe(path, file, index_only=not is_short and up_to is None, up_to=None if is_short else up_to)
            if facts is None:
                found = filter(None, [ending_problem(path, limits), too_large])
                return VideoReport(
                    file=one_line(str(path), LONGEST_PATH), facts=None, known={"size_bytes": size}, problems=[*found]
                )
            report = VideoReport(
                file=one_line(str(path), LONGEST_PATH), facts=facts, problems=problems(path, facts, limits)
            )
            if with_fingerprint and report.ok:
                report.fingerprint = fingerprint(file)
            return report
    except VideoUnreadable as error:
        return _unreadable(path, error, limits)


def _unreadable(path: Path, error: VideoUnreadable, limits: Limits) -> VideoReport:
    reason = Problem(
        code=error.problem, level="error", found=error.found, allowed="a whole video file", hint=error.hint
    )
    size = error.facts.get("size_bytes")
    # A folder, a missing file or a text has one problem; its name and size are not worth a second line.
    if error.problem == "unreadable":
        size = None
    others = [ending_problem(path, limits), size_problem(size, limits)] if size else []
    others = [p for p in others if p is not None and p.code != error.problem]
    return VideoReport(
        file=one_line(str(path), LONGEST_PATH), facts=None, known=error.facts, problems=[reason, *filter(None, others)]
    )
