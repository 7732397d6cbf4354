"""What flows take and return.

They live here and not in the flow files, because Prefect loads those as scripts: a stored result would name the
script's module and come back as a plain dict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

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
    time_zone: str = Field(
        "",
        title="Time zone of 'Publish at'",
        description="Only needed for a time without a zone, as a script may give: for example Europe/Berlin.",
        examples=["Europe/Berlin"],
        json_schema_extra={"position": 4},
    )
    repeat: int = Field(
        0,
        title="Send again on purpose",
        description="0: a post that was sent before is not sent again, its outcome is shown. 1, 2, …: the same video "
        "with the same caption and time once more, each number once.",
        ge=0,
        le=1000,
        json_schema_extra={"position": 8},
    )
    max_lateness_minutes: float = Field(
        30,
        title="Skip if later than (minutes)",
        description="A run that starts this much after its scheduled time publishes nothing: late is not now.",
        ge=0,
        le=10080,
        json_schema_extra={"position": 9},
    )
    withdraw_if_cancelled: bool = Field(
        False,
        title="Withdraw if cancelled",
        description="If this run is cancelled after Taisly took a scheduled post, withdraw the post there.",
        json_schema_extra={"position": 10},
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


UNDER_WAY = (State.SENDING, State.ACCEPTED)
"""States in which Taisly has, or may have, a post that has no outcome yet."""


ENDED_BADLY = (State.FAILED, State.REFUSED, State.UNCONFIRMED, State.CLAIMED)
"""States with which a run that wanted a post out has failed."""


class Outcome(BaseModel):
    """What became of a post at one account."""

    model_config = ConfigDict(frozen=True)

    account: Account
    state: State
    detail: str = ""
    link: str | None = None


@dataclass(frozen=True)
class Send:
    """One request to Taisly: made, being made, or to be made."""

    id: str
    service: str
    sha256: str
    file: str
    caption: str
    account_ids: tuple[str, ...]
    scheduled_ms: int
    repeat: int
    flow_run: str | None
    owner: str
    lease_until: float
    begun_at: float | None
    sealed_at: float | None
    history_id: str | None

    def lost(self, now: float) -> bool:
        """Whether nobody is at work on it any more."""
        return self.lease_until <= now


@dataclass(frozen=True)
class Claim:
    """What a run may send now, and what others have.

    Attributes:
        send_id: Under which `accounts` were claimed; None if there are none.
        accounts: To be sent to.
        waiting: Send ids of other runs that are sending right now.
    """

    send_id: str | None
    accounts: list[Account]
    waiting: list[str]


class PublishReport(BaseModel):
    """What a run of `publish_video` did."""

    model_config = ConfigDict(frozen=True)

    post: CheckedPost
    dry_run: bool = False
    outcomes: list[Outcome] = Field(default_factory=list)
    history_ids: list[str] = Field(default_factory=list, description="Taisly's ids of the post.")
    already: bool = Field(False, description="Whether all of it had been sent by an earlier run.")
    sentence: str = Field("", description="All of it in one line, for a person.")

    def having(self, *states: State) -> list[Outcome]:
        """The outcomes in one of `states`."""
        return [o for o in self.outcomes if o.state in states]

    @property
    def is_out(self) -> bool:
        """Whether it is out, or on its way, somewhere."""
        return bool(self.having(State.SUCCESS, State.PENDING))


class FinishForm(BaseModel):
    """How to finish what is open."""

    minutes: float = Field(
        2, title="Go on for at most (minutes)", description="What is open then is left to the next run.", ge=0, le=1440
    )


FINISH = FinishForm()
"""The form as it is when nobody fills it in, as in a schedule."""


class FinishReport(BaseModel):
    """What a run of `finish_open_posts` found."""

    ended: list[Outcome]
    still_open: int = Field(description="Destinations without an outcome.")
    unconfirmed: list[str] = Field(description="Ids of sends that wait for a person.")

    @property
    def sentence(self) -> str:
        """All of it in one line, for a person."""
        new = "1 outcome is new" if len(self.ended) == 1 else f"{len(self.ended)} outcomes are new"
        words = f"{new}, {self.still_open} still open"
        if self.unconfirmed:
            posts = "1 post waits" if len(self.unconfirmed) == 1 else f"{len(self.unconfirmed)} posts wait"
            words += f". {posts} for you (resolve-post): {', '.join(self.unconfirmed)}"
        return f"{words}."


class ResolveForm(BaseModel):
    """What you found out about a post."""

    send_id: str = Field(
        title="Send id",
        description="From the message of the run that ended as unconfirmed.",
        min_length=1,
        json_schema_extra={"position": 0},
    )
    answer: Literal["it is out", "send it again"] = Field(
        title="What you found", description="'send it again' only frees it: start publish-video once more then.",
        json_schema_extra={"position": 1},
    )  # fmt: skip
    history_id: str = Field(
        "",
        title="History id",
        description="Taisly's id of the post, if you have it: then its outcomes are looked up.",
        json_schema_extra={"position": 2},
    )
    dry_run: bool = Field(
        False, title="Dry run", description="Say what would be recorded.", json_schema_extra={"position": 3}
    )


class WithdrawForm(BaseModel):
    """Which scheduled post to withdraw."""

    history_id: str = Field(
        title="History id",
        description="Taisly's id of the post, from the run's report.",
        min_length=1,
        json_schema_extra={"position": 0},
    )
    dry_run: bool = Field(
        False, title="Dry run", description="Say which post it is, and withdraw nothing.",
        json_schema_extra={"position": 1},
    )  # fmt: skip


class HistoryForm(BaseModel):
    """How far back to look."""

    days: int = Field(7, title="Days", description="Of posts and phone tasks, until now.", ge=1, le=366)


WEEK = HistoryForm()
"""The form as it is when nobody fills it in, as in a schedule."""


class PublishFailed(ReelflowError):
    """At least one platform did not publish the post. `report` has the outcome of each."""

    def __init__(self, message: str, report: PublishReport | None = None) -> None:
        super().__init__(message)
        self.report = report
