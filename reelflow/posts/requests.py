"""Turn a form into a request, and check everything that can be checked before the post is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath

from reelflow.downloads.finding import local_video
from reelflow.downloads.source import LocalVideo, Storages, is_elsewhere
from reelflow.errors import InputError
from reelflow.posts.accounts import check_caption
from reelflow.posts.form import PostForm
from reelflow.posts.reposts import LeftToRule
from reelflow.posts.schedule import publishing_time
from reelflow.records.posts import Account, PostRequest, Video, without_quotes
from reelflow.time_zones import DAY
from reelflow.video import check_video
from reelflow.video.check import LONGEST_PATH
from reelflow.video.fingerprint import Fingerprint
from reelflow.video.fit import fit_video, plan_fit
from reelflow.video.fit_settings import FitSettings
from reelflow.video.fit_work import Progress
from reelflow.video.origin import read_origin
from reelflow.video.pictures import picture_hashes
from reelflow.wording import one_line


def read_video(
    name: str, folder: str | None = None, storages: Storages | None = None, *, fit: FitSettings | None = None
) -> Video:
    """The video that is named, checked; one from elsewhere is downloaded first.

    Args:
        name: As people write it, or copy it: quotes around it do not count.
        folder: Where a file is looked for first that is named without its whole path.
        storages: Finds files in storages; None where no server is asked.
        fit: How it is to be made right if it is not; `fit_post_video` does it.

    Raises:
        InputError: everything that is wrong with it, or that a fit cannot mend.
        NothingSent, OutcomeUnknown: where it is from cannot be reached, or the connection was lost.
    """
    found = find_video(name, folder, storages)
    if fit is not None:
        return _to_be_fitted(found, fit)
    report = check_video(found.path, with_fingerprint=True)
    if report.facts is None or report.fingerprint is None:
        raise InputError(f"{found.name} cannot be published: " + " ".join(str(p) for p in report.errors))
    return _as_original(
        Video(
            path=found.path.resolve(),
            **report.fingerprint._asdict(),
            width=report.facts.width,
            height=report.facts.height,
            duration=report.facts.duration,
            pictures=picture_hashes(found.path, report.facts.duration),
            warnings=[*([found.note] if found.note else []), *(str(p) for p in report.warnings)],
        )
    )


def _to_be_fitted(found: LocalVideo, fit: FitSettings) -> Video:
    """The video with its fit still to be made, if it needs one."""
    path, plan = found.path, plan_fit(found.path, fit)
    video = Video(
        path=path.resolve(),
        **plan.original._asdict(),
        width=plan.facts.width,
        height=plan.facts.height,
        duration=plan.facts.duration,
        pictures=picture_hashes(path, plan.facts.duration),
        warnings=[
            *([found.note] if found.note else []),
            *([] if plan.is_needed else [str(p) for p in plan.report.warnings]),  # the fit has its own
        ],
        fit=fit if plan.is_needed else None,
        sent_duration=plan.trimmed_to,
    )
    return video if video.fit else _as_original(video)  # by its own content, its fit is found


def _as_original(video: Video) -> Video:
    """The video with the identity of its original, if it is a copy that `reelflow fit` made."""
    origin = read_origin(video.path)
    return video if origin is None else video.model_copy(update={"sha256": origin.sha256})


def fit_post_video(
    video: Video, *, progress: Progress | None = None, waiting: Callable[[], None] | None = None
) -> Video:
    """The video with its fit made; the same one if it needs none.

    Args:
        video: As it was read.
        progress: Of the encoding.
        waiting: Called once if another fit is being made on this machine, which is waited for.

    Raises:
        InputError: it cannot be made right, or has changed since it was read.
    """
    if video.fit is None:
        return video
    checked = Fingerprint(video.sha256, video.size_bytes, video.modified_ns)
    fitted = fit_video(video.path, video.fit, known=checked, progress=progress, waiting=waiting)
    if fitted.original.sha256 != video.sha256:
        raise InputError(f"{one_line(str(video.path))} changed after it was checked. Start again.")
    warnings = [*video.warnings, *fitted.warnings, *map(str, fitted.report.warnings)]
    if not fitted.is_changed or fitted.report.facts is None:
        return video.model_copy(update={"fit": None, "warnings": warnings})
    sent = fitted.path.stat()
    return video.model_copy(
        update={
            "path": fitted.path,
            "original": video.path,
            "size_bytes": sent.st_size,
            "modified_ns": sent.st_mtime_ns,
            "width": fitted.report.facts.width,
            "height": fitted.report.facts.height,
            "sent_duration": fitted.report.facts.duration,
            "warnings": warnings,
            "changes": fitted.changes,
            "fit": None,
        }
    )


def find_video(name: str, folder: str | None = None, storages: Storages | None = None) -> LocalVideo:
    """The video that is named as a file of this machine, not checked; the same arguments and errors as `read_video`."""
    name = without_quotes(name)
    if is_elsewhere(name):
        return local_video(name, storages)
    try:
        path = find_file(name, folder)
    except RuntimeError:
        raise InputError(
            f"{one_line(name)} cannot be published: its home folder is not known. Give the whole path."
        ) from None
    return LocalVideo(path, one_line(str(path), LONGEST_PATH))


def is_whole_path(name: str) -> bool:
    """Whether a name says where the file is, by the rules of any system, or on the web or in a storage."""
    name = without_quotes(name)
    return (
        is_elsewhere(name)
        or PurePosixPath(name).is_absolute()
        or PureWindowsPath(name).is_absolute()
        or name.startswith("~")
    )


def find_file(name: str, folder: str | None) -> Path:
    """The path of the file `name`, in `folder` first if it is not named whole; nothing says that it is there.

    Raises:
        RuntimeError: it begins with ``~``, and the home folder is not known.
    """
    path = Path(name).expanduser()
    if folder and not is_whole_path(name):
        in_folder = Path(folder).expanduser() / path
        return in_folder if in_folder.exists() or not path.exists() else path
    return path


def check_form(form: PostForm, video: Video, now: datetime) -> datetime | None:
    """When to publish, in UTC; None for at once. Checks what needs nobody to be asked.

    Raises:
        InputError: the time cannot be meant, or the preview lies beyond the video's end.
    """
    scheduled_for = publishing_time(form.scheduled_for, form.time_zone, now)
    if beyond := beyond_end(form.preview_second, video):
        raise InputError(beyond)
    return scheduled_for


def beyond_end(preview_second: float, video: Video) -> str:
    """What is wrong with a preview beyond the end of the video, or of what is left of it; empty if it lies before."""
    if preview_second <= video.seconds:
        return ""
    trimmed = "trimmed " if video.seconds < video.duration else ""
    return f"The preview is at second {preview_second:g}, but the {trimmed}video ends at {video.seconds:.2f}."


def make_request(
    form: PostForm,
    video: Video,
    scheduled_for: datetime | None,
    accounts: Sequence[Account],
    *,
    duplicate_seconds: float = DAY,
    left: Sequence[LeftToRule] = (),
) -> PostRequest:
    """The request for a form whose names have been resolved; `left` are accounts to which a repost rule copies it.

    Raises:
        InputError: the caption is too long for one of the accounts' platforms.
    """
    check_caption(form.caption, [*accounts, *(each.account for each in left)])
    return PostRequest(
        video=video,
        accounts=list(accounts),
        caption=form.caption,
        scheduled_for=scheduled_for,
        preview_second=form.preview_second,
        repeat=form.repeat,
        watch_seconds=form.watch_minutes * 60,
        patience=form.patience,
        duplicate_seconds=duplicate_seconds,
        left_to_rules=[each.sentence for each in left],
    )
