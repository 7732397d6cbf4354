"""Probe and rules together: the report on one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from reelflow.video.probe import VideoFacts, VideoUnreadable, probe
from reelflow.video.rules import Limits, Problem, ending_problem, problems, size_problem


class VideoReport(BaseModel):
    """What a file is and what is wrong with it. `facts` is None where the file could not be read."""

    file: str
    facts: VideoFacts | None
    known: dict[str, Any] = {}
    problems: list[Problem]

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

    def as_json(self) -> dict[str, Any]:
        """The report as one JSON object, as ``reelflow check --json`` prints it."""
        return {
            "file": self.file,
            "ok": self.ok,
            "facts": self.facts.model_dump() if self.facts else self.known,
            "problems": [p.model_dump() for p in self.problems],
        }


def check_video(path: Path, limits: Limits | None = None) -> VideoReport:
    """Read the file at `path` and say what is wrong with it. Never raises for a bad file."""
    limits = limits or Limits()
    try:
        facts = probe(path)
    except VideoUnreadable as error:
        reason = Problem(
            code=error.code, level="error", found=error.found, allowed="a whole video file", hint=error.hint
        )
        size = error.facts.get("size_bytes")
        # A folder or a missing file has one problem; its name and size are not worth a second line.
        others = [ending_problem(path, limits), size_problem(size, limits)] if size else []
        others = [p for p in others if p is not None and p.code != error.code]
        return VideoReport(file=str(path), facts=None, known=error.facts, problems=[reason, *filter(None, others)])
    return VideoReport(file=str(path), facts=facts, problems=problems(path, facts, limits))
