"""The types of posts in the ledger, shared by everything above it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from reelflow.records.clients import shown_client
from reelflow.records.post_states import PostState, SendStatus, send_status
from reelflow.time_zones import DAY
from reelflow.video.fit_settings import FitSettings
from reelflow.wording import one_line

EMPTY_CAPTION = (
    "caption: empty (recommended: a text). Taisly's own tools require one, and platforms may show such a post less."
)
"""Taisly itself takes a post without a caption."""
SENT_AGAIN = 10_000
"""What a campaign sends again since it failed has the `repeat` of its row plus a multiple of this: people give smaller
numbers, so it is never taken for another row's post."""


def own_repeat(repeat: int) -> int:
    """The number that a person gave a post, however often it was sent again since it failed."""
    return repeat % SENT_AGAIN


def file_name(path: str) -> str:
    """The last part of a path of any system, to be shown: a video may be sent on another machine than this one."""
    return one_line(path.replace("\\", "/").rpartition("/")[2])


def without_quotes(path: str) -> str:
    """A path without the quotes that "Copy as path" of Windows, or a shell, puts around it."""
    path = path.strip()
    return path[1:-1].strip() if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'" else path


def plain_caption(caption: str) -> str:
    """A caption without what makes no difference: how blanks and accents are written."""
    return " ".join(unicodedata.normalize("NFC", caption).split())


class Account(BaseModel):
    """A platform account that is connected in Taisly."""

    model_config = ConfigDict(frozen=True)

    id: str
    platform: str
    name: str = ""

    @property
    def label(self) -> str:
        """How people know it: "TikTok @mara.bakes"."""
        return f"{self.platform} {self.name}".strip()


class Video(BaseModel):
    """A video file that passed the check.

    `size_bytes` and `modified_ns` are what the file was then; it is not sent if it has changed since. `pictures` tell
    whether another file shows the same; there are none where they could not be decoded.

    If it was made right, `path`, its size and its time are those of the copy that is sent. What tells it from others
    (`sha256`, `duration`, `pictures`) stays the original's: the same video is not sent twice because it is fitted in
    another way. With `fit`, that copy is still to be made, and nothing may be sent.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    sha256: str
    size_bytes: int
    modified_ns: int
    width: int
    height: int
    duration: float = Field(description="Seconds.")
    pictures: tuple[int, ...] = ()
    warnings: list[str] = Field(default_factory=list)
    fit: FitSettings | None = None
    original: Path | None = None
    sent_duration: float | None = None
    changes: list[str] = Field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long the video is that is sent: less than `duration` if it is trimmed."""
        return self.sent_duration or self.duration

    @property
    def source(self) -> Path:
        """The file that people know: the one that was named, whatever copy of it is sent."""
        return self.original or self.path

    @property
    def name(self) -> str:
        """Its file name."""
        return self.source.name


class PostRequest(BaseModel):
    """A post that is ready to be sent: everything checked, every name resolved.

    Attributes:
        video: The checked file.
        accounts: Where to post.
        caption: Its text.
        scheduled_for: When Taisly publishes it; None for at once.
        preview_second: The frame that platforms show as its cover.
        repeat: 0 for the first time; another number sends the same again on purpose. See `SENT_AGAIN`.
        watch_seconds: How long to wait for outcomes.
        patience: Seconds to wait until it can be sent.
        duplicate_seconds: How far apart the same video may be published to the same account.
        left_to_rules: A sentence for each account that is not among them, since a repost rule copies it there.
    """

    model_config = ConfigDict(frozen=True)

    video: Video
    accounts: list[Account]
    caption: str
    scheduled_for: AwareDatetime | None
    preview_second: float
    repeat: int = 0
    watch_seconds: float = 0.0
    patience: float = 900.0
    duplicate_seconds: float = DAY
    left_to_rules: list[str] = Field(default_factory=list)

    def with_warnings(self, warnings: Sequence[str]) -> PostRequest:
        """The same post, with more to tell about its video."""
        video = self.video.model_copy(update={"warnings": [*self.video.warnings, *warnings]})
        return self.model_copy(update={"video": video})

    @property
    def account_names(self) -> str:
        """Its accounts in one line."""
        return ", ".join(a.label for a in self.accounts)

    @property
    def short_account_names(self) -> str:
        """Its accounts for the name of a run: counted where there are more than two."""
        return self.account_names if len(self.accounts) < 3 else f"{len(self.accounts)} accounts"

    @property
    def warnings(self) -> list[str]:
        """What platforms may not like about it; it is sent all the same."""
        return [*([] if self.caption.strip() else [EMPTY_CAPTION]), *self.video.warnings]

    @property
    def scheduled_ms(self) -> int:
        """When Taisly publishes it, in Unix milliseconds; 0 for at once."""
        return 0 if self.scheduled_for is None else round(self.scheduled_for.timestamp() * 1000)


class Outcome(BaseModel):
    """The outcome of a post at one account."""

    model_config = ConfigDict(frozen=True)

    account: Account
    state: PostState
    detail: str = ""
    link: str | None = None


@dataclass(frozen=True)
class Send:
    """One upload to Taisly: made, being made, or to be made. Times are Unix seconds.

    `client` is the name that the block "Taisly Account" had then; empty if it was not saved.
    """

    id: str
    service: str
    sha256: str
    file: str
    caption: str
    account_ids: tuple[str, ...]
    scheduled_ms: int
    flow_run: str | None
    owner: str
    lease_until: float
    begun_at: float | None
    sealed_at: float | None
    history_id: str | None
    watched_since: float | None
    missing_since: float | None
    claimed_at: float
    duration: float
    pictures: tuple[int, ...]
    repeat: int
    client: str = ""

    @property
    def shown_client(self) -> str:
        """The client that it was sent for, where there is more than the usual one."""
        return shown_client(self.client)

    @property
    def scheduled_for(self) -> datetime | None:
        """When Taisly publishes it; None for at once."""
        return datetime.fromtimestamp(self.scheduled_ms / 1000, UTC) if self.scheduled_ms else None

    @property
    def published_at(self) -> float:
        """When it was sent, or is to be published if that is later."""
        return max(self.sealed_at or self.claimed_at, self.scheduled_ms / 1000)

    @property
    def file_name(self) -> str:
        """The last part of the video's path, whichever system's."""
        return file_name(self.file)

    def watched_for(self, now: float) -> float:
        """Seconds since its outcome was first looked for."""
        return now - (self.watched_since or now)

    def missed_for(self, now: float) -> float:
        """Seconds since the history was first found not to show it, and has not shown it since."""
        return now - (self.missing_since or now)

    def status(self, now: float, *, clock_slack: float = 0.0) -> SendStatus:
        """What it calls for now; see `send_status`."""
        return send_status(
            history_id=self.history_id,
            lease_until=self.lease_until,
            sealed_at=self.sealed_at,
            scheduled_ms=self.scheduled_ms,
            now=now,
            clock_slack=clock_slack,
        )


SendRecord = tuple[Send, list[Outcome]]
"""A send with its destinations."""


@dataclass(frozen=True)
class FoundPost:
    """A post in Taisly's history that no send on record owns.

    Attributes:
        history_id: Empty where the history gives none.
        caption: As the history shows it.
        account_ids: Where it was posted; empty where the history does not tell.
        platforms: The names of the platforms, if that is all that it tells.
        at: When it is or was published, in Unix seconds by our clock; None if the history does not tell.
    """

    history_id: str
    caption: str
    account_ids: tuple[str, ...]
    platforms: tuple[str, ...]
    at: float | None

    def is_at(self, account: Account) -> bool:
        """Whether it is at this account; where the history does not tell, it may be anywhere."""
        if self.account_ids:
            return account.id in self.account_ids
        return not self.platforms or account.platform.casefold() in {name.casefold() for name in self.platforms}


@dataclass(frozen=True)
class Claim:
    """What a run may send now, and what others have.

    Attributes:
        send_id: Under which `accounts` were claimed; None if there are none.
        accounts: To be sent to.
        waiting: Ids of sends that live runs are making right now.
        settled: Ids of sends that have reached the other accounts, or may have.
    """

    send_id: str | None
    accounts: list[Account]
    waiting: list[str]
    settled: list[str]
