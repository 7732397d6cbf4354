"""Move a video out of an inbox once its posts are on record, or once it is certain that it cannot be used.

The order makes an interruption harmless: first the text that says what became of it, then the video, then its caption
files. While the video is in the inbox, the next run finds its posts in the ledger and moves it then. A caption file
that was left behind is moved by `finish_moves`, so that it is never taken for that of another video of the same name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from reelflow.campaigns.folders import TEXT_ENDING, same_name
from reelflow.campaigns.looking import DONE, REJECTED, InboxFolder, InboxVideo, is_young, look
from reelflow.campaigns.report import FAILED, HELD, NOT_SENT, REFUSED, TROUBLE, WRONG, CampaignLine
from reelflow.campaigns.rows import RowProblem
from reelflow.time_zones import shown
from reelflow.video.rules import Limits
from reelflow.wording import one_line

FOLDER_CODES = frozenset({
    "accounts", "repost_rule", "no_slot", "no_slots", "no_room", "campaign_id", "disk_full", "fit_unavailable",
})  # fmt: skip
"""What is wrong with the names of folders, the slots, the accounts or the machine: not with the video, which stays."""
PAUSED_CODES = frozenset({"slots_paused"})
"""A person wants posts to wait: nothing is wrong."""
TWICE_CODES = frozenset({"twice", "looks_the_same"})
"""The same video twice in one run: once the first has its outcome, the next run knows what to do with the other."""
FILE_CODES = frozenset({"video", "caption_file"})
"""What may be wrong because a file is not whole, or cannot be opened at the moment."""
WITH_IT = "Moved with it:"
"""Begins the part of a text by which an interrupted move is finished."""


class Fate(StrEnum):
    """What becomes of a video's file."""

    DONE = DONE
    REJECTED = REJECTED
    STAYS = "stays"
    """It needs a person, or a service that cannot be reached: the next run tries again."""
    LATER = "later"
    """Nothing is wrong: the next run takes it."""


def fate_of(
    video: InboxVideo, problems: Collection[RowProblem], lines: Sequence[CampaignLine], *, now: float, wait: float
) -> Fate:
    """What becomes of a video's file.

    Args:
        video: The video.
        problems: What is wrong with its row.
        lines: What became of its row at each account.
        now: Unix seconds.
        wait: For how many seconds a video that cannot be used may be one of which not all is there.
    """
    codes = {problem.code for problem in problems}
    if codes & FOLDER_CODES:
        return Fate.STAYS
    if codes & (PAUSED_CODES | TWICE_CODES) or (codes & FILE_CODES and is_young(video.stamp, now, wait)):
        return Fate.LATER
    if video.is_changed():  # a new file in its place was neither checked nor sent
        return Fate.LATER
    outcomes = {line.outcome for line in lines}
    if codes & FILE_CODES and not video.can_be_opened():
        return Fate.STAYS
    if codes or outcomes & {FAILED, REFUSED}:
        return Fate.REJECTED
    return Fate.STAYS if not outcomes or outcomes & {HELD, NOT_SENT, WRONG} else Fate.DONE


def text_about(video: InboxVideo, fate: Fate, lines: Sequence[CampaignLine], if_failed: str = "") -> str:
    """The text beside a video that was moved: what became of it, and what to do.

    Args:
        video: The video.
        fate: Where it was moved.
        lines: What became of its row at each account.
        if_failed: What to do about a post that a platform has failed, for which putting it back does nothing.
    """
    name, outcomes = one_line(video.path.name), {line.outcome for line in lines}
    if fate is Fate.DONE:
        head = f"{name} was handed to Taisly for every account, and is not sent again."
    else:
        head = f"{name} was rejected."
        if outcomes & TROUBLE - {FAILED}:
            head += " Fix what is said below, then put the video back into the inbox, with its caption files."
        head += f" {if_failed}" if FAILED in outcomes and if_failed else ""
        head += " What is scheduled or published stays so."
    parts = [head, "", *(_line(line) for line in lines)]
    if video.captions:
        parts += ["", WITH_IT, *(f"- {path.name}" for path in video.captions)]
    return "\n".join(parts) + "\n"


def _line(line: CampaignLine) -> str:
    at = f" {shown(line.at)}" if line.at else ""
    ids = [f"send ID {line.send_id}"] if line.send_id else []
    ids += [f"history ID {line.history_id}"] if line.history_id else []
    text = f"{line.account}: {line.outcome}{at}" + (f" ({', '.join(ids)})" if ids else "") if line.account else ""
    return ". ".join(part.rstrip(".") for part in (text, line.detail, line.link) if part)


def file_away(root: Path, video: InboxVideo, fate: Fate, text: str) -> Path:
    """Move a video and its caption files to `done` or `rejected`, below the name of its subfolder; its new path.

    Raises:
        OSError: the video could not be moved: it is where it was.
    """
    place = root / fate.value / video.folder
    place.mkdir(parents=True, exist_ok=True)
    stem = _free_stem(place, video)
    target = place / (stem + video.path.suffix)
    note = place / (target.name + TEXT_ENDING)
    note.write_text(text, "utf-8", errors="replace")
    try:
        shutil.move(video.path, target)
    except BaseException:
        if not os.path.lexists(target):
            note.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # the video is moved: what is left behind is moved by the next run
        move = shutil.copy2 if _is_shared(video) else shutil.move
        for caption in video.captions:
            move(caption, place / _renamed(caption.name, video.path.stem, stem))
    return target


def finish_moves(root: Path) -> list[Path]:
    """Move the caption files after their videos that an interrupted run has left; those that were moved.

    Raises:
        InputError: the inbox cannot be read.
    """
    moved = []
    for folder in look(root):
        for name in folder.strays:
            target = _left_behind(root, folder, name)
            if target is not None:
                with suppress(OSError):
                    shutil.move(folder.path / name, target)
                    moved.append(target)
    return moved


def _left_behind(root: Path, folder: InboxFolder, name: str) -> Path | None:
    """Where a caption file belongs whose video was moved without it; None if there is none such.

    The text of that video names it, and is newer: a caption that was written since is for a video that comes.
    """
    for fate in (Fate.DONE, Fate.REJECTED):
        place = root / fate.value / folder.name
        with suppress(OSError):
            for note in place.iterdir():
                video = note.with_name(note.name.removesuffix(TEXT_ENDING))
                begin = same_name(video.stem).rpartition(" (")[0] or same_name(video.stem)
                if not note.name.endswith(TEXT_ENDING) or not same_name(name).startswith(begin):
                    continue
                if note.stat().st_mtime < folder.files[name].changed or not video.exists():
                    continue
                lines = note.read_text("utf-8", errors="replace").partition(WITH_IT)[2].splitlines()
                for stem in (same_name(video.stem), begin):
                    target = place / _renamed(name, stem, video.stem)
                    if f"- {name}" in lines and same_name(name).startswith(f"{stem}.") and not target.exists():
                        return target
    return None


def _free_stem(place: Path, video: InboxVideo) -> str:
    """A name that neither the video nor one of its captions would share with a file that is there."""
    number, stem = 1, video.path.stem
    while any(os.path.lexists(place / name) for name in _names(video, stem)):
        number += 1
        stem = f"{video.path.stem} ({number})"
    return stem


def _names(video: InboxVideo, stem: str) -> Iterable[str]:
    yield stem + video.path.suffix
    yield from (_renamed(caption.name, video.path.stem, stem) for caption in video.captions)


def _renamed(name: str, stem: str, other: str) -> str:
    """A caption file's name for a video of another name: cake.tiktok.txt for "cake (2)"."""
    return other + same_name(name)[len(same_name(stem)) :]


def _is_shared(video: InboxVideo) -> bool:
    """Whether another video of the same name, but for its ending, is still there: it has the same caption files."""
    stem, endings = same_name(video.path.stem), Limits().endings
    return any(same_name(p.stem) == stem and p.suffix.lower() in endings for p in video.path.parent.iterdir())
