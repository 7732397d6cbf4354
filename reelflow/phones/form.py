"""The forms of the phone flows."""

from __future__ import annotations

from typing import Literal

from reelflow.fields import TIME_OF_DAY, Form, entry
from reelflow.tikmatrix.scripts import Comment, Follow, Order, Post, Script, Unfollow, WarmUp
from reelflow.tikmatrix.targets import Platform


class PhoneForm(Script):
    """The fields that every phone flow has: who runs the script, the task limit, and how long to watch."""

    devices: list[str] = entry(
        1, "Phones", "Phones that the host block lists, or 'all'. Each uses the account it is logged in to.", [],
        choices="phones", max_length=200,
    )  # fmt: skip
    every_account: bool = entry(
        39, "Every account of each phone", "Use every username that the host block lists for the phone, not only the "
        "one that is logged in.", False, advanced=True,
    )  # fmt: skip
    usernames: list[str] = entry(
        2, "Usernames", "Accounts that the host block lists, or 'all'. Use instead of phones.", [],
        choices="usernames", max_length=500,
    )  # fmt: skip
    most_tasks: int = entry(
        40, "Task limit", "A run that would create more tasks than this (targets × phones or accounts) sends nothing.",
        100, ge=1, le=1000, advanced=True,
    )  # fmt: skip
    retries: int = entry(
        41, "Retries", "How many times to retry a failed task, after 1, 3, 9, … minutes, in addition to TikMatrix's "
        "own retries. A comment or post that is reported as failed may still have been published.", 0, ge=0, le=5,
        advanced=True,
    )  # fmt: skip
    watch_minutes: float = entry(
        42, "Watch for up to (minutes)", "Tasks that are unfinished by then continue in TikMatrix and are listed in "
        "the report.", 120,
        ge=0, le=1440, advanced=True,
    )  # fmt: skip
    start_at: str = entry(
        43, "Start at (HH:MM)", "By the clock of the phone PC. Prefer a schedule: TikMatrix does not document "
        "what happens if this time has already passed.", "",
        pattern=TIME_OF_DAY, advanced=True,
    )  # fmt: skip
    max_lateness_minutes: float = entry(
        44, "Skip if later than (minutes)", "A run of a schedule does nothing if nothing was there to start it for "
        "longer than this, for example while the machine was off. A run that you submit yourself is never too late.",
        60, ge=0, le=10080, advanced=True,
    )  # fmt: skip
    dry_run: bool = entry(
        30, "Dry run", "Show which phones or accounts would act on what, without sending anything.", False
    )


class WarmUpForm(WarmUp, PhoneForm):
    """Which accounts watch what, and for how long."""


class CommentForm(Comment, PhoneForm):
    """Which accounts comment on which posts. No account comments twice on the same post."""


class FollowForm(Follow, PhoneForm):
    """Which accounts follow which users."""


class UnfollowForm(Unfollow, PhoneForm):
    """Which accounts unfollow which users."""


class PhonePostForm(Post, PhoneForm):
    """What to post from which phones."""


class EngageForm(Form):
    """What the phones do once the video is published: the fields of `CommentForm`, and those of `WarmUpForm`.

    What a comment has keeps its name; what a warm-up has begins with "warm_up_". A test compares.
    """

    devices: list[str] = entry(
        0, "Phones", "Phones that the host block lists, or 'all'.", [], choices="phones", max_length=200
    )  # fmt: skip
    usernames: list[str] = entry(
        1, "Usernames", "Accounts that the host block lists, or 'all'. Use instead of phones.", [],
        choices="usernames", max_length=500,
    )  # fmt: skip
    comments: list[str] = entry(
        2, "Comments", "Texts for comments on the new post, one per row. Leave empty for no comments.", [],
        max_length=500,
    )  # fmt: skip
    comment_on: list[Platform] = entry(
        3, "Comment on", "Platforms to comment on, if the post was published there.", ["TikTok"], max_length=2
    )
    warm_up_seconds: int = entry(
        4, "Warm-up (seconds)", "How long each account watches videos first. 0: no warm-up.", 0, ge=0, le=14400
    )
    comment_order: Order = entry(10, "Comment order", "How the next text is chosen.", "random", advanced=True)
    insert_emoji: bool = entry(11, "Add emoji", "Let TikMatrix add emoji to the comments.", False, advanced=True)
    image_path: str = entry(
        12, "Image", "TikTok only: path on the phone PC to an image to comment with.", "", advanced=True,
    )  # fmt: skip
    warm_up_topics: list[str] = entry(
        20, "Warm-up topics", "Keywords to search for videos, one per row. Leave empty for the app's own feed.", [],
        max_length=100, advanced=True,
    )  # fmt: skip
    warm_up_min_seconds: int = entry(
        21, "Warm-up: minimum view (seconds)", "Shortest time spent on one video.", 15, ge=1, le=3600, advanced=True
    )
    warm_up_max_seconds: int = entry(
        22, "Warm-up: maximum view (seconds)", "Longest time spent on one video.", 30, ge=1, le=3600, advanced=True
    )
    warm_up_like_percent: int = entry(
        23, "Warm-up: likes (percent)", "Share of watched videos to like.", 0, ge=0, le=100, advanced=True
    )
    warm_up_follow_percent: int = entry(
        24, "Warm-up: follows (percent)", "Share of watched videos whose author to follow. These follows do not count "
        "towards the daily limit.", 0, ge=0, le=100, advanced=True,
    )  # fmt: skip
    warm_up_collect_percent: int = entry(
        25, "Warm-up: favourites (percent)", "Share of watched videos to save.", 0, ge=0, le=100, advanced=True
    )
    warm_up_comment_percent: int = entry(
        26, "Warm-up: comments (percent)", "Share of watched videos to comment on. Needs texts for them, or ChatGPT. "
        "These comments do not count towards the daily limit.", 0, ge=0, le=100, advanced=True,
    )  # fmt: skip
    warm_up_comments: list[str] = entry(
        27, "Warm-up: comment texts", "Texts for comments on watched videos, one per row.", [], max_length=500,
        advanced=True,
    )  # fmt: skip
    warm_up_comment_order: Order = entry(
        28, "Warm-up: comment order", "How the next text is chosen.", "random", advanced=True
    )
    warm_up_insert_emoji: bool = entry(
        29, "Warm-up: add emoji", "Let TikMatrix add emoji to the comments on watched videos.", False, advanced=True
    )
    warm_up_write_with_chatgpt: bool = entry(
        30, "Warm-up: comments by ChatGPT", "Let ChatGPT write the comments on watched videos, using a ChatGPT "
        "Settings block.", False, advanced=True,
    )  # fmt: skip
    every_account: bool = entry(
        40, "Every account of each phone", "Use every username that the host block lists for the phone, not only the "
        "one that is logged in.", False, advanced=True,
    )  # fmt: skip
    phone_pc: str = entry(
        41, "Another phone PC", "Name of the PC that the phones are connected to, if it is not the machine that runs "
        "this flow. That PC then does the phones' part.", "", advanced=True,
    )  # fmt: skip
    most_tasks: int = entry(
        42, "Task limit", "Checked before the video is published, for one post on each platform. A part that would "
        "create more tasks than this sends nothing.", 100, ge=1, le=1000, advanced=True,
    )  # fmt: skip
    retries: int = entry(
        43, "Retries", "How many times to retry a failed task, after 1, 3, 9, … minutes, in addition to TikMatrix's "
        "own retries. A comment that is reported as failed may still have been published.", 0, ge=0, le=5,
        advanced=True,
    )  # fmt: skip
    watch_minutes: float = entry(
        44, "Watch for up to (minutes)", "Applies to warm-ups and comments separately. Tasks that are unfinished by "
        "then continue in TikMatrix and are listed in the report.", 120,
        ge=0, le=1440, advanced=True,
    )  # fmt: skip
    start_at: str = entry(
        45, "Start at (HH:MM)", "By the clock of the phone PC. Leave empty to start once the post is published: "
        "TikMatrix does not document what happens if this time has already passed.", "",
        pattern=TIME_OF_DAY, advanced=True,
    )  # fmt: skip
    max_lateness_hours: float = entry(
        46, "Skip if later than (hours)", "The phones do nothing if the post was published longer ago than this when "
        "they could start, for example because the machine was off.", 12, ge=0.1, le=168, advanced=True,
    )  # fmt: skip


class EngageLaterForm(Form):
    """For which published post the phones do their part."""

    engagement_id: str = entry(
        0, "Engagement ID", "From an alarm, or from the message of the run that left the phones' part to a later one.",
        min_length=1,
    )  # fmt: skip
    try_again: bool = entry(
        1, "Try again", "Do the phones' part again if it failed or was skipped: only what is left of it.", False,
    )  # fmt: skip
    dry_run: bool = entry(2, "Dry run", "Show what the phones would do now, without sending anything.", False)


class ManageForm(Form):
    """Which phone tasks to manage, and how."""

    action: Literal["list", "stop", "delete", "retry", "mark done", "mark not done"] = entry(
        0, "Action", "What to do with the tasks. 'mark done' and 'mark not done' record what you found on accounts: "
        "for tasks that are gone, by their task IDs, and for unconfirmed requests, by their request IDs. What was not "
        "done does not count and can be requested again.", "list",
    )  # fmt: skip
    task_ids: list[int] = entry(
        1,
        "Task IDs",
        "TikMatrix's task IDs. Leave empty for all. The filters below apply in both cases.",
        [],
        max_length=500,
    )
    status: Literal["any", "pending", "running", "completed", "failed"] = entry(
        3,
        "Status",
        "Only tasks with this status.",
        "any",
        advanced=True,
    )
    script: Literal["any", "post", "follow", "unfollow", "account_warmup", "comment"] = entry(
        4,
        "Script",
        "Only tasks of this script.",
        "any",
        advanced=True,
    )
    device: str = entry(
        5, "Phone", "Only tasks on the phone with this serial. Leave empty for all listed phones.", "", advanced=True
    )
    only_ours: bool = entry(
        6,
        "Only tasks from reelflow",
        "Ignore tasks that were created in TikMatrix itself or by another program.",
        True,
        advanced=True,
    )
    most_tasks: int = entry(
        7,
        "Task limit",
        "If more tasks match, none of them is stopped, deleted or retried.",
        50,
        ge=1,
        le=1000,
        advanced=True,
    )
    request_ids: list[str] = entry(
        2, "Request IDs", "Unconfirmed requests to mark, by the IDs in the report of their run.", [], max_length=100
    )
    dry_run: bool = entry(8, "Dry run", "Show what would be done, without doing it. On by default.", True)

    @property
    def marks(self) -> bool:
        """Whether it is about what TikMatrix no longer has."""
        return self.action in ("mark done", "mark not done")


class FinishPhonesForm(Form):
    """How long to watch open phone tasks, and whether to cancel those of dead runs."""

    minutes: float = entry(
        0, "Watch for up to (minutes)", "Tasks that are unfinished by then are left for the next run.", 1, ge=0, le=1440
    )
    cancel_tasks: bool = entry(
        1, "Cancel tasks of dead runs", "Stop and delete the unfinished tasks of runs that were cancelled or killed. "
        "If off, they are watched until they finish.", True,
    )  # fmt: skip


FINISH_PHONES = FinishPhonesForm()
"""The form with its defaults, as a schedule uses it."""
