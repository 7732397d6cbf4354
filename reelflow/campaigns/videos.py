"""The videos of a plan: read and checked several at once, and made right one after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path

from reelflow.campaigns.posts import CheckedPlan, problem_of
from reelflow.campaigns.rows import PlanRow
from reelflow.downloads.source import Storages
from reelflow.errors import InputError, NothingSent, OutcomeUnknown
from reelflow.posts.requests import fit_post_video, read_video
from reelflow.records.posts import Video
from reelflow.video.fit_settings import FitSettings

THREADS = max(2, min(8, os.cpu_count() or 2))
"""Videos read at once: reading waits for the disk, and decoding happens outside of Python's lock."""
PAUSES = (3.0, 15.0)
"""Seconds before a video is asked for again whose server is away. Then its row is wrong, and the others go on."""
_WHOLE = 1000
"""How far a bar moves for each video that is fitted."""

Progress = Callable[[int, int], None]
Videos = dict[int, "Video | InputError"]
"""The video of each row, checked, or what is wrong with it; by the number of the row."""


def no_progress(done: int, total: int) -> None:
    """For whoever need not see it."""


def read_videos(
    rows: Sequence[tuple[PlanRow, FitSettings | None]],
    folder: str | None,
    progress: Progress = no_progress,
    storages: Storages | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Videos:
    """The videos of rows that name one, checked; the same file is read once.

    Args:
        rows: And how the video of each is made right if it does not fit.
        folder: Where a video is looked for that is named without its whole path.
        progress: Called with how many of how many videos are read.
        storages: Finds videos in storages; None where no server is asked.
        sleep: How to wait for a server that is away.
    """
    wanted = list(dict.fromkeys((row.video, fit) for row, fit in rows if row.video))
    found: dict[tuple[str, FitSettings | None], Video | InputError] = {}

    def read(what: tuple[str, FitSettings | None]) -> Video | InputError:
        name, fit = what
        for pause in (*PAUSES, 0.0):
            try:
                return read_video(name, folder, storages, fit=fit)
            except InputError as error:
                return error
            except (NothingSent, OutcomeUnknown) as error:
                why = InputError(error.message)
                if pause:
                    sleep(pause)
        return why

    with ThreadPoolExecutor(THREADS, thread_name_prefix="reelflow-check") as pool:
        # Each with the settings of this thread: a storage is looked up at the server that they name.
        reads = [pool.submit(copy_context().run, read, what) for what in wanted]
        for what, each in zip(wanted, reads, strict=True):
            found[what] = each.result()
            progress(len(found), len(wanted))
    return {row.number: found[row.video, fit] for row, fit in rows if row.video}


def needs_fit(checked: CheckedPlan) -> bool:
    """Whether a right row has a video that is still to be made right."""
    return any(draft.video.fit for draft in checked.right_drafts())


def fit_videos(
    checked: CheckedPlan, progress: Progress = no_progress, waiting: Callable[[], None] | None = None
) -> CheckedPlan:
    """The plan with the videos of its right rows made right; a row whose video cannot be is wrong.

    Args:
        checked: As it was checked.
        progress: Through all of them.
        waiting: Called once for each video if another process makes a fit meanwhile.
    """
    drafts = [draft for draft in checked.right_drafts() if draft.video.fit]
    pending = list(dict.fromkeys((draft.video.path, draft.video.fit) for draft in drafts))
    videos = {(draft.video.path, draft.video.fit): draft.video for draft in drafts}
    made: dict[tuple[Path, FitSettings | None], Video] = {}
    problems = list(checked.problems)
    for number, key in enumerate(pending):

        def tell(done: int, total: int, number: int = number) -> None:
            progress(_WHOLE * number + _WHOLE * done // max(1, total), _WHOLE * len(pending))

        try:
            made[key] = fit_post_video(videos[key], progress=tell, waiting=waiting)
        except InputError as error:
            rows = {d.row.number for d in drafts if (d.video.path, d.video.fit) == key}
            problems += [problem_of(row, "video", "video", error) for row in sorted(rows)]
    progress(_WHOLE * len(pending), _WHOLE * len(pending))

    def fitted(video: Video) -> Video:
        return made.get((video.path, video.fit), video)

    posts = [
        replace(post, request=post.request.model_copy(update={"video": fitted(post.request.video)}))
        for post in checked.posts
    ]
    fit_warnings = dict.fromkeys(  # a row may have several posts
        (new.number, warning)
        for old, new in zip(checked.posts, posts, strict=True)
        if old.request.video.fit and not new.request.video.fit
        for warning in new.request.video.warnings[len(old.request.video.warnings) :]
    )
    return replace(
        checked,
        drafts=[replace(draft, video=fitted(draft.video)) for draft in checked.drafts],
        posts=posts,
        problems=sorted(problems, key=lambda problem: problem.number),
        warnings=[*checked.warnings, *fit_warnings],
    )
