"""The forms of the phone flows, and what those flows return."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reelflow.errors import ReelflowError
from reelflow.tikmatrix.scripts import Comment, Follow, Platform, Post, Script, Unfollow, WarmUp, entry


class PhoneForm(Script):
    """What every phone flow asks: who does it, how much of it, and how long to watch."""

    devices: list[str] = entry(
        1, "Phones", "Serials from the host block, or the one word 'all'. Each phone acts as the account that is "
        "logged in. Leave empty to name usernames instead.", [], max_length=200,
    )  # fmt: skip
    every_account: bool = entry(
        2, "Every account of each phone", "Not only the one that is logged in: each username that the block lists.",
        False,
    )  # fmt: skip
    usernames: list[str] = entry(
        3, "Usernames", "Accounts from the host block, or the one word 'all'; instead of phones.", [], max_length=500
    )
    most_tasks: int = entry(
        40, "At most (tasks)", "More than this in one run (targets x phones x accounts) is refused as a mistake.", 100,
        ge=1, le=1000,
    )  # fmt: skip
    retries: int = entry(
        41, "Repeat failed tasks", "How often, with pauses of 1, 3, 9, … minutes; beside what TikMatrix repeats by "
        "itself. A failed comment or post may be out all the same.", 0, ge=0, le=5,
    )  # fmt: skip
    watch_minutes: float = entry(
        42, "Watch for at most (minutes)", "Tasks that have not ended then are left to TikMatrix, and named.", 120,
        ge=0, le=1440,
    )  # fmt: skip
    start_at: str = entry(
        43, "Start at (HH:MM)", "By the clock of the TikMatrix PC. Empty: now, which is better: what TikMatrix does "
        "with a time that is past is not documented. Use a schedule instead.", "",
        pattern=r"^$|^([01][0-9]|2[0-3]):[0-5][0-9]$",
    )  # fmt: skip
    max_lateness_minutes: float = entry(
        44, "Skip if later than (minutes)", "A run that starts this much after its scheduled time does nothing.", 60,
        ge=0, le=10080,
    )  # fmt: skip
    dry_run: bool = entry(45, "Dry run", "Say exactly what would be sent to which phones, and send nothing.", False)


class WarmUpForm(WarmUp, PhoneForm):
    """Who watches what, and for how long."""


class CommentForm(Comment, PhoneForm):
    """Who comments on what. No account comments twice on the same post."""


class FollowForm(Follow, PhoneForm):
    """Who follows whom."""


class UnfollowForm(Unfollow, PhoneForm):
    """Who unfollows whom."""


class PhonePostForm(Post, PhoneForm):
    """What to post from which phones."""


class EngageForm(BaseModel):
    """What the phones do once the video is out."""

    model_config = ConfigDict(extra="forbid")

    devices: list[str] = entry(
        0, "Phones", "Serials from the host block, or the one word 'all'.", [], max_length=200
    )  # fmt: skip
    usernames: list[str] = entry(
        1, "Usernames", "Accounts from the host block, or the one word 'all'; instead of phones.", [], max_length=500
    )
    comments: list[str] = entry(
        2, "Comments", "To write under the new post, one each. None: no comments.", [], max_length=500
    )
    comment_on: list[Platform] = entry(
        3, "Comment on", "Where the new post is commented on, if it was published there.", ["TikTok"], max_length=2
    )
    comment_order: Literal["random", "sequential"] = entry(4, "Order of comments", "How a text is chosen.", "random")
    warm_up_seconds: int = entry(
        5, "Warm-up (seconds)", "How long each account watches videos first. 0: no warm-up.", 0, ge=0, le=14400
    )
    warm_up_topics: list[str] = entry(6, "Warm-up topics", "Keywords to search videos by.", [], max_length=100)
    phone_pc: str = entry(
        7, "Phone PC", "If the phones hang on another machine: its name, as in its deployments "
        "(warm-up-accounts/NAME); its worker does this part. Empty: this machine.", "",
    )  # fmt: skip
    most_tasks: int = entry(8, "At most (tasks)", "More than this is refused as a mistake.", 100, ge=1, le=1000)
    watch_minutes: float = entry(
        9, "Watch for at most (minutes)", "For each of the two parts. What has not ended then is left, and named.", 120,
        ge=0, le=1440,
    )  # fmt: skip


class ManageForm(BaseModel):
    """Which phone tasks, and what to do with them."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["list", "stop", "delete", "retry"] = entry(0, "Action", "What to do with them.", "list")
    task_ids: list[int] = entry(1, "Task ids", "TikMatrix's numbers. None: by the filters below.", [], max_length=500)
    status: Literal["any", "pending", "running", "completed", "failed"] = entry(
        2, "Status", "Only tasks that are so now.", "any"
    )
    script: Literal["any", "post", "follow", "unfollow", "account_warmup", "comment"] = entry(
        3, "Script", "Only tasks of this script.", "any"
    )
    device: str = entry(4, "Phone", "Only tasks on the phone with this serial. Empty: all listed ones.", "")
    only_ours: bool = entry(
        5, "Only what reelflow made", "Leave alone what was started in TikMatrix itself or by another program.", True
    )
    most_tasks: int = entry(6, "At most (tasks)", "If it would be more, nothing is done.", 50, ge=1, le=1000)
    dry_run: bool = entry(7, "Dry run", "Only say what would be done. On, unless you turn it off.", True)


class FinishPhonesForm(BaseModel):
    """How to finish what earlier runs left open."""

    minutes: float = entry(0, "Go on for at most (minutes)", "What is open then is left to the next run.", 1,
                           ge=0, le=1440)  # fmt: skip
    take_back: bool = entry(
        1, "Take back tasks of broken runs", "Stop and delete the unfinished tasks of runs that were cancelled or "
        "killed. Off: follow them to their end.", True,
    )  # fmt: skip


FINISH_PHONES = FinishPhonesForm()
"""The form as it is when nobody fills it in, as in a schedule."""


class TaskState(StrEnum):
    """What became of one phone task.

    RETRYING: it failed, and may be repeated by TikMatrix or by us. GONE: it was deleted in TikMatrix, or TikMatrix
    lost it. CANCELLED: we took it back.
    """

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    GONE = "GONE"
    CANCELLED = "CANCELLED"


UNFINISHED = (TaskState.PENDING, TaskState.RUNNING, TaskState.RETRYING)


class TaskResult(BaseModel):
    """One phone task as it is on record. Times are by the clock of the TikMatrix PC."""

    model_config = ConfigDict(frozen=True)

    task_id: int
    serial: str = ""
    username: str = ""
    target: str = ""
    state: TaskState = TaskState.PENDING
    remark: str = ""
    repeated_by_tikmatrix: int = 0
    repeated_by_us: int = 0
    started: str = ""
    ended: str = ""

    @property
    def who(self) -> str:
        """The phone and the account: "R58N01 (ada.daily)"."""
        return f"{self.serial} ({self.username})" if self.serial and self.username else self.serial or self.username


class PhoneReport(BaseModel):
    """What a run on phones did."""

    model_config = ConfigDict(frozen=True)

    host: str
    job: str
    planned: int = Field(0, description="Tasks that were asked for, after what was left out.")
    tasks: list[TaskResult] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list, description="What was left out, and why; one line a reason.")
    troubles: list[str] = Field(
        default_factory=list, description="Requests that were refused, or whose answer is lost."
    )
    dry_run: bool = False
    sentence: str = Field("", description="All of it in one line, for a person.")

    def having(self, *states: TaskState) -> list[TaskResult]:
        """The tasks in one of `states`."""
        return [task for task in self.tasks if task.state in states]


class PhonesFailed(ReelflowError):
    """At least one task failed or is gone, or could not be made. `report` has each."""

    def __init__(self, message: str, report: PhoneReport | None = None) -> None:
        super().__init__(message)
        self.report = report
