"""``reelflow fit``: make a video right for publishing, without a server."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deployments.in_terminal import print_json
from deployments.options import FIT, AsJson, with_labels
from deployments.progress import progress
from reelflow.errors import InputError
from reelflow.video.fit import Fitted, fit_video
from reelflow.video.fit_settings import FitSettings, How, TooLong
from reelflow.video.kept_fit import file_name
from reelflow.video.origin import Origin, read_origin, write_origin
from reelflow.wording import one_line

_ENDINGS = (".mp4", ".mov")
"""Under any other, the check refuses an MP4, or warns of it."""
Loudness = Annotated[bool, Parameter(negative="", help="Bring the sound to -14 LUFS.")]
Overwrite = Annotated[bool, Parameter(negative="", help="Replace the file that is there, also without --output.")]


@with_labels(FIT)
def fit(
    file: Annotated[Path, Parameter(help="The video file. It is only read.")],
    /,
    *,
    how: Annotated[
        How,
        Parameter(help="What becomes of a picture that is not 9:16: black bars, a blurred background, or its middle."),
    ] = "pad",
    too_long: Annotated[TooLong, Parameter(help="What becomes of a video of more than 90 seconds.")] = "refuse",
    loudness: Loudness = False,
    output: Annotated[
        Path | None,
        Parameter(
            help="The file to write, also if FILE needs no fit. By default, a fit is written beside FILE, with '-fit' "
            "in its name."
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> int:
    """Make a copy of a video that is right for publishing: 9:16, at most 1080x1920, H.264 in standard range."""
    if re.match(r"(https?|block):/", str(file), re.IGNORECASE):
        raise InputError("A fit in the terminal takes a file of this machine. Download the video first.")
    to = _output(file, output, overwrite=overwrite)
    settings = FitSettings(how=how, too_long=too_long, loudness=loudness)
    if as_json:
        fitted = fit_video(file, settings, as_mp4=output is not None)
    else:
        with progress() as show:
            fitted = fit_video(
                file,
                settings,
                as_mp4=output is not None,
                progress=lambda done, total: show(f"Fitting {one_line(file.name)}", done, total),
                waiting=lambda: print("Another fit is being made on this machine; waiting for it.", file=sys.stderr),
            )
    is_written = fitted.is_changed or output is not None
    if is_written:
        _write(fitted.path, to, _origin(fitted, file) if fitted.is_changed else None, overwrite=overwrite)
    _tell(fitted, file, to if is_written else None, as_json=as_json)
    return 0


def _output(file: Path, output: Path | None, *, overwrite: bool) -> Path:
    """Where the fit is written, checked before it is made."""
    original = _stat(file)
    if not file.name or (original and stat.S_ISDIR(original.st_mode)):
        raise InputError(f"{one_line(str(file))} is a folder. Give the path of one video file.")
    to = output or file.with_name(f"{file_name(file.stem).removesuffix('.mp4')}-fit.mp4")
    present = _stat(to)
    if present and original and os.path.samestat(present, original):
        raise InputError(f"{one_line(str(to))} is the original, which is never changed. Name another --output.")
    if not to.name or (present and stat.S_ISDIR(present.st_mode)):
        raise InputError(f"{one_line(str(to))} is a folder. Give --output the name of a file.")
    if to.suffix.lower() not in _ENDINGS:
        raise InputError(f"{one_line(str(to))} would be an MP4 under another name. Let --output end in .mp4.")
    if present and not overwrite:
        raise _exists(to)
    return to


def _stat(path: Path) -> os.stat_result | None:
    """What is at a path; None if nothing is, or it cannot be asked: reading or writing there says why."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _exists(to: Path) -> InputError:
    return InputError(f"{one_line(str(to))} exists. Name another file with --output, or add --overwrite.")


def _origin(fitted: Fitted, file: Path) -> Origin:
    """What the result was made from; of a copy that was fitted once more, the first original."""
    return read_origin(file) or Origin(sha256=fitted.original.sha256)


def _write(kept: Path, to: Path, origin: Origin | None, *, overwrite: bool) -> None:
    """A copy of what is kept, which may be deleted there at any time; whole or not at all.

    A fit tells its origin; a video that needed none is copied as it is.
    """
    part = to.with_name(f".reelflow-{secrets.token_hex(4)}.part")
    try:
        try:
            shutil.copyfile(kept, part)
            if origin is not None:
                write_origin(part, origin)
            if overwrite:
                part.replace(to)
            else:
                _move_to_new(part, to)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError:
        raise _exists(to) from None
    except OSError as error:
        raise InputError(
            f"{one_line(str(to))} cannot be written ({one_line(error.strerror or str(error))}). Its folder must exist "
            "and have room; or name another file with --output."
        ) from None


def _move_to_new(part: Path, to: Path) -> None:
    """Give a file its name, unless another one has got it while the fit was made."""
    try:
        to.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # no links on this file system
        if _stat(to):
            raise FileExistsError from None
        part.replace(to)


def _tell(fitted: Fitted, file: Path, to: Path | None, *, as_json: bool) -> None:
    """Say what was done; `to` is None if nothing was written."""
    warnings = [*fitted.warnings, *map(str, fitted.report.warnings)]
    if as_json:
        print_json(
            {
                "file": str(file),
                "output": None if to is None else str(to),
                "changes": fitted.changes,
                "warnings": warnings,
                "facts": fitted.report.facts.model_dump() if fitted.report.facts else None,
            }
        )
        return
    if to is None:
        print(f"{one_line(str(file))} needs no fit. Nothing was written.")
    else:
        print(f"{one_line(str(to))}")
        if not fitted.is_changed:
            print("      a copy: the video needs no fit")
        for change in fitted.changes:
            print(f"      {change}")
    for warning in warnings:
        print(f"      warning: {warning}")
