"""The types of posts in the ledger, shared by everything above it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from reelflow.records.post_states import PostState, SendStatus, send_status
from reelflow.wording import one_line

EMPTY_CAPTION = (
    "caption: empty (recommended: a text). Platforms show posts without one less; Taisly's own tools need one."
)
"""Taisly itself takes a post without a caption."""


def file_name(path: str) -> str:
    """The last part of a path of any system, to be shown: a video may be sent on another machine than this one."""
    return one_line(path.replace("\\", "/").rpartition("/")[2])


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

    `size_bytes` and `modified_ns` are what the file was then; it is not sent if it has changed since.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    sha256: str
    size_bytes: int
    modified_ns: int
    width: int
    height: int
    duration: float = Field(description="Seconds.")
    warnings: list[str] = Field(default_factory=list)


class PostRequest(BaseModel):
    """A post that is ready to be sent: everything checked, every name resolved.

    Attributes:
        video: The checked file.
        accounts: Where to post.
        caption: Its text.
        scheduled_for: When Taisly publishes it; None for at once.
        preview_second: The frame that platforms show as its cover.
        repeat: 0 for the first time; another number sends the same again on purpose.
        watch_seconds: How long to wait for outcomes.
    """

    model_config = ConfigDict(frozen=True)

    video: Video
    accounts: list[Account]
    caption: str
    scheduled_for: AwareDatetime | None
    preview_second: float
    repeat: int = 0
    watch_seconds: float = 0.0

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
    """One upload to Taisly: made, being made, or to be made. Times are Unix seconds."""

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

    @property
    def file_name(self) -> str:
        """The last part of the video's path, whichever system's."""
        return file_name(self.file)

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
