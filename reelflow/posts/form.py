"""The forms of the post flows.

They are kept out of the flow files because Prefect loads those as scripts: a stored result would refer to the script's
module, and would be read back as a plain dict.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from reelflow.fields import entry
from reelflow.posts.accounts import CAPTION_LIMIT, CAPTION_LIMITS
from reelflow.records.posts import file_name
from reelflow.video.rules import Limits

VIDEO = Limits()
LEAST_PATIENCE = 60.0
"""Seconds to wait for free requests in the plan, even if the run does not wait for outcomes."""
CAPTION_LENGTHS = f"up to {CAPTION_LIMIT} characters" + "".join(
    f", {limit} if you post to {platform}" for platform, limit in CAPTION_LIMITS.items()
)


class PostForm(BaseModel):
    """What to post, where and when."""

    model_config = ConfigDict(extra="forbid")

    video: str = entry(
        0, "Video file", "Path to the file on the machine that runs the flow. Vertical 9:16, "
        f"{VIDEO.min_duration:g} to {VIDEO.max_duration:g} seconds, up to {VIDEO.max_bytes / 1e6:g} MB.",
        min_length=1, examples=["/videos/croissant.mp4"],
    )  # fmt: skip
    accounts: list[str] = entry(
        1, "Accounts", "Where to post: names or IDs of accounts connected in Taisly, a platform with only one account, "
        "or 'all'. If one is not clear, nothing is sent and the run lists the connected accounts.", min_length=1,
        examples=[["TikTok", "Instagram"]],
    )  # fmt: skip
    caption: str = entry(
        2, "Caption", f"Text of the post: {CAPTION_LENGTHS}. Captions that are too long are rejected, not "
        "shortened.", "", max_length=max(CAPTION_LIMIT, *CAPTION_LIMITS.values()), format="textarea",
    )  # fmt: skip
    scheduled_for: datetime | None = entry(
        3, "Publish at", "When Taisly publishes the post. Leave empty to publish now.", None
    )  # fmt: skip
    time_zone: str = entry(
        4, "Time zone of 'Publish at'", "Needed only if the time itself has no time zone, for example when a script "
        "sets it. Example: Europe/Berlin.", "", examples=["Europe/Berlin"],
    )  # fmt: skip
    preview_second: float = entry(
        5,
        "Preview at (seconds)",
        "The frame of the video that platforms show as its cover.",
        0,
        ge=0,
        le=VIDEO.max_duration,
    )
    watch_minutes: float = entry(
        6, "Watch for up to (minutes)", "How long to wait for an outcome from every platform. A post without an "
        "outcome by then stays open. It does not count as failed.", 30, ge=0, le=1440,
    )  # fmt: skip
    dry_run: bool = entry(
        7, "Dry run", "Check everything and show what would be sent to which accounts, without sending it.", False,
    )  # fmt: skip
    repeat: int = entry(
        8, "Send again on purpose", "0: a post that was sent before is not sent again; the run reports its outcome. "
        "1, 2, …: each number sends the same video, caption and time once more, and skips the check for duplicates.",
        0, ge=0, le=1000,
    )  # fmt: skip
    max_lateness_minutes: float = entry(
        9, "Skip if later than (minutes)", "A run that starts later than this after its scheduled time publishes "
        "nothing.",
        30, ge=0, le=10080,
    )  # fmt: skip
    cancel_post_with_run: bool = entry(
        10, "Cancel the post with the run", "If this run is cancelled after Taisly accepted a scheduled post, cancel "
        "the post at Taisly too.", False,
    )  # fmt: skip

    @property
    def file_name(self) -> str:
        """The file name in the video's path, with either kind of slash."""
        return file_name(self.video.strip())

    @property
    def patience(self) -> float:
        """Seconds to wait for free requests in the plan, for a busy service, and for other runs."""
        return max(LEAST_PATIENCE, self.watch_minutes * 60)


class FinishForm(BaseModel):
    """How long to watch open posts."""

    minutes: float = entry(
        0, "Watch for up to (minutes)", "Posts without an outcome by then are left for the next run.", 2, ge=0, le=1440
    )


FINISH = FinishForm()
"""The form with its defaults, as a schedule uses it."""


class ResolveForm(BaseModel):
    """What you found out about an unconfirmed post."""

    send_id: str = entry(0, "Send ID", "Shown in the message of the run that ended as unconfirmed.", min_length=1)
    answer: Literal["published", "not published"] = entry(
        1, "What you found", "'not published' only allows the post to be sent again. Start its run again afterwards."
    )
    history_id: str = entry(
        2, "History ID", "Taisly's ID of the post, if you have it. Its outcomes are then looked up.", ""
    )  # fmt: skip
    dry_run: bool = entry(3, "Dry run", "Show what would be recorded, without recording it.", False)


class CancelPostForm(BaseModel):
    """Which scheduled post to cancel."""

    history_id: str = entry(
        0, "History ID", "Taisly's ID of the post, from the log or the report of the run that sent it.", min_length=1
    )
    dry_run: bool = entry(1, "Dry run", "Show the post with this ID, without cancelling it.", False)
