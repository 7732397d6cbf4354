"""The forms of the post flows.

They are kept out of the flow files because Prefect loads those as scripts: a stored result would refer to the script's
module, and would be read back as a plain dict.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

from pydantic import model_validator

from reelflow.downloads.source import shown_name
from reelflow.fields import Form, entry
from reelflow.posts.accounts import CAPTION_LIMIT, CAPTION_LIMITS
from reelflow.posts.fit_fields import FitChoice, fit_entry, fit_settings, loudness_entry, too_long_entry
from reelflow.records.posts import without_quotes
from reelflow.video.fit_settings import FitSettings, TooLong
from reelflow.video.rules import Limits
from reelflow.wording import one_line

VIDEO = Limits()
PATIENCE = 7200.0
"""Seconds to wait for free requests in the plan, for a busy service, and for other runs: a post that somebody submitted
goes out, even if 90 others on the smallest plan (50 requests an hour) were submitted with it."""
CAPTION_LENGTHS = f"up to {CAPTION_LIMIT} characters" + "".join(
    f", {limit} if you post to {platform}" for platform, limit in CAPTION_LIMITS.items()
)


CopiedByRule = Literal["refuse", "leave it to the rule"]
REFUSE: CopiedByRule = "refuse"
LEAVE: CopiedByRule = "leave it to the rule"
RULE_HELP = (
    "If an active repost rule in Taisly copies posts from one of the accounts to another one: 'refuse' sends nothing; "
    f"'{LEAVE}' sends it to the first only. The copy is not watched."
)


class PostForm(Form):
    """What to post, where and when."""

    video: str = entry(
        0, "Video", "A video file on the machine that runs the flow, an https address, or block://TYPE/NAME/PATH for a "
        "saved storage: vertical 9:16, "
        f"{VIDEO.min_duration:g} to {VIDEO.max_duration:g} seconds, up to {VIDEO.max_bytes / 1e6:g} MB.",
        choices="videos", min_length=1, examples=["/videos/croissant.mp4"],
    )  # fmt: skip
    accounts: list[str] = entry(
        1, "Accounts", "Where to post: connected accounts, a platform with only one account, or 'all'.",
        choices="accounts", min_length=1, examples=[["TikTok", "Instagram"]],
    )  # fmt: skip
    caption: str = entry(
        2, "Caption", f"Text of the post: {CAPTION_LENGTHS}.", "",
        max_length=max(CAPTION_LIMIT, *CAPTION_LIMITS.values()), format="textarea",
    )  # fmt: skip
    scheduled_for: datetime | str | None = entry(
        3, "Publish at", "When Taisly publishes the post, such as 27 Nov 18:00{zone}. Leave 'Start' below at 'Now': "
        "the run only hands the post over.", None, tabs=("Now", "At"),
    )  # fmt: skip
    fit: FitChoice = fit_entry(4)
    dry_run: bool = entry(
        5, "Dry run", "Check everything and show what would be sent to which accounts, without sending it.", False,
    )  # fmt: skip
    time_zone: str = entry(
        10, "Time zone of 'Publish at'", "Only for times without a time zone, as scripts may send them. Empty: the "
        "time zone of setup.", "", advanced=True, examples=["Europe/Berlin"],
    )  # fmt: skip
    preview_second: float = entry(
        11, "Preview at (seconds)", "The frame of the video that platforms show as its cover.", 0, advanced=True,
        ge=0, le=VIDEO.max_duration,
    )  # fmt: skip
    watch_minutes: float = entry(
        12, "Watch for up to (minutes)", "How long the run waits for an outcome from every platform. Then the run "
        "ends; outcomes that come later are recorded and reported all the same. It ends earlier if other runs wait for "
        "room. A scheduled post is not waited for.",
        3, advanced=True, ge=0, le=1440,
    )  # fmt: skip
    repeat: int = entry(
        13, "Send again on purpose", "0: a post that was sent before is not sent again; the run reports its outcome. "
        "1, 2, …: each number sends the same video, caption and time once more, and skips the check for duplicates.",
        0, advanced=True, ge=0, le=1000,
    )  # fmt: skip
    max_lateness_minutes: float = entry(
        14, "Skip if later than (minutes)", "A run of a schedule publishes nothing if nothing was there to start it "
        "for longer than this, for example while the machine was off. Waiting for other runs or for the plan does not "
        "count, and a run that you submit yourself is never too late.",
        30, advanced=True, ge=0, le=10080,
    )  # fmt: skip
    cancel_post_with_run: bool = entry(
        15, "Cancel the post with the run", "If this run is cancelled after Taisly accepted a scheduled post, cancel "
        "the post at Taisly too. Turn it off to keep the post.", True, advanced=True,
    )  # fmt: skip
    too_long: TooLong = too_long_entry(16)
    loudness: bool = loudness_entry(17)
    copied_by_rule: CopiedByRule = entry(
        18, "If a repost rule copies it", RULE_HELP, "refuse", advanced=True
    )  # fmt: skip

    @property
    def file_name(self) -> str:
        """The file name in the video's path, with either kind of slash; of an address, no more than may be shown."""
        return shown_name(without_quotes(self.video))

    @property
    def fit_settings(self) -> FitSettings | None:
        """How a video that does not fit is made right; None if it is refused."""
        return fit_settings(self.fit, self.too_long, self.loudness)

    @property
    def patience(self) -> float:
        """Seconds to wait for free requests in the plan, for a busy service, and for other runs."""
        return max(PATIENCE, self.watch_minutes * 60)


class RuleRow(Form):
    """To which accounts the posts of one account are copied. May be written as "TikTok @a -> X @b, Facebook (paused)".

    Attributes:
        source: The account whose posts are copied.
        targets: All accounts that they are copied to.
        paused: Whether the rule is paused.
    """

    source: str = entry(
        0, "From", "All posts of this account are copied, whoever publishes them.", choices="accounts",
        min_length=1, examples=["TikTok @mara.bakes"],
    )  # fmt: skip
    targets: list[str] = entry(
        1, "To", "All accounts that get the copies, or 'all' for every other account. Leave empty to remove this "
        "account's rules.", [],
        choices="accounts", examples=[["Instagram", "X"]],
    )  # fmt: skip
    paused: bool = entry(2, "Paused", "The rule exists and copies nothing for now.", False)

    @model_validator(mode="before")
    @classmethod
    def _read_line(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        source, arrow, targets = data.replace("\u2192", "->").partition("->")
        if not arrow:
            raise ValueError(
                f'"{one_line(data, 100)}" has no arrow "->". Write the account whose posts are copied, the arrow, and '
                'where they are copied to, such as "TikTok @a -> X @b, Facebook"; add "(paused)" if the rule is to be '
                "paused"
            )
        kept = re.sub(r"\(paused\)$", "", targets.strip(), flags=re.IGNORECASE).strip()
        return {"source": source.strip(), "targets": [kept] if kept else [], "paused": kept != targets.strip()}


class RepostRulesForm(Form):
    """Which repost rules Taisly is to have."""

    rules: list[RuleRow] = entry(
        0, "Rules", "One for each account whose posts Taisly copies, with all accounts that they are copied to; with "
        "no account under 'To', its rules are removed. Leave this and both 'Remove' options empty to only "
        "show the current rules.", [],
    )  # fmt: skip
    remove_others: bool = entry(
        1, "Remove all other rules", "Also remove the rules of accounts that have no row under 'From' here. Otherwise "
        "those rules stay.", False,
    )  # fmt: skip
    remove_gone: bool = entry(
        2, "Remove rules of disconnected accounts", "Also stop copying from or to accounts that are no longer "
        "connected in Taisly.", False,
    )  # fmt: skip
    dry_run: bool = entry(
        3, "Dry run", "On at first: show what would change, without changing it. Turn it off to change the rules.", True
    )  # fmt: skip


class FinishForm(Form):
    """How long to watch open posts."""

    minutes: float = entry(
        0, "Watch for up to (minutes)", "Posts without an outcome by then are left for the next run.", 2, ge=0, le=1440
    )


FINISH = FinishForm()
"""The form with its defaults, as a schedule uses it."""


class ResolveForm(Form):
    """What you found out about an unconfirmed post."""

    send_id: str = entry(0, "Send ID", "Shown in the message of the run that ended as unconfirmed.", min_length=1)
    answer: Literal["published", "not published"] = entry(
        1, "What you found", "'not published' only allows the post to be sent again. Start its run again afterwards."
    )
    history_id: str = entry(
        2, "History ID", "Taisly's ID of the post, if you have it. Its outcomes are then looked up.", ""
    )  # fmt: skip
    dry_run: bool = entry(3, "Dry run", "Show what would be recorded, without recording it.", False)


class CancelPostForm(Form):
    """Which scheduled post to cancel."""

    history_id: str = entry(
        0, "History ID", "From the log or the report of the run that sent it. The send ID works, too.", min_length=1
    )
    dry_run: bool = entry(1, "Dry run", "Show the post with this ID, without cancelling it.", False)
