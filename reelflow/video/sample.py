"""Make a small real video, for the demo and for trying things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_CHORD = (220.0, 277.18, 329.63)
"""Hertz: A major."""


def make_sample(path: Path, *, seconds: float = 6, width: int = 720, height: int = 1280, fps: int = 30) -> Path:
    """Write an upright H.264 video with sound to `path`: a slow look over dunes at sunset, and a soft chord."""
    from moviepy import AudioClip, VideoClip

    view = _dunes(2 * width, height)

    def picture(t: float) -> Any:
        left = round((view.shape[1] - width) * t / seconds)
        return view[:, left : left + width]

    def sound(t: Any) -> Any:
        chord = sum(np.sin(2 * np.pi * hertz * t) for hertz in _CHORD) / len(_CHORD)
        mono = 0.25 * chord * np.clip(np.minimum(t, seconds - t) * 2, 0, 1)
        return np.array([mono, mono]).T

    clip = VideoClip(picture, duration=seconds).with_audio(AudioClip(sound, duration=seconds, fps=44100))
    try:
        clip.write_videofile(
            str(path),
            fps=fps,
            codec="libx264",
            audio_codec="aac",
            preset="veryfast",
            pixel_format="yuv420p",
            ffmpeg_params=["-movflags", "+faststart"],
            temp_audiofile_path=str(path.parent),
            logger=None,
        )
    finally:
        clip.close()
    return path


def _dunes(width: int, height: int) -> Any:
    """A wide picture of dunes under a low sun: an array of height x width x 3 bytes."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    view = np.stack([250 - 110 * y / height, 176 - 60 * y / height, 120 + 70 * y / height], axis=-1)
    sun = np.exp(-((x - 0.55 * width) ** 2 + (y - 0.38 * height) ** 2) / (2 * (0.08 * width) ** 2))
    view += sun[..., None] * np.array([60, 80, 40])
    for layer, shade in enumerate(((196, 110, 92), (150, 74, 84), (92, 48, 74))):
        crest = height * (0.58 + 0.13 * layer) + np.sin(x / width * (7 + 3 * layer) + layer * 1.7) * height * 0.035
        view[y > crest] = shade
    return np.clip(view, 0, 255).astype(np.uint8)
