"""The fields of the forms that say how a video is made right, the same in each form."""

from __future__ import annotations

from typing import Any, Literal

from reelflow.fields import entry
from reelflow.video.fit_settings import FitSettings, How, TooLong
from reelflow.video.rules import Limits

OFF: Literal["off"] = "off"
FitChoice = Literal["off", How]
"""What a form or a row of a plan says; "off" publishes the file as it is, or not at all."""
FIT_LABEL = "If the video does not fit"
"""What forms call the choice, and messages that advise to make it."""
_LIMITS = Limits()


def fit_entry(position: int) -> Any:
    """The field `fit`."""
    return entry(
        position, FIT_LABEL, "'pad' (black bars), 'blur' (blurred background) and 'crop' (middle only) publish "
        "a corrected copy; 'off' refuses what cannot be published.", OFF,
    )  # fmt: skip


def too_long_entry(position: int) -> Any:
    """The field `too_long`."""
    return entry(
        position, "If it is too long", f"With a fit: refuse a video of more than {_LIMITS.max_duration:g} seconds, or "
        f"trim it to its first {_LIMITS.max_duration:g}.", "refuse", advanced=True,
    )  # fmt: skip


def loudness_entry(position: int) -> Any:
    """The field `loudness`."""
    return entry(
        position, "Even loudness", "With a fit: bring the sound to -14 LUFS, as many players do.", False, advanced=True
    )


def fit_settings(fit: FitChoice, too_long: TooLong, loudness: bool) -> FitSettings | None:
    """What the three fields say; None if nothing is to be fitted."""
    return None if fit == OFF else FitSettings(how=fit, too_long=too_long, loudness=loudness)
