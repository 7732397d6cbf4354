"""What flows take and return.

They live here and not in the flow files, because Prefect loads those as scripts: a stored result would name the
script's module and come back as a plain dict.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from reelflow.errors import ReelflowError

CAPTION_MAX = 2200
"""Characters; the longest caption that any platform takes."""


class PostForm(BaseModel):
    """What to post, where and when."""

    model_config = ConfigDict(extra="forbid")

    video: str = Field(
        title="Video file",
        description="Path of the file on the machine that runs the flow. Upright 9:16, 3 to 90 seconds, up to 500 MB.",
        min_length=1,
        examples=["/videos/croissant.mp4"],
        json_schema_extra={"position": 0},
    )
    accounts: list[str] = Field(
        title="Accounts",
        description="Where to post: account names, ids or platform names as connected in Taisly, "
        "or the one word 'all'. A name that does not fit lists what is connected; nothing is sent then.",
        min_length=1,
        examples=[["TikTok", "Instagram"]],
        json_schema_extra={"position": 1},
    )
    caption: str = Field(
        "",
        title="Caption",
        description="Text of the post. At most 100 characters if X is among the accounts, else 2200. Never cut.",
        max_length=CAPTION_MAX,
        json_schema_extra={"position": 2, "format": "textarea"},
    )
    scheduled_for: datetime | None = Field(
        None,
        title="Publish at",
        description="When Taisly publishes it. None: now.",
        json_schema_extra={"position": 3},
    )
    time_zone: str | None = Field(
        None,
        title="Time zone of 'Publish at'",
        description="Only needed for a time without a zone, as a script may give: for example Europe/Berlin.",
        examples=["Europe/Berlin"],
        json_schema_extra={"position": 4},
    )
    preview_second: float = Field(
        0,
        title="Preview picture at second",
        description="The moment of the video that platforms show as its preview.",
        ge=0,
        le=90,
        json_schema_extra={"position": 5},
    )
    watch_minutes: float = Field(
        30,
        title="Watch for at most (minutes)",
        description="How long to wait for every platform's outcome. A post that is still open then stays open; "
        "it does not count as failed.",
        ge=0,
        le=1440,
        json_schema_extra={"position": 6},
    )
    dry_run: bool = Field(
        False,
        title="Dry run",
        description="Check everything and say exactly what would be sent, but send nothing.",
        json_schema_extra={"position": 7},
    )

    @property
    def file_name(self) -> str:
        """The last part of the video's path, whichever system's."""
        return self.video.strip().replace("\\", "/").rpartition("/")[2]


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


class CheckedPost(BaseModel):
    """A post with everything checked that can be checked before it is sent."""

    model_config = ConfigDict(frozen=True)

    video: Video
    accounts: list[Account]
    caption: str
    scheduled_for: AwareDatetime | None
    preview_second: float

    @property
    def named_accounts(self) -> str:
        """Its accounts in one line."""
        return ", ".join(a.label for a in self.accounts)

    @property
    def short_accounts(self) -> str:
        """Its accounts for a name: counted where there are more than two."""
        return self.named_accounts if len(self.accounts) < 3 else f"{len(self.accounts)} accounts"


class SentPost(BaseModel):
    """A post that Taisly accepted. That is not yet published."""

    model_config = ConfigDict(frozen=True)

    history_id: str
    sent_at: AwareDatetime
    scheduled_for: AwareDatetime | None = None


class State(StrEnum):
    """What became of one destination; `reelflow.ledger` draws how they follow on each other.

    PENDING is only ever shown: a post that Taisly has and that has no outcome yet.
    """

    CLAIMED = "CLAIMED"
    SENDING = "SENDING"
    ACCEPTED = "ACCEPTED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    REFUSED = "REFUSED"
    UNCONFIRMED = "UNCONFIRMED"
    CANCELLED = "CANCELLED"
    PENDING = "PENDING"


class Outcome(BaseModel):
    """What became of a post at one account."""

    model_config = ConfigDict(frozen=True)

    account: Account
    state: State
    detail: str = ""
    link: str | None = None


class PublishReport(BaseModel):
    """What a run of `publish_video` did."""

    model_config = ConfigDict(frozen=True)

    post: CheckedPost
    sent: SentPost | None = Field(None, description="None for a dry run.")
    outcomes: list[Outcome] = Field(default_factory=list)
    sentence: str = Field("", description="All of it in one line, for a person.")

    def having(self, *states: State) -> list[Outcome]:
        """The outcomes in one of `states`."""
        return [o for o in self.outcomes if o.state in states]


class PublishFailed(ReelflowError):
    """At least one platform did not publish the post. `report` has the outcome of each."""

    def __init__(self, message: str, report: PublishReport | None = None) -> None:
        super().__init__(message)
        self.report = report
