"""The arguments of one ffmpeg for one fit: pure functions of what the file is and of what is wanted.

The targets are what TikTok, Instagram and YouTube ask for: H.264 High, 8 bit, Rec. 709, at most 1080x1920, a constant
frame rate of 23 to 60, a closed group of pictures of at most two seconds, AAC in stereo with 48 kHz, the index at the
front, and no edit lists, which Instagram does not document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from reelflow.video.fit_settings import How
from reelflow.video.fit_source import FitSource
from reelflow.video.probe import VideoFacts
from reelflow.video.rules import Limits

RECIPE = 1
"""To be raised with every change of this file that changes results: fits that were kept before are not used then."""
WIDEST = 1080
"""Pixels: no platform shows more."""
NARROWEST = 4
"""Pixels of the width that a picture cut to 9:16 has: of less, the filters of colours in half size leave nothing."""
TRIMMED_SECONDS = 89.95
"""Of a video that is too long. The end of its last sound packet still lies within 90 s."""
QUALITY = ("-preset", "veryfast", "-crf", "19")
"""Platforms encode it again: what counts is that nothing visible is lost before. 'medium' takes twice as long."""
MOST_BITS = {30: 12_000_000, 60: 18_000_000}
"""Bits per second by frame rate: 90 s have at most 205 MB."""
SOUND_BITS = 192_000
GOP_SECONDS = 2
AAC_DELAY = 1024
"""Samples that FFmpeg's AAC encoder puts before the sound. An edit list would hide them; in place of one, as many
samples of the sound are cut off its beginning, so that all that follows is in time."""
LOUDNESS, TRUE_PEAK, LOUDNESS_RANGE = -14.0, -1.0, 11.0
"""LUFS, dBTP and LU."""

_USUAL_RATES = [
    Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(48), Fraction(50),
    Fraction(60000, 1001), Fraction(60),
]  # fmt: skip
_RATE_SLACK = 0.015
"""Share by which a measured rate may be off: a few frames may be missing, and some containers round times to 1 ms."""
_SLOWEST = 22.9
_FAST = 45
"""Frames per second from which 60 is nearer in what people see than 30."""
_BLUR_SHARE = 6
"""The background is blurred at a sixth of its size: nobody sees the difference, and it takes a tenth of the time."""


def is_trimmed(seconds: float, limits: Limits) -> bool:
    """Whether a fit of a video of so many seconds has only its beginning."""
    return seconds > limits.max_duration + limits.duration_slack


@dataclass(frozen=True)
class Layout:
    """Where the picture lies on the canvas; all in pixels.

    Attributes:
        canvas: Width and height of the result.
        picture: Width and height of the picture on it.
        seen: The shares of the source's width and height that are seen; below 1 where it is cropped.
        how: What fills the rest; None where nothing has to.
        enlarged: By how much the picture is scaled up: 2.0 is twice as wide.
    """

    canvas: tuple[int, int]
    picture: tuple[int, int]
    seen: tuple[float, float] = (1.0, 1.0)
    how: How | None = None
    enlarged: float = 1.0


def lay_out(facts: VideoFacts, how: How, limits: Limits) -> Layout:
    """The canvas that the source needs and no larger one, at least 540x960 and at most 1080x1920, and its picture."""
    ratio = facts.width / facts.height / limits.aspect
    if abs(ratio - 1) <= limits.aspect_tolerance:
        scale = min(1.0, WIDEST / facts.width, WIDEST / limits.aspect / facts.height)
        scale = max(scale, limits.min_width / facts.width, limits.min_height / facts.height)
        canvas = (_even(scale * facts.width), _even(scale * facts.height))
        return Layout(canvas, canvas, enlarged=scale)
    choose = min if how == "crop" else max
    natural = choose(facts.width, facts.height * limits.aspect)
    width = _even(min(max(natural, limits.min_width), WIDEST))
    canvas = (width, _even(width / limits.aspect))
    if how == "crop":
        seen = (min(1.0, 1 / ratio), min(1.0, ratio))
        return Layout(canvas, canvas, seen, how, enlarged=width / natural)
    scale = min(canvas[0] / facts.width, canvas[1] / facts.height)
    picture = (min(canvas[0], _even(facts.width * scale)), min(canvas[1], _even(facts.height * scale)))
    return Layout(canvas, picture, how=how, enlarged=scale)


def _even(pixels: float) -> int:
    return max(2, 2 * round(pixels / 2))


def constant_rate(fps: float | None, *, varies: bool) -> Fraction:
    """The frame rate of the result: the source's own if that is constant and usual, else 30 or 60."""
    nearest = Fraction(60) if fps is not None and fps >= _FAST else Fraction(30)
    if fps is None or varies or not _SLOWEST <= fps <= 60.5:
        return nearest
    exact = [rate for rate in _USUAL_RATES if abs(float(rate) - fps) < 0.01]
    about = [rate for rate in _USUAL_RATES if rate.denominator == 1 and abs(float(rate) - fps) < _RATE_SLACK * fps]
    return next(iter([*exact, *about]), nearest)


def picture_filters(source: FitSource, layout: Layout, rate: Fraction) -> str:
    """The filter graph from the picture ``[in]`` to ``[out]``, turned upright by ffmpeg before."""
    chain = ["bwdif=mode=send_frame:deint=interlaced"] if source.is_interlaced else []
    chain.append(f"fps={rate.numerator}/{rate.denominator}:start_time=0")
    if layout.seen != (1.0, 1.0):
        chain.append(f"crop=iw*{layout.seen[0]:.6f}:ih*{layout.seen[1]:.6f}")
    chain += [*_scaled(source, *layout.picture), "format=yuv420p", "setsar=1"]
    end = ",setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709[out]"
    start = f"[in]{','.join(chain)}"
    if layout.picture == layout.canvas:
        return start + end
    width, height = layout.canvas
    x, y = ((whole - part) // 4 * 2 for whole, part in zip(layout.canvas, layout.picture, strict=True))
    if layout.how == "pad":
        return f"{start},pad={width}:{height}:{x}:{y}{end}"
    small = [_even(each / _BLUR_SHARE) for each in layout.canvas]
    behind = (
        f"crop='min(iw,ih*{width}/{height})':'min(ih,iw*{height}/{width})',scale={small[0]}:{small[1]},"
        f"boxblur=6:2,scale={width}:{height}:flags=bicubic,setsar=1"
    )
    return f"{start},split[front][copy];[copy]{behind}[behind];[behind][front]overlay={x}:{y}{end}"


def _scaled(source: FitSource, width: int, height: int) -> list[str]:
    """The filters that scale a picture, and bring its colours to those of HD television."""
    colours = "full" if source.is_full_range else "limited"
    size = f"zscale={width}:{height}:f=bicubic"
    if source.facts.hdr is not None:
        curve = {"PQ": "smpte2084", "HLG": "arib-std-b67"}[source.facts.hdr]
        # 203 cd/m² is the white of HDR (ITU-R BT.2408). Mobius keeps what is darker as it is; Hable would dim it.
        return [
            size,
            f"zscale=tin={curve}:pin=bt2020:min=bt2020nc:rin={colours}:t=linear:npl=203",
            "format=gbrpf32le",
            "zscale=p=bt709",
            "tonemap=mobius:desat=0",
            "zscale=t=bt709:m=bt709:r=limited",
        ]
    if source.matrix.startswith("bt2020"):  # wide colours in standard range
        kept = f"tin=bt709:pin=bt2020:min={source.matrix}:rin={colours}"
        return [f"{size}:{kept}:t=bt709:p=bt709:m=bt709:r=limited"]
    converted = f"in_color_matrix={source.matrix}:out_color_matrix=bt709:in_range={colours}:out_range=limited"
    return [f"scale={width}:{height}:flags=bicubic:{converted}"]


def sound_filters(loudness: Sequence[str] = ()) -> str:
    """The filters of the sound: without gaps from the first moment on, stereo, and without the encoder's delay."""
    even = "aresample=osr=48000:ochl=stereo:rematrix_maxval=1:async=1:first_pts=0"
    return ",".join([even, *loudness, f"atrim=start_sample={AAC_DELAY}", "asetpts=PTS-STARTPTS"])


def measuring_command(source: FitSource, seconds: float | None) -> list[str]:
    """The arguments that measure the loudness of the sound; the last lines of standard error are JSON then."""
    wanted = f"loudnorm=I={LOUDNESS:g}:TP={TRUE_PEAK:g}:LRA={LOUDNESS_RANGE:g}:print_format=json"
    return [
        *_input(source, seconds), "-map", f"0:{source.sound}", "-af",
        f"aresample=osr=48000:ochl=stereo:rematrix_maxval=1,{wanted}", "-f", "null", "-",
    ]  # fmt: skip


def fitting_command(
    source: FitSource, layout: Layout, to: Path, *, seconds: float | None = None, loudness: Sequence[str] = ()
) -> list[str]:
    """The arguments of the whole fit.

    Args:
        source: What is fitted.
        layout: Of the picture.
        to: The file to write.
        seconds: Where to end; None for all of it.
        loudness: Filters that bring the sound to its loudness.
    """
    rate = constant_rate(source.facts.fps, varies=source.facts.variable_frame_rate)
    most = MOST_BITS[30 if rate <= 31 else 60]
    graph = picture_filters(source, layout, rate).replace("[in]", f"[0:{source.picture}]", 1)
    maps = ["-map", "[out]"]
    sound = ["-an"]
    if source.sound is not None:
        graph += f";[0:{source.sound}]{sound_filters(loudness)}[sound]"
        maps += ["-map", "[sound]"]
        sound = ["-c:a", "aac", "-b:a", str(SOUND_BITS), "-ar", "48000", "-ac", "2"]
    return [
        *_input(source, seconds), "-filter_complex", graph, *maps,
        "-c:v", "libx264", *QUALITY, "-profile:v", "high", "-pix_fmt", "yuv420p", "-bf", "2",
        "-g", str(round(GOP_SECONDS * rate)), "-maxrate", str(most), "-bufsize", str(2 * most),
        *sound, *_output(to),
    ]  # fmt: skip


def copying_command(source: FitSource, to: Path) -> list[str]:
    """The arguments that only write the file again as MP4 with its index at the front; nothing is encoded."""
    streams = [index for index in (source.picture, source.sound) if index is not None]
    maps = [word for index in streams for word in ("-map", f"0:{index}")]
    return [
        *_input(source, None), *maps, "-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1",
        "-movflags", "+faststart", "-f", "mp4", str(to),
    ]  # fmt: skip


def _input(source: FitSource, seconds: float | None) -> list[str]:
    end = [] if seconds is None else ["-t", f"{seconds:g}"]
    return ["-protocol_whitelist", "file,subfile", *end, "-i", source.input]


def _output(to: Path) -> list[str]:
    return [
        "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
        "-flags:a", "+bitexact", "-use_editlist", "0", "-movflags", "+faststart+negative_cts_offsets", "-f", "mp4",
        str(to),
    ]  # fmt: skip


def expected_bytes(seconds: float) -> int:
    """The most that a fit of so many seconds takes on the disk."""
    return round(seconds * (max(MOST_BITS.values()) + SOUND_BITS) / 8 * 1.02)
