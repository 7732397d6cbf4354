"""One look at an inbox: its folders, and their videos with their caption files."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from reelflow.campaigns.columns import CAPTION, platform_of
from reelflow.campaigns.folders import ENDING, TEXT_ENDING, natural, same_name, whose_caption
from reelflow.errors import InputError
from reelflow.video.rules import Limits
from reelflow.wording import one_line

DONE, REJECTED = "done", "rejected"
"""The folders in the inbox to which videos are moved."""
ACCOUNTS_FILE = "accounts.txt"
"""In a folder: the accounts of its videos, one in each line. It counts more than the folder's name."""
PARTIAL = (".part", ".partial", ".crdownload", ".download", ".tmp", ".!ut", ".filepart", ".opdownload")
"""What programs add to the name of a file of which not all is there. Some create the whole name beside it, empty."""
_NO_FILES = (".", "~$")
"""How the names begin of files that are none of a person's: hidden ones, and Office's locks."""
_NO_FOLDERS = frozenset(
    {DONE, REJECTED, "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "__macosx"}
)
"""Names in small letters."""
_NOT_NAMED = frozenset({"thumbs.db", "desktop.ini", "@synoresource"})
"""Files that systems leave in folders; whatever else is no video is named."""
_CLOCKS = 60.0
"""Seconds by which a file server's clock may be ahead of ours. A later time is a mistake, and says nothing."""


@dataclass(frozen=True)
class Stamp:
    """What tells whether a file has changed; `changed`, when it did or came, in Unix seconds.

    Without its inode: some network drives give another one each time.
    """

    size: int
    modified_ns: int
    changed: float = field(compare=False)


@dataclass(frozen=True)
class InboxVideo:
    """A video of an inbox that is complete.

    Attributes:
        path: Its file.
        folder: The name of its subfolder; empty for the inbox itself.
        stamp: As it was looked at.
        captions: Its caption files.
    """

    path: Path
    folder: str
    stamp: Stamp
    captions: tuple[Path, ...] = ()

    def is_changed(self) -> bool:
        """Whether its file is no longer the one that was looked at, or is gone."""
        try:
            return _stamp_of(self.path.stat(), time.time()) != self.stamp
        except OSError:
            return True

    def can_be_opened(self) -> bool:
        """Whether this program may read its file at the moment."""
        try:
            self.path.open("rb").close()
        except OSError:
            return False
        return True


def is_ignored(name: str) -> bool:
    """Whether a file's or folder's name is none that a person gave."""
    plain = name.casefold()
    return plain.startswith(_NO_FILES) or plain in _NOT_NAMED or plain.endswith((*PARTIAL, TEXT_ENDING))


@dataclass
class InboxFolder:
    """A folder of the inbox at one look; the names of its files with their stamps."""

    path: Path
    name: str
    files: dict[str, Stamp] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)
    deeper: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    subfolders: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.videos: list[str] = []
        self.captions: dict[str, list[str]] = {}
        self.strays: list[str] = []
        self.others: list[str] = []

    @property
    def accounts_file(self) -> bool:
        """Whether it has a file with accounts, which is no video's caption."""
        return ACCOUNTS_FILE in self.files and "accounts" not in {Path(v).stem.casefold() for v in self.videos}

    def sort(self) -> None:
        """Tell the videos from their captions and from everything else."""
        endings = Limits().endings
        self.videos = sorted((n for n in self.files if Path(n).suffix.lower() in endings), key=natural)
        by_stem: dict[str, list[str]] = {}
        for video in self.videos:
            by_stem.setdefault(same_name(Path(video).stem), []).append(video)
        for name in sorted(set(self.files) - set(self.videos), key=natural):
            if name == ACCOUNTS_FILE and self.accounts_file:
                continue
            if Path(name).suffix.lower() != ENDING:
                self.others.append(name)
            elif its := whose_caption(name, by_stem)[1]:
                for video in its:
                    self.captions.setdefault(video, []).append(name)
            else:
                self.strays.append(name)

    def is_settled(
        self, video: str, before: InboxFolder | None, now: float, wait: float, accounts: Collection[str] = ()
    ) -> bool:
        """Whether a video is as it was before, with its captions, and has no reason to wait for more of them.

        Args:
            video: Its name.
            before: The folder at the look before.
            now: Unix seconds.
            wait: For how many seconds it waits for captions that are not there.
            accounts: Where it goes, by the names that people use.
        """
        if before is None or self.files[video].size == 0 or video.casefold() in self.partial:
            return False
        names = {video, *self.captions.get(video, ()), *before.captions.get(video, ()), ACCOUNTS_FILE}
        if any(self.files.get(name) != before.files.get(name) for name in names):
            return False
        return self._has_all_captions(video, accounts) or not is_young(self.files[video], now, wait)

    def _has_all_captions(self, video: str, accounts: Collection[str]) -> bool:
        """Whether no caption can be missing: there is one for all platforms, or each account's own."""
        stem = same_name(Path(video).stem)
        columns = {whose_caption(name, {stem: [video]})[0] for name in self.captions.get(video, ())}
        platforms = {platform for column in columns if (platform := platform_of(column))}
        names = [name.strip() for each in accounts for name in each.split(",")]
        return CAPTION in columns or (bool(names) and all(_is_on(name, platforms) for name in names))

    def shown(self, name: str) -> str:
        """A file of it, for people."""
        return one_line(f"{self.name}/{name}" if self.name else name)

    def video(self, name: str) -> InboxVideo:
        """A video of it."""
        captions = tuple(self.path / caption for caption in self.captions.get(name, ()))
        return InboxVideo(self.path / name, self.name, self.files[name], captions)


def _is_on(account: str, platforms: Collection[str]) -> bool:
    """Whether an account's name begins with one of these platforms; behind "all" or an ID is any."""
    return account.casefold().partition(" ")[0] in platforms


def is_young(stamp: Stamp, now: float, seconds: float) -> bool:
    """Whether a file was changed, or came into its folder, less than so many seconds ago."""
    return now - stamp.changed < seconds


def look(root: Path) -> list[InboxFolder]:
    """The inbox and its subfolders, as they are now.

    Raises:
        InputError: it cannot be read.
    """
    try:
        found = [_list(root, "")]
    except OSError as error:
        raise InputError(
            f"The inbox {one_line(str(root))} cannot be read ({one_line(error.strerror or str(error))}). Create the "
            "folder on the machine that runs this, or name another one."
        ) from None
    for name in sorted(found[0].subfolders, key=natural):
        try:
            found.append(_list(root / name, name))
        except OSError:  # gone, or not ours to read: it is none of the inbox's folders
            found[0].others.append(f"{name}/")
    return found


def _list(path: Path, name: str) -> InboxFolder:
    found = InboxFolder(path, name)
    now = time.time()
    for entry in sorted(os.scandir(path), key=lambda entry: natural(entry.name)):
        plain = entry.name.casefold()
        for ending in PARTIAL:
            if plain.endswith(ending):
                found.partial.add(plain.removesuffix(ending))
        if is_ignored(entry.name) or plain in _NO_FOLDERS:
            continue
        if entry.is_symlink() or getattr(entry, "is_junction", lambda: False)():
            found.links.append(entry.name)  # where it leads, something else may be at work with the file
            continue
        try:
            status = Path(entry.path).stat()  # the entry's own may be old on Windows
        except OSError:
            continue  # gone meanwhile
        if stat.S_ISDIR(status.st_mode):
            (found.deeper if name else found.subfolders).append(entry.name)
        elif stat.S_ISREG(status.st_mode):
            found.files[entry.name] = _stamp_of(status, now)
    found.sort()
    return found


def _stamp_of(status: os.stat_result, now: float) -> Stamp:
    """A moved file keeps the time of its content; on most systems the other time is that of the move."""
    changed = max((t for t in (status.st_mtime, status.st_ctime) if t <= now + _CLOCKS), default=0.0)
    return Stamp(status.st_size, status.st_mtime_ns, changed)
