"""Check a post before anything is sent."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import get_run_logger

from blocks import TaislyAccount
from reelflow.errors import InputError
from reelflow.models import CheckedPost, PostForm, Video
from reelflow.publishing import check_caption, publishing_time
from reelflow.video import check_video
from reelflow.video.probe import fingerprint
from tasks.record import open_ledger
from tasks.step import step


@step("check {form.file_name}")
def check_post(taisly: TaislyAccount, form: PostForm) -> CheckedPost:
    """Check the video, the time, the accounts and the caption; sends nothing, and asks Taisly at most once.

    Raises:
        InputError: something about the post is wrong.
        ServiceError: Taisly does not answer, or not to this key.
    """
    log = get_run_logger()
    video = read_video(form.video)
    for warning in video.warnings:
        log.warning("%s: %s", video.path.name, warning)
    scheduled_for = publishing_time(form.scheduled_for, form.time_zone, datetime.now(UTC))
    if form.preview_second > video.duration:
        raise InputError(
            f"The preview picture is at second {form.preview_second:g}, but the video ends at {video.duration:.1f}."
        )
    with taisly.get_metered(open_ledger()) as metered:
        accounts = metered.choose(form.accounts)
    check_caption(form.caption, accounts)
    return CheckedPost(
        video=video,
        accounts=accounts,
        caption=form.caption,
        scheduled_for=scheduled_for,
        preview_second=form.preview_second,
    )


def read_video(name: str) -> Video:
    """The video at the path `name`, or InputError with everything that is wrong with it."""
    path = Path(name.strip()).expanduser()
    report = check_video(path)
    if report.facts is None or report.errors:
        raise InputError(f"{path} cannot be published. " + " ".join(str(p) for p in report.errors))
    sha256, (size_bytes, modified_ns) = fingerprint(path)
    return Video(
        path=path.resolve(),
        sha256=sha256,
        size_bytes=size_bytes,
        modified_ns=modified_ns,
        width=report.facts.width,
        height=report.facts.height,
        duration=report.facts.duration,
        warnings=[str(p) for p in report.warnings],
    )
