"""What a fit does, as functions of what the file is."""

from fractions import Fraction
from pathlib import Path

import pytest

from reelflow.video.ffmpeg import _failure
from reelflow.video.fit_command import constant_rate, expected_bytes, fitting_command, lay_out, picture_filters
from reelflow.video.fit_settings import How
from reelflow.video.fit_source import FitSource
from reelflow.video.probe import VideoFacts
from reelflow.video.rules import Limits

FACTS = VideoFacts(
    size_bytes=10_000_000,
    container="mov,mp4,m4a,3gp,3g2,mj2",
    duration=20,
    width=1920,
    height=1080,
    rotation=0,
    fps=30,
    variable_frame_rate=False,
    video_codec="h264",
    bit_depth=8,
    hdr=None,
    audio_codec="aac",
    audio_channels=2,
    faststart=True,
)
LIMITS = Limits()


def source(**changes: object) -> FitSource:
    """A file with these facts, or stored in this way."""
    ours = {name: changes.pop(name) for name in list(changes) if name not in VideoFacts.model_fields}
    return FitSource(
        **{"input": "file:/clip.mp4", "facts": FACTS.model_copy(update=changes), "picture": 0, "sound": 1} | ours
    )


@pytest.mark.parametrize(
    ("size", "how", "canvas", "picture"),
    [
        ((1920, 1080), "pad", (1080, 1920), (1080, 608)),
        ((1920, 1080), "blur", (1080, 1920), (1080, 608)),
        ((1920, 1080), "crop", (608, 1080), (608, 1080)),
        ((3840, 2160), "pad", (1080, 1920), (1080, 608)),
        ((3840, 2160), "crop", (1080, 1920), (1080, 1920)),
        ((1080, 1080), "pad", (1080, 1920), (1080, 1080)),
        ((1080, 1350), "pad", (1080, 1920), (1080, 1350)),
        ((720, 900), "pad", (720, 1280), (720, 900)),
        ((640, 360), "pad", (640, 1138), (640, 360)),
        ((480, 270), "pad", (540, 960), (540, 304)),
        ((600, 2400), "pad", (1080, 1920), (480, 1920)),
        ((600, 2400), "crop", (600, 1066), (600, 1066)),
        ((1080, 1904), "pad", (1080, 1904), (1080, 1904)),
        ((2160, 3840), "crop", (1080, 1920), (1080, 1920)),
        ((270, 480), "pad", (540, 960), (540, 960)),
        ((3000, 20), "pad", (1080, 1920), (1080, 8)),
        ((3000, 20), "crop", (540, 960), (540, 960)),
    ],
)
def test_the_canvas_is_no_larger_than_the_picture_needs(
    size: tuple[int, int], how: How, canvas: tuple[int, int], picture: tuple[int, int]
) -> None:
    """540x960 at least, 1080x1920 at most; even sizes, and what is almost 9:16 gets no bars."""
    layout = lay_out(FACTS.model_copy(update={"width": size[0], "height": size[1]}), how, LIMITS)

    assert (layout.canvas, layout.picture) == (canvas, picture)
    assert abs(canvas[0] / canvas[1] / LIMITS.aspect - 1) <= LIMITS.aspect_tolerance


@pytest.mark.parametrize(
    ("size", "how", "enlarged"),
    [((1920, 1080), "pad", False), ((1920, 1080), "crop", False), ((480, 270), "pad", True), ((270, 480), "pad", True),
     ((640, 360), "crop", True), ((640, 360), "blur", False)],
)  # fmt: skip
def test_a_picture_that_is_scaled_up_is_known(size: tuple[int, int], how: How, enlarged: bool) -> None:
    """So that it can be said; a pixel of rounding does not count."""
    layout = lay_out(FACTS.model_copy(update={"width": size[0], "height": size[1]}), how, LIMITS)

    assert (layout.enlarged > 1.01) is enlarged


@pytest.mark.parametrize(
    ("fps", "varies", "rate"),
    [
        (30, False, Fraction(30)),
        (29.97, False, Fraction(30000, 1001)),
        (23.976, False, Fraction(24000, 1001)),
        (25, False, Fraction(25)),
        (50, False, Fraction(50)),
        (59.94, False, Fraction(60000, 1001)),
        (29.75, False, Fraction(30)),
        (15, False, Fraction(30)),
        (120, False, Fraction(60)),
        (240, False, Fraction(60)),
        (33, False, Fraction(30)),
        (29.97, True, Fraction(30)),
        (22, True, Fraction(30)),
        (57, True, Fraction(60)),
        (None, False, Fraction(30)),
    ],
)
def test_the_frame_rate_is_constant_and_usual(fps: float | None, varies: bool, rate: Fraction) -> None:
    """The source's own from 23 to 60, else the nearer one of 30 and 60."""
    assert constant_rate(fps, varies=varies) == rate


@pytest.mark.parametrize(
    ("changes", "has", "has_not"),
    [
        ({}, ["scale=1080:608"], ["tonemap", "bwdif", "crop", "overlay"]),
        ({"hdr": "PQ"}, ["tin=smpte2084", "tonemap=mobius"], ["in_color_matrix"]),
        ({"hdr": "HLG"}, ["tin=arib-std-b67", "tonemap=mobius"], ["in_color_matrix"]),
        ({"matrix": "bt2020nc"}, ["min=bt2020nc", "p=bt709"], ["tonemap"]),
        ({"matrix": "smpte170m"}, ["in_color_matrix=smpte170m:out_color_matrix=bt709"], []),
        ({"is_full_range": True}, ["in_range=full:out_range=limited"], []),
        ({"is_interlaced": True}, ["bwdif"], []),
    ],
    ids=str,
)
def test_the_filters_are_those_that_a_file_needs(changes: dict, has: list[str], has_not: list[str]) -> None:
    """Colours end as those of HD television, whatever they were."""
    its = source(**changes)

    graph = picture_filters(its, lay_out(its.facts, "pad", LIMITS), Fraction(30))

    assert all(each in graph for each in [*has, "setparams=range=tv:color_primaries=bt709"])
    assert not any(each in graph for each in has_not)


def test_a_long_file_is_read_no_further_than_it_is_used() -> None:
    """The end stands before the input: nothing behind it is decoded."""
    its = source(duration=10800.0)

    command = fitting_command(its, lay_out(its.facts, "pad", LIMITS), Path("/to.mp4"), seconds=89.95)

    assert command.index("-t") < command.index("-i")
    assert command[command.index("-t") + 1] == "89.95"


def test_a_fit_is_far_below_the_limit_of_its_size() -> None:
    """At the highest bit rate that it may have, and as long as may be published: below the advised size, too."""
    assert expected_bytes(LIMITS.max_duration) < LIMITS.advised_bytes


@pytest.mark.parametrize(
    ("code", "said", "reason", "is_full"),
    [
        (228, ["[out#0/mp4 @ 0x1] Error muxing a packet", "[mp4 @ 0x1] No space left on device", "Conversion failed!"],
         "No space left on device", True),
        (-25, [], "ffmpeg was killed by signal 25", True),
        (-9, [], "ffmpeg was killed by signal 9, as happens when a machine runs out of memory", False),
        (1, ["[h264 @ 0x2] [warn] Invalid data found", "Conversion failed!"], "Invalid data found", False),
        (234, ["[vf#0:0 @ 0x3] Invalid too big or non positive size", "[vf#0:0 @ 0x3] Error while filtering: odd",
               "[vf#0:0 @ 0x3] Terminating thread with return code -22 (Invalid argument)"],
         "Invalid too big or non positive size", False),
        (1, [], "exit code 1", False),
    ],
)  # fmt: skip
def test_the_last_words_of_ffmpeg_become_one_line(code: int, said: list[str], reason: str, is_full: bool) -> None:
    """The cause, and whether that is a full disk."""
    error = _failure(code, said)

    assert (error.reason, error.is_full) == (reason, is_full)
