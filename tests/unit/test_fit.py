"""Real files are made right, and compared with what they were."""

import io
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from support.clips import AAC, H264, ffmpeg, picture, tone

from reelflow.errors import InputError
from reelflow.video import check_video
from reelflow.video.before_after import before_after
from reelflow.video.containers import outline
from reelflow.video.fit import Fitted, fit_video
from reelflow.video.fit_settings import FitSettings, How
from reelflow.video.poster import poster

Clip = Callable[[str], Path]
PAD = FitSettings()

AWKWARD = [
    "turned-away.mp4",
    "false-upright.mp4",
    "interlaced.mp4",
    "four-k.mp4",
    "late-sound.mp4",
    "surround.mp4",
    "hevc-hdr.mp4",
    "hlg.mp4",
    "ten-bit.mp4",
    "fast.mp4",
    "variable.mp4",
    "web.webm",
    "old.avi",
    "flash.flv",
    "program.mpg",
    "grown.mkv",
    "huge.mp4",
]


def pixels(path: Path, at: float = 1.0) -> np.ndarray:
    """A picture of a video in its own size, as numbers."""
    facts = check_video(path).facts
    assert facts is not None
    return np.asarray(Image.open(io.BytesIO(poster(path, at=at, height=facts.height, quality=95))).convert("RGB"))


def without_bars(fitted: Fitted, image: np.ndarray) -> np.ndarray:
    """The part of a padded picture that the original has."""
    height, width, _ = image.shape
    scale = min(width / fitted.facts.width, height / fitted.facts.height)
    x, y = int((width - fitted.facts.width * scale) / 2), int((height - fitted.facts.height * scale) / 2)
    return image[y : height - y or None, x : width - x or None]


def coarse(image: np.ndarray) -> np.ndarray:
    """The mean colours of 8x8 parts of a picture."""
    return np.asarray(Image.fromarray(image).resize((8, 8), Image.Resampling.BOX), dtype=float)


def sound_of(path: Path) -> np.ndarray:
    """Two channels of sound with 48 kHz."""
    resampler = av.AudioResampler("fltp", "stereo", 48000)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)


def pitch(sound: np.ndarray) -> float:
    """The strongest tone in hertz of a second in its middle."""
    middle = sound.shape[-1] // 2
    part = sound[middle - 24000 : middle + 24000]
    return float(np.argmax(np.abs(np.fft.rfft(part * np.hanning(part.size)))))


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_files_become_right_and_stay_what_they_were(clip: Clip, tmp_path: Path, name: str) -> None:
    """Our own check has nothing to say; length, picture and sound are the original's."""
    original = clip(name)
    before = original.stat()

    fitted = fit_video(original, PAD, folder=tmp_path)

    assert fitted.is_changed
    assert fitted.report.problems == []
    facts = fitted.report.facts
    assert facts is not None
    assert abs(facts.duration - fitted.facts.duration) < 0.1
    assert facts.fps is not None
    assert 23 <= facts.fps <= 60.01
    assert pitch(sound_of(fitted.path)[0]) == pytest.approx(440, abs=2)
    seen, was = coarse(without_bars(fitted, pixels(fitted.path))), coarse(pixels(original))
    if fitted.facts.hdr is None:  # of HDR, PyAV's own conversion knows nothing
        assert np.abs(seen - was).mean() < 12
    else:
        assert np.corrcoef(seen.ravel(), was.ravel())[0, 1] > 0.8
    assert (original.stat().st_size, original.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_fit_is_what_platforms_ask_for(clip: Clip, tmp_path: Path) -> None:
    """H.264 High with two B-frames, HD colours, a key frame every two seconds, AAC in stereo, and no edit list."""
    path = fit_video(clip("late-sound.mp4"), PAD, folder=tmp_path).path

    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        keys = [packet.pts * packet.time_base for packet in container.demux(video) if packet.pts is not None
                and packet.is_keyframe]  # fmt: skip
        context = video.codec_context
        assert (context.name, context.profile, context.pix_fmt) == ("h264", "High", "yuv420p")
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (1, 1, 1, 1)
        assert context.has_b_frames
        assert audio.codec_context.name == "aac"
        assert (audio.codec_context.sample_rate, audio.codec_context.channels) == (48000, 2)
    assert keys[0] == 0
    assert max(np.diff([float(key) for key in keys])) <= 2.01
    assert b"elst" not in path.read_bytes()
    with path.open("rb") as file:
        assert outline(file).index_first


def test_sound_stays_in_time_without_an_edit_list(tmp_path: Path) -> None:
    """A flash and a beep at the same moment are still so, also for a player that ignores edit lists."""
    clip = tmp_path / "flash.mp4"
    moments = "lt(mod(t\\,1)\\,0.2)*gt(t\\,0.5)"
    ffmpeg("-f", "lavfi", "-i", f"color=black:s=480x270:r=30:d=4,drawbox=c=white:t=fill:enable='{moments}'",
           "-f", "lavfi", "-i", f"aevalsrc='if({moments}\\,sin(2*PI*1000*t)\\,0)':s=44100:d=4",
           *H264, *AAC, str(clip))  # fmt: skip

    path = fit_video(clip, FitSettings(how="blur"), folder=tmp_path / "kept").path

    with av.open(str(path), options={"ignore_editlist": "1"}) as container:
        bright = [(frame.time, frame.to_ndarray(format="gray").mean() > 128) for frame in container.decode(video=0)]
    flashes = [at for (at, now), (_, before) in zip(bright[1:], bright, strict=False) if now and not before]
    loud = np.flatnonzero(np.abs(sound_of(path)[0]) > 0.2) / 48000
    beeps = [float(at) for at, gap in zip(loud, np.diff(loud, prepend=-1), strict=True) if gap > 0.5]
    assert flashes == pytest.approx([1, 2, 3], abs=0.001)
    assert beeps == pytest.approx([1, 2, 3], abs=0.005)


def test_six_channels_become_two_with_each_side_where_it_was(clip: Clip, tmp_path: Path) -> None:
    """The left tone stays left, and the right one right."""
    left, right = sound_of(fit_video(clip("surround.mp4"), PAD, folder=tmp_path).path)

    assert (pitch(left), pitch(right)) == (pytest.approx(440, abs=1), pytest.approx(330, abs=1))


def test_each_way_fills_the_picture_as_it_says(clip: Clip, tmp_path: Path) -> None:
    """Black bars; a background of the picture's colours; or the middle alone."""
    original = clip("turned-away.mp4")
    results = {how: fit_video(original, FitSettings(how=how), folder=tmp_path) for how in ("pad", "blur", "crop")}
    images = {how: pixels(fitted.path) for how, fitted in results.items()}

    assert images["pad"][:200].max() < 20
    assert images["blur"][:200].mean() > 60
    middle = pixels(original)[:, 328:632]
    assert np.abs(coarse(images["crop"]) - coarse(middle)).mean() < 12
    phrases = {how: fitted.changes[0] for how, fitted in results.items()}
    assert phrases == {
        "pad": "black bars added around the picture (960x540) to fill 960x1706",
        "blur": "a blurred background added around the picture (960x540) to fill 960x1706",
        "crop": "cropped to its middle, from 960x540 to 540x960",
    }
    assert results["pad"].warnings == []
    assert "enlarged" in results["crop"].warnings[0]
    assert len({fitted.path for fitted in results.values()}) == 3


@pytest.mark.parametrize("name", ["good.mp4", "silent.mp4", "small.mp4", "phone-90.mp4", "new-sound.mkv"])
def test_a_video_that_needs_nothing_stays_as_it_is(clip: Clip, tmp_path: Path, name: str) -> None:
    """It is not encoded again; what a fit cannot mend, such as missing sound, is no reason for one."""
    fitted = fit_video(clip(name), PAD, folder=tmp_path)

    assert (fitted.path, fitted.changes) == (clip(name), [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["index-last.mp4", "actually-mkv.mp4", "video.m4v"])
def test_a_file_that_is_only_packed_wrongly_is_not_encoded(clip: Clip, tmp_path: Path, name: str) -> None:
    """The same pictures, bit by bit, in an MP4 with its index at the front."""
    fitted = fit_video(clip(name), PAD, folder=tmp_path)

    assert fitted.changes == ["written again as MP4 with its index at the front; picture and sound are the same"]
    assert {problem.code for problem in fitted.report.problems} <= {"resolution"}
    assert np.array_equal(pixels(fitted.path), pixels(clip(name)))


def test_a_silent_video_stays_silent(tmp_path: Path) -> None:
    """A silent track would only hide from the check that there is no sound."""
    clip = tmp_path / "silent-wide.mp4"
    ffmpeg(*picture("480x270"), *H264, str(clip))

    fitted = fit_video(clip, PAD, folder=tmp_path / "kept")

    assert [problem.code for problem in fitted.report.problems] == ["audio"]


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("more", [4.4, 6])
def test_a_track_that_is_not_published_may_be_longer(tmp_path: Path, ending: str, more: float) -> None:
    """Subtitles that stay, or a second sound track."""
    subtitles, clip = tmp_path / "words.srt", tmp_path / f"tracks{ending}"
    subtitles.write_text(f"1\n00:00:00,000 --> 00:00:0{more:.3f}\nHello\n".replace(".", ","))
    ffmpeg(*picture("480x270", seconds=4), *tone(4), *tone(more), "-i", str(subtitles),
           "-map", "0", "-map", "1", "-map", "2", "-map", "3",
           *H264, *AAC, "-c:s", "srt" if ending == ".mkv" else "mov_text", str(clip))  # fmt: skip

    fitted = fit_video(clip, PAD, folder=tmp_path / "kept")

    assert fitted.facts.duration > 4.3
    assert fitted.report.facts is not None
    assert fitted.report.facts.duration == pytest.approx(4, abs=0.1)


@pytest.mark.slow
def test_three_hours_are_trimmed_without_reading_them(clip: Clip, tmp_path: Path) -> None:
    """If asked for, the first 90 s are published."""
    fitted = fit_video(clip("three-hours.mp4"), FitSettings(too_long="trim"), folder=tmp_path)

    assert fitted.report.errors == []
    assert fitted.report.facts is not None
    assert fitted.report.facts.duration == pytest.approx(90, abs=0.1)
    assert fitted.changes[0] == "trimmed from 10800.0 s to its first 90 s"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("three-hours.mp4", "is 10800.0 s long, and at most 90 s can be published. Trim it"),
        ("long.mp4", "is 91.0 s long, and at most 90 s"),
        ("short.mp4", "2.00 s (allowed: 3 to 90 s)"),
        ("sound.mp4", "no moving picture"),
        ("cover-art.mp4", "no moving picture"),
        ("cut-tail.mp4", "bytes are missing at its end"),
        ("list.mp4", "not a video file"),
        ("huge.txt", "format:"),
        ("picture.mp4", "a picture"),
        ("new-codec.mp4", "unknown codec"),
    ],
)
def test_what_cannot_be_made_right_is_refused_before_anything_is_decoded(
    clip: Clip, tmp_path: Path, name: str, words: str
) -> None:
    """In one sentence with what to do; nothing is written."""
    with pytest.raises(InputError) as error:
        fit_video(clip(name), PAD, folder=tmp_path / "kept")

    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("size", ["480x270", "540x960"], ids=["to-be-encoded", "to-be-copied"])
def test_sound_that_cannot_be_read_is_not_lost_in_silence(tmp_path: Path, size: str) -> None:
    """A fit that has to encode would have to drop it; an MP4 cannot hold it, so it is not copied either."""
    wide, matroska = tmp_path / "wide.mp4", tmp_path / "wide.mkv"
    ffmpeg(*picture(size), *tone(), *H264, *AAC, str(matroska))
    matroska.rename(wide)
    wide.write_bytes(wide.read_bytes().replace(b"A_AAC", b"A_XYZ"))

    with pytest.raises(InputError, match="its sound has a codec that ffmpeg cannot read"):
        fit_video(wide, PAD, folder=tmp_path / "kept")


@pytest.mark.parametrize("how", ["pad", "blur", "crop"])
def test_a_picture_that_is_a_strip_is_refused_before_its_filters_fail(tmp_path: Path, how: How) -> None:
    """One that is a little higher is fitted in each way."""
    strip, higher = tmp_path / "strip.mp4", tmp_path / "higher.mp4"
    ffmpeg(*picture("2000x4"), *tone(), *H264, *AAC, str(strip))
    ffmpeg(*picture("2000x8"), *tone(), *H264, *AAC, str(higher))

    with pytest.raises(InputError, match="has a picture of 2000x4, which is too narrow to be made 9:16"):
        fit_video(strip, FitSettings(how=how), folder=tmp_path / "kept")
    assert fit_video(higher, FitSettings(how=how), folder=tmp_path / "kept").report.ok


def test_the_frame_rate_of_a_slide_show_is_told_as_it_was(tmp_path: Path) -> None:
    """A picture every two seconds."""
    clip = tmp_path / "slides.mp4"
    ffmpeg(*picture("480x270", "0.5", 8), *tone(8), *H264, *AAC, str(clip))

    assert "from 0.5 to 30 frames per second" in fit_video(clip, PAD, folder=tmp_path / "kept").changes


@pytest.mark.parametrize(
    ("volume", "changed"), [("0.05", True), ("0.28", False), ("0", False)], ids=["soft", "right", "none"]
)
def test_loudness_is_changed_only_where_it_is_off(tmp_path: Path, volume: str, changed: bool) -> None:
    """To -14 LUFS; what is within 1 LU, and silence, stays, and then nothing is encoded."""
    clip = tmp_path / "tone.mp4"
    ffmpeg(*picture("540x960", "30", 4), "-f", "lavfi", "-i", f"aevalsrc={volume}*sin(2*PI*1000*t):s=48000:d=4",
           *H264, "-c:a", "aac", "-b:a", "160k", "-ac", "2", "-movflags", "+faststart", str(clip))  # fmt: skip

    fitted = fit_video(clip, FitSettings(loudness=True), folder=tmp_path / "kept")

    assert fitted.is_changed is changed
    if changed:
        assert fitted.changes[0].startswith("loudness from -2")
        was, now = (float(np.sqrt(np.mean(sound_of(path)[0][48000:96000] ** 2))) for path in (clip, fitted.path))
        assert 20 * np.log10(now / was) == pytest.approx(-14 + float(fitted.changes[0].split()[2]) * -1, abs=1)


def test_before_and_after_are_shown_side_by_side(clip: Clip, tmp_path: Path) -> None:
    """One picture: the original as it lies, and what is published."""
    fitted = fit_video(clip("turned-away.mp4"), PAD, folder=tmp_path)

    with Image.open(io.BytesIO(before_after(clip("turned-away.mp4"), fitted.path, at=1, height=240))) as image:
        assert image.height == 240
        assert image.width == pytest.approx(427 + 12 + 135, abs=3)
        assert np.asarray(image)[20, -60].max() < 30  # the bar above the picture


def test_without_its_original_a_fit_is_shown_alone(clip: Clip, tmp_path: Path) -> None:
    """It may have been moved since, as an inbox does."""
    shown = before_after(tmp_path / "gone.mp4", clip("small.mp4"), at=1, height=240)

    with Image.open(io.BytesIO(shown)) as image:
        assert image.size == (135, 240)


def test_the_original_is_opened_for_reading_only(clip: Clip, tmp_path: Path) -> None:
    """It may lie in a folder that nobody may write to."""
    folder = tmp_path / "locked"
    folder.mkdir()
    original = folder / "wide.mp4"
    original.write_bytes(clip("turned-away.mp4").read_bytes())
    original.chmod(0o444)
    folder.chmod(0o555)

    fitted = fit_video(original, PAD, folder=tmp_path / "kept")

    assert fitted.report.ok
    assert list(folder.iterdir()) == [original]
    folder.chmod(0o755)
