"""Real video files for the tests, made with the ffmpeg that comes with moviepy.

One recipe for each kind of awkward file that people really have: turned phone recordings, pixels that are not
square, cover art, cut-off copies. Small and short, so that all of them take a few seconds to make.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg

H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
AAC = ["-c:a", "aac", "-b:a", "32k"]


def ffmpeg(*args: str) -> None:
    """Run ffmpeg; its words become the test's failure."""
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *args],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def variant(path: Path, number: int) -> Path:
    """The same MP4 with other bytes, beside it: for the ledger, which compares content, another video."""
    other = path.with_name(f"{path.stem}-{number}{path.suffix}")
    if not other.exists():
        other.write_bytes(path.read_bytes() + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
    return other


def numbered(folder: Path, number: int) -> Path:
    """A small video that is another one for a check of pictures and length, too."""
    path = folder / f"numbered-{number}.mp4"
    if not path.exists():
        seconds = 3.2 + 0.2 * number
        ffmpeg(*picture("270x480", "30", seconds), *tone(seconds), *H264, *AAC, str(path))
    return path


def picture(size: str = "270x480", rate: str = "30", seconds: float = 4, kind: str = "testsrc2") -> list[str]:
    """Input arguments for a moving test picture."""
    return ["-f", "lavfi", "-i", f"{kind}=s={size}:r={rate}:d={seconds}"]


def tone(seconds: float = 4) -> list[str]:
    """Input arguments for a sound."""
    return ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]


@dataclass(frozen=True)
class Recipe:
    """How one file is made, and what must be found in it."""

    name: str
    make: Callable[[Path], None]
    errors: set[str] = field(default_factory=set)
    warnings: set[str] = field(default_factory=set)
    displayed: tuple[int, int] | None = None
    duration: float | None = None


def _plain(*, size: str = "1080x1920", seconds: float = 4, rate: str = "30", extra: tuple[str, ...] = ()) -> Callable:
    def make(path: Path) -> None:
        ffmpeg(*picture(size, rate, seconds), *tone(seconds), *H264, *AAC, "-movflags", "+faststart", *extra, str(path))

    return make


def _codec(*codec: str, rate: str = "30", size: str = "540x960") -> Callable:
    def make(path: Path) -> None:
        ffmpeg(*picture(size, rate), *tone(), *codec, str(path))

    return make


def _rotated(degrees: int, size: str = "960x540") -> Callable:
    def make(path: Path) -> None:
        lying = path.with_name(f"lying-{path.name}")
        ffmpeg(*picture(size), *tone(), *H264, *AAC, str(lying))
        ffmpeg("-display_rotation", str(degrees), "-i", str(lying), "-c", "copy", "-movflags", "+faststart", str(path))

    return make


def _cut(make: Callable, keep: float) -> Callable:
    def shorter(path: Path) -> None:
        make(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])

    return shorter


def _sound_only(path: Path) -> None:
    ffmpeg(*tone(), *AAC, str(path))


def _cover_art(path: Path) -> None:
    cover = path.with_name("cover.jpg")
    ffmpeg(*picture("270x480"), "-frames:v", "1", str(cover))
    ffmpeg(*tone(), "-i", str(cover), "-map", "0", "-map", "1", *AAC, "-c:v", "copy",
           "-disposition:v:0", "attached_pic", str(path))  # fmt: skip


def _cover_and_video(path: Path) -> None:
    cover = path.with_name("cover2.jpg")
    ffmpeg(*picture("480x270"), "-frames:v", "1", str(cover))
    ffmpeg("-i", str(cover), *picture("540x960"), *tone(), "-map", "0", "-map", "1", "-map", "2", *AAC,
           "-c:v:0", "copy", "-c:v:1", "libx264", "-preset", "ultrafast", "-pix_fmt:v:1", "yuv420p",
           "-disposition:v:0", "attached_pic", "-movflags", "+faststart", str(path))  # fmt: skip


def _variable(path: Path) -> None:
    ffmpeg(*picture("540x960", "60"), *tone(), "-vf", "select='not(mod(n,4))+gt(t,2)'", "-fps_mode", "vfr",
           *H264, *AAC, "-movflags", "+faststart", str(path))  # fmt: skip


def _no_duration(path: Path) -> None:
    """A Matroska file written to a pipe: no duration and no size in its head."""
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture("540x960"), *tone(), *H264, *AAC,
         "-f", "matroska", "-live", "1", "pipe:1"], capture_output=True, check=True, timeout=120)  # fmt: skip
    path.write_bytes(done.stdout)


def _text(path: Path) -> None:
    path.write_text("This is a shopping list, not a video.\n" * 50)


def _picture_file(path: Path) -> None:
    png = path.with_suffix(".png")
    ffmpeg(*picture("270x480"), "-frames:v", "1", str(png))
    png.rename(path)


def _gif(path: Path) -> None:
    gif = path.with_suffix(".gif")
    ffmpeg(*picture("270x480", "10"), str(gif))
    gif.rename(path)


def _hole(size: int) -> Callable:
    """A whole video, grown by an empty box that takes no room on the disk."""

    def make(path: Path) -> None:
        _plain(size="540x960")(path)
        with path.open("r+b") as file:
            whole = path.stat().st_size
            file.seek(whole)
            file.write((size - whole).to_bytes(4, "big") + b"free")
            file.truncate(size)

    return make


def _hdr(curve: str = "smpte2084", size: str = "540x960") -> Callable:
    def make(path: Path) -> None:
        told = f"setparams=color_primaries=bt2020:color_trc={curve}:colorspace=bt2020nc"
        ffmpeg(*picture(size), *tone(), "-vf", told, "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt",
               "yuv420p10le", "-x265-params",
               f"log-level=error:colorprim=bt2020:transfer={curve}:colormatrix=bt2020nc", "-color_primaries", "bt2020",
               "-color_trc", curve, "-colorspace", "bt2020nc", "-tag:v", "hvc1", *AAC, "-movflags", "+faststart",
               str(path))  # fmt: skip

    return make


def _surround(path: Path) -> None:
    """Six channels, of which the two in front have a tone each, and the others none."""
    front = "aevalsrc=0.3*sin(880*PI*t)|0.3*sin(660*PI*t)|0|0|0|0:c=5.1:d=4"
    ffmpeg(*picture("540x960"), "-f", "lavfi", "-i", front, *H264, "-c:a", "aac", "-b:a", "192k",
           "-movflags", "+faststart", str(path))  # fmt: skip


def _late_sound(path: Path) -> None:
    """Sound that begins half a second after the picture: an edit list says so."""
    ffmpeg(*picture("960x540"), "-itsoffset", "0.5", *tone(3.5), *H264, *AAC, "-movflags", "+faststart", str(path))


def _three_hours(path: Path) -> None:
    ffmpeg(*picture("64x36", "1", 10800), *H264, "-movflags", "+faststart", str(path))


def _trimmed(path: Path) -> None:
    """Ten seconds cut to five without encoding again: an edit list hides the rest."""
    whole = path.with_name("whole.mp4")
    ffmpeg(*picture("540x960", seconds=10), *tone(10), *H264, "-g", "300", *AAC, str(whole))
    ffmpeg("-ss", "3", "-i", str(whole), "-t", "5", "-c", "copy", "-movflags", "+faststart", str(path))


def _lying_header(path: Path) -> None:
    """A head that says 40 s over 4 s of video: every duration in it multiplied by ten."""
    _plain(size="540x960")(path)
    data = bytearray(path.read_bytes())
    for box, skip in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        at = -1
        while (at := data.find(box, at + 1)) >= 0:
            field_at = at + skip
            data[field_at : field_at + 4] = (int.from_bytes(data[field_at : field_at + 4], "big") * 10).to_bytes(
                4, "big"
            )
    path.write_bytes(data.replace(b"elst", b"free"))  # an edit list would cut it to the truth again


def _replaced(make: Callable, was: bytes, now: bytes) -> Callable:
    """The same file with some of its bytes replaced by as many others."""

    def other(path: Path) -> None:
        make(path)
        data = path.read_bytes()
        assert was in data
        assert len(was) == len(now)
        path.write_bytes(data.replace(was, now))

    return other


def _grown(make: Callable, size: int) -> Callable:
    """A whole video that ends in zeros which take no room on the disk, as of a download that was given up."""

    def larger(path: Path) -> None:
        make(path)
        with path.open("r+b") as file:
            file.truncate(size)

    return larger


def _with_gaps(path: Path) -> None:
    """An AVI that counts a slot for each millisecond, and has frames in few of them."""
    film = path.with_suffix(".mkv")
    ffmpeg(*picture("540x960"), *tone(), "-c:v", "mjpeg", "-c:a", "libmp3lame", str(film))
    ffmpeg("-i", str(film), "-c", "copy", str(path))


SMALL = _plain(size="270x480")
RECIPES = [
    Recipe("lying-header.mp4", _lying_header, displayed=(540, 960), duration=4),
    Recipe("good.mp4", _plain(), displayed=(1080, 1920), duration=4),
    Recipe("recommended.mp4", _plain(size="540x960"), displayed=(540, 960)),
    Recipe("small.mp4", SMALL, warnings={"resolution"}, displayed=(270, 480)),
    Recipe("good.mov", _plain(size="540x960"), displayed=(540, 960)),
    Recipe("capital.MP4", _plain(size="540x960")),
    Recipe("umlaut-ü-日本 space.mp4", _plain(size="540x960")),
    Recipe("landscape.mp4", _plain(size="1920x1080"), {"aspect"}, displayed=(1920, 1080)),
    Recipe("square.mp4", _plain(size="1080x1080"), {"aspect"}),
    Recipe("four-to-five.mp4", _plain(size="1080x1350"), {"aspect"}),
    Recipe("almost.mp4", _plain(size="1080x1904"), displayed=(1080, 1904)),
    Recipe("not-quite.mp4", _plain(size="1080x1890"), {"aspect"}),
    Recipe("phone-90.mp4", _rotated(90), displayed=(540, 960)),
    Recipe("phone-270.mov", _rotated(-90), displayed=(540, 960)),
    Recipe("phone-180.mp4", _rotated(180, "540x960"), displayed=(540, 960)),
    Recipe("turned-away.mp4", _rotated(90, "540x960"), {"aspect"}, displayed=(960, 540)),
    Recipe(
        "wide-pixels.mp4",
        _plain(size="540x540", extra=("-vf", "setsar=9/16")),
        {"aspect"} - {"aspect"},
        {"resolution"},
        displayed=(304, 540),
    ),
    Recipe("false-upright.mp4", _plain(size="540x960", extra=("-vf", "setsar=2/1")), {"aspect"}),
    Recipe("short.mp4", _plain(size="540x960", seconds=2), {"duration"}, duration=2),
    Recipe("three.mp4", _plain(size="540x960", seconds=3)),
    Recipe("ninety.mp4", _plain(size="540x960", seconds=90, rate="5"), duration=90),
    Recipe("long.mp4", _plain(size="540x960", seconds=91, rate="5"), {"duration"}, duration=91),
    Recipe("trimmed.mp4", _trimmed, displayed=(540, 960)),
    Recipe(
        "silent.mp4",
        lambda p: ffmpeg(*picture("540x960"), *H264, "-movflags", "+faststart", str(p)),
        warnings={"audio"},
    ),
    Recipe(
        "index-last.mp4", lambda p: ffmpeg(*picture("540x960"), *tone(), *H264, *AAC, str(p)), warnings={"faststart"}
    ),
    Recipe("fragmented.mp4", _plain(size="540x960", extra=("-movflags", "frag_keyframe+empty_moov")), duration=4),
    Recipe("hevc-hdr.mp4", _hdr(), warnings={"codec", "bit_depth", "hdr"}),
    Recipe("hlg.mp4", _hdr("arib-std-b67", "960x540"), {"aspect"}, {"codec", "bit_depth", "hdr"}),
    Recipe("surround.mp4", _surround, warnings={"audio_channels"}, displayed=(540, 960), duration=4),
    Recipe("late-sound.mp4", _late_sound, {"aspect"}, displayed=(960, 540), duration=4),
    Recipe("four-k.mp4", _plain(size="3840x2160", rate="10", seconds=3), {"aspect"}, duration=3),
    Recipe(
        "interlaced.mp4",
        _plain(size="720x576", rate="25", extra=("-flags", "+ildct+ilme", "-x264opts", "tff=1", "-vf", "setsar=64/45")),
        {"aspect"},
        displayed=(1024, 576),
    ),
    Recipe("three-hours.mp4", _three_hours, {"duration", "aspect"}, {"resolution", "audio"}, duration=10800),
    Recipe(
        "ten-bit.mp4",
        _codec("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-movflags", "+faststart", *AAC),
        warnings={"bit_depth"},
    ),
    Recipe("fast.mp4", _plain(size="540x960", rate="120"), warnings={"frame_rate"}),
    Recipe("variable.mp4", _variable, warnings={"variable_frame_rate"}),
    Recipe("film.mkv", _codec(*H264, *AAC), displayed=(540, 960), duration=4),
    Recipe("web.webm", _codec("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis"), warnings={"codec"}),
    Recipe("old.avi", _codec("-c:v", "mpeg4", "-c:a", "libmp3lame"), warnings={"codec"}),
    Recipe("gaps.avi", _with_gaps, warnings={"codec"}, duration=4),
    Recipe("flash.flv", _codec("-c:v", "flv1", "-c:a", "libmp3lame", "-ar", "44100"), warnings={"codec"}),
    Recipe("program.mpg", _codec("-c:v", "mpeg2video", "-c:a", "mp2"), warnings={"codec"}, duration=4),
    Recipe("no-duration.mkv", _no_duration, displayed=(540, 960), duration=4),
    Recipe(
        "actually-mkv.mp4",
        lambda p: ffmpeg(*picture("540x960"), *tone(), *H264, *AAC, "-f", "matroska", str(p)),
        warnings={"ending"},
    ),
    Recipe("sound.mp4", _sound_only, {"video"}),
    Recipe("cover-art.mp4", _cover_art, {"video"}),
    Recipe("cover-and-video.mp4", _cover_and_video, displayed=(540, 960)),
    Recipe("cut-tail.mp4", _cut(SMALL, 0.7), {"corrupt"}),
    Recipe("cut-index.mp4", _cut(lambda p: ffmpeg(*picture(), *tone(), *H264, *AAC, str(p)), 0.7), {"corrupt"}),
    Recipe("cut.mkv", _cut(_codec(*H264, *AAC), 0.7), {"corrupt"}),
    Recipe("cut.avi", _cut(_codec("-c:v", "mpeg4", "-c:a", "libmp3lame"), 0.7), {"corrupt"}),
    Recipe("cut.flv", _cut(_codec("-c:v", "flv1", "-c:a", "libmp3lame", "-ar", "44100"), 0.6), {"corrupt"}),
    Recipe("list.mp4", _text, {"unreadable"}),
    Recipe("empty.mp4", lambda p: p.write_bytes(b""), {"unreadable"}),
    Recipe("zeros.mp4", lambda p: p.write_bytes(bytes(5000)), {"unreadable"}),
    Recipe("picture.mp4", _picture_file, {"format"}),
    Recipe("moving-picture.mp4", _gif, {"format"}),
    Recipe("video.m4v", lambda p: (SMALL(q := p.with_suffix(".mp4")), q.rename(p)), {"format"}, {"resolution"}),
    Recipe("large.mp4", _hole(64_000_000), displayed=(540, 960)),
    Recipe(
        "latin-title.mp4",
        _replaced(_plain(size="540x960", extra=("-metadata", "title=Cafe!")), b"Cafe!", b"Caf\xe9!"),
        displayed=(540, 960),
    ),
    Recipe("new-codec.mp4", _replaced(_plain(size="540x960"), b"avc1", b"zzzz"), {"video"}),
    Recipe("new-codec.mkv", _replaced(_codec(*H264, *AAC), b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"), {"video"}),
    Recipe(
        "new-sound.mkv",
        _replaced(_codec(*H264, *AAC), b"A_AAC", b"A_XYZ"),
        warnings={"audio_codec"},
        displayed=(540, 960),
    ),
    Recipe("grown.mkv", _grown(_codec(*H264, *AAC), 450_000_000), set(), {"large"}, displayed=(540, 960), duration=4),
    Recipe("grown-live.mkv", _grown(_no_duration, 450_000_000), set(), {"large"}, displayed=(540, 960), duration=4),
    Recipe(
        "grown.avi",
        _grown(_codec("-c:v", "mpeg4", "-c:a", "libmp3lame"), 450_000_000),
        warnings={"codec", "large"},
        duration=4,
    ),
    Recipe("huge.mkv", _grown(_codec(*H264, *AAC), 5_000_000_000), {"size"}),
    Recipe("huge.avi", _grown(_codec("-c:v", "mpeg4", "-c:a", "libmp3lame"), 501_000_000), {"size"}),
    Recipe("huge.txt", _grown(_text, 501_000_000), {"size", "format"}),
    Recipe("huge.mp4", _hole(501_000_000), {"size"}, displayed=(540, 960)),
]
BY_NAME = {recipe.name: recipe for recipe in RECIPES}
