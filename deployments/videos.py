"""The videos of ``reelflow check``: files, and those from elsewhere, which are downloaded first."""

from __future__ import annotations

from pathlib import Path

from reelflow.addresses import is_address
from reelflow.downloads.finding import local_video
from reelflow.downloads.source import is_elsewhere, shown_name
from reelflow.errors import ReelflowError
from reelflow.video import Problem, VideoReport, check_video


def report_on(source: str) -> VideoReport:
    """What a video is and what is wrong with it, also that it cannot be downloaded.

    A storage is looked up at the Prefect server, which takes two seconds to import: only if a storage is named.
    """
    if not is_elsewhere(source):
        return check_video(Path(source))
    try:
        if is_address(source):
            found = local_video(source)
        else:
            from tasks.storages import open_storages

            found = local_video(source, open_storages())
    except ReelflowError as error:
        reason = Problem(
            code="unreadable", level="error", found=error.message.rstrip("."), allowed="a whole video file", hint=""
        )
        return VideoReport(file=shown_name(source), facts=None, problems=[reason])
    report = check_video(found.path)
    return report.model_copy(update={"file": found.name})
