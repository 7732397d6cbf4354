"""How a video that does not fit is to be made right."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

How = Literal["pad", "blur", "crop"]
TooLong = Literal["refuse", "trim"]


class FitSettings(BaseModel):
    """How a video that does not fit is made right.

    Attributes:
        how: What becomes of a picture that is not 9:16: black bars, a blurred background, or its middle only.
        too_long: What becomes of a video that is too long: refused, or only its beginning published.
        loudness: Whether its sound is brought to -14 LUFS, as most players do by themselves.
    """

    model_config = ConfigDict(frozen=True)

    how: How = "pad"
    too_long: TooLong = "refuse"
    loudness: bool = False
