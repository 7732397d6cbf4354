"""What is new in an inbox, as a campaign plan: a row for each video that is complete.

    look ── a few seconds ── look ── what is the same on both ── Plan

The folder is looked at each time as if for the first time: programs that watch file systems miss files on network
drives. What is not complete is left to the next run. What a run has taken it moves away (see `filing`); what it could
not move the ledger knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from reelflow.campaigns.columns import CAPTION, platform_of
from reelflow.campaigns.encodings import decode
from reelflow.campaigns.folders import MOST_CAPTION_BYTES, read_caption, same_name, whose_caption
from reelflow.campaigns.looking import ACCOUNTS_FILE, InboxFolder, InboxVideo, is_young, look
from reelflow.campaigns.rows import Plan, PlanRow, RowProblem
from reelflow.errors import InputError
from reelflow.time_zones import DAY
from reelflow.video.rules import Limits
from reelflow.wording import count, listed, one_line

BETWEEN_ACCOUNTS = " + "
"""In a folder's name; commas do as well."""


@dataclass(frozen=True)
class Inbox:
    """What was found in an inbox.

    Attributes:
        folder: The inbox.
        plan: A row for each complete video.
        videos: By the number of the row.
        waiting: Videos that are not complete yet.
        left: Complete videos that are more than a run takes.
        problems: What is wrong with folders, a sentence for each; their videos are not in the plan.
        notes: What else is to be said.
    """

    folder: Path
    plan: Plan
    videos: Mapping[int, InboxVideo] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    left: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def remarks(self) -> list[str]:
        """What a person may want to know of what was not taken."""
        found = [f"Not complete yet, or waiting for captions: {listed(self.waiting)}."] if self.waiting else []
        if self.left:
            found.append(f"{count(self.left, 'more video')} left for the next run.")
        return [*found, *self.notes]


@dataclass(frozen=True)
class InboxOptions:
    """How an inbox is looked into.

    Attributes:
        accounts: Of the videos directly in it.
        settle_seconds: Between the two looks.
        wait_seconds: How long a video without a caption's file waits for one.
        most: Videos to take.
        campaign: As in `PlanRow`.
        sleep: Waits.
        clock: Unix seconds.
    """

    accounts: tuple[str, ...] = ()
    settle_seconds: float = 5.0
    wait_seconds: float = 120.0
    most: int = 20
    campaign: str = ""
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time


def look_into(folder: Path, options: InboxOptions) -> Inbox:
    """What is new and complete in an inbox.

    Raises:
        InputError: there is no such folder, or it cannot be read.
    """
    name = one_line(folder.name or str(folder))
    first = look(folder)
    if not any(each.videos for each in first):
        return Inbox(folder, Plan(name, (), ()), notes=tuple(_notes(first, options.clock())))
    options.sleep(options.settle_seconds)
    second = look(folder)
    before = {each.name: each for each in first}
    now, waiting, problems = options.clock(), list[str](), list[str]()
    taken: list[list[tuple[InboxVideo, tuple[str, ...]]]] = []
    for each in second:
        names, wrong_names = _accounts(each, options.accounts)
        settled = {
            video: each.video(video)
            for video in each.videos
            if each.is_settled(video, before.get(each.name), now, options.wait_seconds, names)
        }
        waiting += [each.shown(video) for video in each.videos if video not in settled]
        if not settled:
            continue
        if names:
            taken.append([(video, names) for video in settled.values()])
        elif wrong_names:
            problems.append(wrong_names)
        else:
            problems.append(
                f"{count(len(settled), 'video')} directly in {name} not sent, since no accounts are named for what is "
                f"not in a subfolder: {listed([one_line(v) for v in settled])}. Choose Accounts, or move what is to be "
                "posted into a subfolder that is named after its accounts."
            )
    # In turns: a folder whose videos have to stay must not keep those of others from being taken.
    ordered = [entry for turn in zip_longest(*taken) for entry in turn if entry is not None]
    rows, videos, wrong = _rows(ordered[: options.most], options.campaign)
    return Inbox(
        folder=folder,
        plan=Plan(name, (), rows, tuple(wrong)),
        videos=videos,
        waiting=tuple(waiting),
        left=len(ordered) - len(rows),
        problems=tuple(problems),
        notes=tuple(_notes(second, now)),
    )


def _accounts(folder: InboxFolder, of_form: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The accounts of a folder's videos; and what is wrong with its file with accounts."""
    if not folder.name and not folder.accounts_file:
        return of_form, ""
    if not folder.accounts_file:
        return tuple(name.strip() for name in folder.name.split(BETWEEN_ACCOUNTS) if name.strip()), ""
    where = folder.shown(ACCOUNTS_FILE)
    try:
        text = decode(_start_of(folder.path / ACCOUNTS_FILE), where)
    except OSError as error:
        return (), f"{where} cannot be read ({one_line(error.strerror or str(error))})."
    except InputError as error:
        return (), error.message
    names = tuple(line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    none = "" if names else f"{where} names no account. Write one in each line; the videos beside it were not sent."
    return names, none


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_CAPTION_BYTES)


def _rows(
    taken: Sequence[tuple[InboxVideo, tuple[str, ...]]], campaign: str
) -> tuple[tuple[PlanRow, ...], dict[int, InboxVideo], list[RowProblem]]:
    rows, videos, problems = list[PlanRow](), dict[int, InboxVideo](), list[RowProblem]()
    for number, (video, accounts) in enumerate(taken, 1):
        texts: dict[str, str] = {}
        stem = same_name(video.path.stem)
        for path in video.captions:
            column = whose_caption(path.name, {stem: [video]})[0]
            try:
                texts[column] = read_caption(path)
            except InputError as error:
                problems.append(RowProblem(number, column, "caption_file", error.message))
        captions = {platform: text for c, text in texts.items() if (platform := platform_of(c)) and text.strip()}
        videos[number] = video
        rows.append(
            PlanRow(
                number, str(video.path), texts.get(CAPTION, ""), captions, accounts=accounts, campaign=campaign
            )
        )  # fmt: skip
    return tuple(rows), videos, problems


def _notes(folders: Iterable[InboxFolder], now: float) -> Iterator[str]:
    """What is in the inbox and is never taken, named once for all."""
    old, others, deeper, links = list[str](), list[str](), list[str](), list[str]()
    for each in folders:
        old += [each.shown(name) for name in each.strays if not is_young(each.files[name], now, DAY)]
        others += [each.shown(name) for name in each.others]
        deeper += [each.shown(name) for name in each.deeper]
        links += [each.shown(name) for name in each.links]
    if old:
        yield f"Captions without a video for more than a day: {listed(old)}."
    if others:
        yield f"Neither videos ({', '.join(Limits().endings)}) nor captions: {listed(others)}."
    if deeper:
        yield f"Folders in subfolders are not looked into: {listed(deeper)}."
    if links:
        yield f"Links are not followed: {listed(links)}."
