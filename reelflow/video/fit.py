"""Make a video that is not right for publishing right: a copy, in one run of ffmpeg; the original stays as it is.

check ── what is wrong ── can a fit mend it? ── kept already? ── a turn ── encode ── check again ── keep
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from reelflow.errors import FitUnavailable, InputError
from reelflow.video.check import VideoReport, check_video
from reelflow.video.fingerprint import Fingerprint, fingerprint
from reelflow.video.fit_command import NARROWEST, RECIPE, TRIMMED_SECONDS, is_trimmed
from reelflow.video.fit_settings import FitSettings
from reelflow.video.fit_work import MENDED, FitWork, Progress
from reelflow.video.kept_fit import default_folder, find_kept, forget_old_fits, turn
from reelflow.video.probe import VideoFacts, open_video
from reelflow.video.rules import CONTAINERS, OTHER_CONTAINERS, Limits


class Fitted(BaseModel):
    """A video that was made right, or was right.

    Attributes:
        path: The file to publish: the fit; or the original, if nothing had to be changed.
        original: The file that was fitted, at the moment at which it was read.
        facts: What that is.
        report: The check of the file to publish.
        changes: What was changed, as short phrases.
        warnings: What may be unwanted about that.
    """

    path: Path
    original: Fingerprint
    facts: VideoFacts
    report: VideoReport
    changes: list[str] = []
    warnings: list[str] = []

    @property
    def is_changed(self) -> bool:
        """Whether there is a fit beside the original."""
        return bool(self.changes)


class FitPlan(NamedTuple):
    """What a fit has to do, as far as that is known without decoding more than one frame.

    Attributes:
        report: The check of the original.
        facts: What that is.
        original: Its fingerprint.
        wrong: The codes of what has to be mended.
        is_needed: Whether there is anything to do, or to measure.
        trimmed_to: To how many seconds it is trimmed; None if all of it stays.
    """

    report: VideoReport
    facts: VideoFacts
    original: Fingerprint
    wrong: set[str]
    is_needed: bool
    trimmed_to: float | None


def plan_fit(path: Path, settings: FitSettings, known: Fingerprint | None = None, *, as_mp4: bool = False) -> FitPlan:
    """What a fit of the video at `path` has to do. Decodes one frame, and writes nothing.

    Args:
        path: Of the original.
        settings: How.
        known: Its fingerprint when it was last read: it is not read again if it has not changed.
        as_mp4: Whether an MKV or AVI has to become an MP4, too.

    Raises:
        InputError: it cannot be made right; one sentence says why.
    """
    limits = Limits()
    report = check_video(path, limits, up_to=limits.max_duration + 5)
    facts = _mendable(report, settings, limits)
    with open_video(path) as file:
        original = fingerprint(file, known)
    wrong = {p.code for p in report.problems if p.code in MENDED}
    if as_mp4 and not facts.container.startswith("mov,"):
        wrong.add("ending")
    is_needed = bool(wrong) or (settings.loudness and facts.audio_codec is not None)
    trimmed_to = TRIMMED_SECONDS if is_trimmed(facts.duration, limits) else None
    return FitPlan(report, facts, original, wrong, is_needed, trimmed_to)


def fit_video(
    path: Path,
    settings: FitSettings,
    *,
    known: Fingerprint | None = None,
    as_mp4: bool = False,
    folder: Path | None = None,
    progress: Progress | None = None,
    waiting: Callable[[], None] | None = None,
) -> Fitted:
    """Make the video at `path` right for publishing, or find that it is.

    Whether it can be made right is decided before more than one frame is decoded. A fit that was made before is used
    again, and checked again.

    Args:
        path: Of the original, which is only read.
        settings: How.
        known: As in `plan_fit`.
        as_mp4: As in `plan_fit`.
        folder: Where fits are kept; None for the user's cache folder.
        progress: Of the encoding.
        waiting: Called once if another fit is being made on this machine, which is waited for.

    Raises:
        InputError: it cannot be made right, or not here and now; one sentence says why.
    """
    report, facts, original, wrong, is_needed, _ = plan_fit(path, settings, known, as_mp4=as_mp4)
    if not is_needed:
        return Fitted(path=path, original=original, facts=facts, report=report)
    key = _key(original.sha256, settings)
    folder = folder or default_folder()
    work = FitWork(path, facts, original, settings, Limits(), wrong, progress)
    if (kept := _kept(folder, key, work)) is not None:
        return kept
    with turn(folder, waiting):
        if (kept := _kept(folder, key, work)) is not None:  # made while this one waited
            return kept
        forget_old_fits(folder)
        made = work.make(folder, key)
    if made is None:
        return Fitted(path=path, original=original, facts=facts, report=report)
    kept = _kept(folder, key, work)
    if kept is None:
        raise FitUnavailable(f"{report.file}: its fit has gone from {folder}. Start again.")
    return kept


def _mendable(report: VideoReport, settings: FitSettings, limits: Limits) -> VideoFacts:
    """What a file is that a fit can make right.

    Raises:
        InputError: none can.
    """
    facts, errors = report.facts, list(report.errors)
    if facts is not None:
        is_short = facts.duration < limits.min_duration - limits.duration_slack
        is_film = facts.container in CONTAINERS or facts.container in OTHER_CONTAINERS
        lasting = {"duration"} if is_short else set() if is_film else {"format"}
        errors = [p for p in errors if p.code in lasting or p.code not in MENDED]
    if report.is_unreadable:
        raise InputError(f"{report.file} cannot be published: {' '.join(map(str, report.errors))}")
    if facts is None or errors:
        raise InputError(
            f"{report.file} cannot be published, and a fit cannot make it right: " + " ".join(map(str, errors))
        )
    if min(facts.width, facts.height * limits.aspect) < NARROWEST:
        raise InputError(
            f"{report.file} has a picture of {facts.width}x{facts.height}, which is too narrow to be made 9:16. Choose "
            "another video."
        )
    if is_trimmed(facts.duration, limits) and settings.too_long == "refuse":
        raise InputError(
            f"{report.file} is {facts.duration:.1f} s long, and at most {limits.max_duration:g} s can be "
            "published. Trim it, or set 'If it is too long' to 'trim'."
        )
    return facts


def _key(sha256: str, settings: FitSettings) -> str:
    told = json.dumps([RECIPE, sha256, settings.model_dump(exclude={"too_long"})], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _kept(folder: Path, key: str, work: FitWork) -> Fitted | None:
    """The fit that is kept, if it passes the check."""
    found = find_kept(folder, key, work.path.stem)
    if found is None:
        return None
    path, note = found
    if work.faults(report := check_video(path)):
        return None
    return Fitted(
        path=path,
        original=work.original,
        facts=work.facts,
        report=report,
        changes=note.changes,
        warnings=note.warnings,
    )
