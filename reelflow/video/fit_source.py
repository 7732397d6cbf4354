"""What a fit has to know of a file besides its facts: which streams, and how their colours and sound are stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from av.error import FFmpegError

from reelflow.errors import VideoUnreadable
from reelflow.video.containers import content_end, outline
from reelflow.video.probe import VideoFacts, is_cover, open_video, reason_of
from reelflow.video.reading import open_container, read_index, read_packets, source_name

_MATRICES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc", 10: "bt2020c"}
"""Matrix coefficients of ITU-T H.273 as FFmpeg's filters name them."""
_FULL_RANGE = 2
_HD = 720
"""Lines: a larger picture that does not tell its colours has those of HD television, a smaller one those of SD."""


@dataclass(frozen=True)
class FitSource:
    """What is fitted.

    Attributes:
        input: The file, as FFmpeg is told to read it.
        facts: What was found in it.
        picture: The index of its picture's stream.
        sound: That of its sound; None without sound, or where no track of it can be decoded.
        seconds: From the first moment of the two to the last one.
        is_interlaced: Whether each picture is two half pictures.
        matrix: How its colours are stored, by FFmpeg's name; guessed from its size if it does not tell.
        is_full_range: Whether black is 0 and not 16.
    """

    input: str
    facts: VideoFacts
    picture: int
    sound: int | None
    seconds: float = 0.0
    is_interlaced: bool = False
    matrix: str = "bt709"
    is_full_range: bool = False

    @property
    def has_lost_sound(self) -> bool:
        """Whether it has sound of which nothing can be decoded."""
        return self.facts.audio_codec is not None and self.sound is None


def read_source(path: Path, facts: VideoFacts, up_to: float | None = None) -> FitSource:
    """What a fit has to know of a file that was probed; decodes one frame.

    Args:
        path: Of the file.
        facts: What it is.
        up_to: Of a file without an index, read no more than so many seconds.

    Raises:
        VideoUnreadable: it cannot be read any more.
    """
    with open_video(path) as file:
        shape = outline(file)
        end = shape.size if shape.kind == "mp4" else content_end(file, shape.size)
    before = end if end < shape.size else None
    try:
        with open_container(path, before) as container:
            stream = next(s for s in container.streams.video if not is_cover(s))
            stream.codec_context.thread_count = 1
            sounds = [s for s in container.streams.audio if s.codec_context is not None][:1]
            found = read_index(container, stream, shape.size, sounds) or read_packets(container, stream, up_to, sounds)
            frame, _, span, _ = found
            if frame is None:
                raise VideoUnreadable("corrupt", "no frame can be decoded", "Export the video again.")
            return FitSource(
                input=source_name(path, before),
                facts=facts,
                picture=stream.index,
                sound=sounds[0].index if sounds else None,
                seconds=span[1] - span[0] if span else facts.duration,
                is_interlaced=bool(frame.interlaced_frame),
                matrix=_matrix(frame),
                is_full_range=int(frame.color_range) == _FULL_RANGE or frame.format.name.startswith("yuvj"),
            )
    except (FFmpegError, StopIteration, ValueError) as error:
        raise VideoUnreadable("corrupt", reason_of(error), "Export the video again.") from None


def _matrix(frame: Any) -> str:
    guessed = "bt709" if min(frame.width, frame.height) >= _HD else "smpte170m"
    return _MATRICES.get(int(frame.colorspace), guessed)
