"""The making of one fit: what is done to a file in one run of ffmpeg, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from reelflow.errors import FitUnavailable, InputError, NoRoom
from reelflow.video.check import VideoReport, check_video
from reelflow.video.ffmpeg import FfmpegFailed, run_ffmpeg
from reelflow.video.fingerprint import Fingerprint, fingerprint
from reelflow.video.fit_command import (
    LOUDNESS,
    LOUDNESS_RANGE,
    TRIMMED_SECONDS,
    TRUE_PEAK,
    Layout,
    constant_rate,
    copying_command,
    expected_bytes,
    fitting_command,
    is_trimmed,
    lay_out,
    measuring_command,
)
from reelflow.video.fit_settings import FitSettings
from reelflow.video.fit_source import FitSource, read_source
from reelflow.video.kept_fit import FitNote, confirm_room_for_fit, file_name, keep, part_folder
from reelflow.video.probe import VideoFacts, open_video
from reelflow.video.rules import Limits
from reelflow.wording import one_line

MOST_DIFFERENCE = 0.1
"""Seconds by which a fit may be longer or shorter than its original."""
LOUD_ENOUGH = 1.0
"""LU around the wanted loudness within which sound stays as it is."""
_SHORT_SOUND = 3.0
"""Seconds; the loudness of less says nothing."""
MENDED = {
    "duration", "aspect", "size", "format", "codec", "bit_depth", "hdr", "variable_frame_rate", "frame_rate",
    "audio_channels", "large", "faststart", "ending",
}  # fmt: skip
"""Codes of the problems that a fit mends. A low resolution and missing sound are not among them."""
_ONLY_COPIED = {"faststart", "format", "ending"}
"""Those for which nothing has to be encoded."""
_REWRITTEN = "written again as MP4 with its index at the front; picture and sound are the same"
_HOW = {"pad": "black bars added", "blur": "a blurred background added", "crop": "cropped to its middle"}

Progress = Callable[[int, int], None]
"""Called with how much of how much is done, in hundredths of a second of the result."""


class FitWork:
    """One fit of one file.

    Attributes:
        path: Of the original.
        facts: What that is.
        original: Its fingerprint when it was checked.
        settings: How it is fitted.
        limits: What may be published.
        wrong: The codes of what the fit has to mend.
        progress: Of the encoding.
    """

    def __init__(
        self,
        path: Path,
        facts: VideoFacts,
        original: Fingerprint,
        settings: FitSettings,
        limits: Limits,
        wrong: set[str],
        progress: Progress | None,
    ) -> None:
        self.path = path
        self.facts = facts
        self.original = original
        self.settings = settings
        self.limits = limits
        self.wrong = wrong
        self.progress = progress
        self.is_trimmed = is_trimmed(facts.duration, limits)
        self.seconds = TRIMMED_SECONDS if self.is_trimmed else facts.duration

    def make(self, folder: Path, key: str) -> bool | None:
        """Make the fit and keep it; None if the only thing that was wanted, its loudness, is right.

        Raises:
            InputError: it cannot be made.
        """
        source = read_source(self.path, self.facts, self.limits.max_duration + 5 if self.is_trimmed else None)
        loudness, louder = self._loudness(source)
        if not self.wrong and not loudness:
            return None
        layout = lay_out(self.facts, self.settings.how, self.limits)
        copied = not loudness and not self.wrong - _ONLY_COPIED and self._can_be_copied()
        if source.has_lost_sound and not copied:  # encoding would drop it
            raise InputError(
                f"{self.path.name} cannot be made right by a fit: its sound has a codec that ffmpeg cannot read, and "
                "would be lost. Export it with AAC sound."
            )
        needed = self.facts.size_bytes if copied else expected_bytes(self.seconds)
        with part_folder(folder, key, needed) as part:
            made = part / file_name(self.path.stem)
            if copied:
                self._run(copying_command(source, made), folder)
                copied = not self._faults_of_new(check_video(made), source)
                if not copied:
                    made.unlink()
                    confirm_room_for_fit(folder, expected_bytes(self.seconds))
            if not copied:
                end = TRIMMED_SECONDS if self.is_trimmed else None
                self._run(fitting_command(source, layout, made, seconds=end, loudness=loudness), folder)
            self._confirm_original()
            report = check_video(made)
            if faults := self._faults_of_new(report, source):
                raise InputError(
                    f"{self.path.name} could not be made right: its fit {' '.join(faults)} The original may be "
                    "damaged. Export it again."
                )
            changes = [_REWRITTEN] if copied else list(self._changes(source, layout, louder))
            warnings = [] if copied else list(self._warnings(layout))
            keep(part, made, FitNote(size_bytes=made.stat().st_size, changes=changes, warnings=warnings))
        return True

    def _confirm_original(self) -> None:
        """Whoever has the original's fingerprint must get a fit of that, and not of what was put in its place."""
        with open_video(self.path) as file:
            if fingerprint(file, self.original).sha256 != self.original.sha256:
                raise InputError(f"{one_line(str(self.path))} changed while it was fitted. Start again.")

    def faults(self, report: VideoReport) -> list[str]:
        """What is wrong with a fit, as ends of a sentence."""
        if report.facts is None or report.errors:
            return [f"does not pass the check ({' '.join(map(str, report.errors))})."]
        found = []
        if self.facts.audio_codec is not None and report.facts.audio_codec is None:
            found.append("has no sound.")
        return found

    def _faults_of_new(self, report: VideoReport, source: FitSource) -> list[str]:
        """The same of one that was just made: it is as long as the picture and the sound that it was made of.

        The original may say that it is longer: by another sound track, or by subtitles.
        """
        found = self.faults(report)
        used = min(self.seconds, source.seconds) if self.is_trimmed else source.seconds
        shortest, longest = (pick(self.seconds, used) for pick in (min, max))
        if report.facts and not shortest - MOST_DIFFERENCE <= report.facts.duration <= longest + MOST_DIFFERENCE:
            found.append(f"is {report.facts.duration:.2f} s long and not {used:.2f} s.")
        return found

    def _can_be_copied(self) -> bool:
        facts = self.facts
        return (
            facts.video_codec == "h264"
            and facts.audio_codec in (None, "aac")
            and facts.container.startswith(("mov,", "matroska"))
        )

    def _loudness(self, source: FitSource) -> tuple[list[str], str]:
        """The filters that bring the sound to the wanted loudness, and what is said of it; none if it is there."""
        if not self.settings.loudness or source.sound is None or self.seconds < _SHORT_SOUND:
            return [], ""
        said = self._run(measuring_command(source, TRIMMED_SECONDS if self.is_trimmed else None), words="info")
        found = _measured(said)
        if not found or abs(found["input_i"] - LOUDNESS) <= LOUD_ENOUGH:
            return [], ""
        # Linear, which keeps loud and soft apart, wherever the sound's own range is no larger than that.
        span = min(50.0, max(LOUDNESS_RANGE, found["input_lra"]))
        wanted = (
            f"loudnorm=I={LOUDNESS:g}:TP={TRUE_PEAK:g}:LRA={span:g}:measured_I={found['input_i']}:"
            f"measured_TP={found['input_tp']}:measured_LRA={found['input_lra']}:"
            f"measured_thresh={found['input_thresh']}:offset={found['target_offset']}:linear=true"
        )
        # Where it has to limit peaks, it works at 192 kHz.
        return [wanted, "aresample=48000"], f"loudness from {found['input_i']:g} to {LOUDNESS:g} LUFS"

    def _run(self, command: list[str], folder: Path | None = None, *, words: str = "warning") -> list[str]:
        tell = self.progress if folder else None
        total = round(self.seconds * 100)
        try:
            return run_ffmpeg(command, tell and (lambda at: tell(min(total, round(at * 100)), total)), words=words)
        except FfmpegFailed as error:
            if error.is_full:
                raise NoRoom(
                    f"{self.path.name} could not be made right: the disk is full at {folder} "
                    f"({error.reason}). Free up room there, then start again."
                ) from None
            if error.is_machine:
                raise FitUnavailable(
                    f"{self.path.name} could not be fitted. The problem is on this machine, not in the video: "
                    f"{error.reason}. Fix that, then start again."
                ) from None
            self._confirm_original()
            raise InputError(
                f"{self.path.name} could not be made right ({error.reason}). Export it again as MP4 with H.264."
            ) from None

    def _changes(self, source: FitSource, layout: Layout, louder: str) -> Iterable[str]:
        facts = self.facts
        if self.is_trimmed:
            yield f"trimmed from {facts.duration:.1f} s to its first {TRIMMED_SECONDS:.0f} s"
        size = f"{layout.canvas[0]}x{layout.canvas[1]}"
        was = f"{facts.width}x{facts.height}"
        if layout.how == "crop":
            yield f"{_HOW[layout.how]}, from {was} to {size}"
        elif layout.how is not None:  # "from 1280x720 to 1080x1920" would read as if the picture were enlarged
            now = f"{layout.picture[0]}x{layout.picture[1]}"
            yield f"{_HOW[layout.how]} around the picture ({was}{'' if now == was else f', now {now}'}) to fill {size}"
        elif (facts.width, facts.height) != layout.canvas:
            yield f"scaled from {was} to {size}"
        if facts.hdr:
            yield f"HDR ({facts.hdr}) brought to standard range"
        rate = constant_rate(facts.fps, varies=facts.variable_frame_rate)
        if facts.fps is not None and (facts.variable_frame_rate or abs(float(rate) - facts.fps) > 0.05):
            kind = "a variable frame rate" if facts.variable_frame_rate else f"{facts.fps:.4g}"
            yield f"from {kind} to {float(rate):.4g} frames per second"
        if source.is_interlaced:
            yield "deinterlaced"
        if facts.audio_channels > 2:
            yield f"sound mixed from {facts.audio_channels} channels to stereo"
        if louder:
            yield louder
        if facts.size_bytes > self.limits.advised_bytes:
            yield f"made smaller than {facts.size_bytes / 1e6:.0f} MB"
        yield "encoded as H.264 in an MP4"

    def _warnings(self, layout: Layout) -> Iterable[str]:
        if layout.enlarged > 1.01:
            yield (
                f"enlarged: the picture was scaled up from {self.facts.width}x{self.facts.height} by "
                f"{layout.enlarged:.1f}, so it may look soft (recommended: a larger original)."
            )


def _measured(said: list[str]) -> dict[str, float]:
    """What loudnorm measured, from the JSON at the end of ffmpeg's words; empty if there was nothing to measure."""
    text = "\n".join(said)
    try:
        found: dict[str, Any] = json.loads(text[text.rindex("{") : text.rindex("}") + 1])
        names = ("input_i", "input_tp", "input_lra", "input_thresh", "target_offset")
        values = {name: float(found[name]) for name in names}
    except (ValueError, KeyError, TypeError):
        return {}
    return values if all(abs(value) < 1000 for value in values.values()) else {}  # silence is -inf
