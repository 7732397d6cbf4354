"""The form of a campaign."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reelflow.addresses import is_address, name_of
from reelflow.campaigns.moments import DATE_FORMAT_LABEL, DateFormat
from reelflow.fields import Form, entry
from reelflow.posts.fit_fields import FitChoice, fit_entry, fit_settings, loudness_entry, too_long_entry
from reelflow.posts.form import REFUSE, RULE_HELP, CopiedByRule
from reelflow.records.posts import without_quotes
from reelflow.video.fit_settings import FitSettings, TooLong
from reelflow.wording import one_line

SEND_NOTHING: Literal["send nothing"] = "send nothing"
MINUTES_APART = 5.0
"""Closer posts of one account are a mistake in the plan more often than they are meant."""
WrongRows = Literal["send nothing", "send the right ones"]
Only = Literal["what was not sent yet", "what failed"]


class RowForm(BaseModel):
    """One post that is typed into the form."""

    model_config = ConfigDict(extra="forbid")

    video: str = Field(
        title="Video",
        description="A video file, its https address, or its path in a storage.",
        min_length=1,
        json_schema_extra={"position": 0},
    )
    caption: str = Field(
        "", title="Caption", description="Text of the post.", json_schema_extra={"position": 1, "format": "textarea"}
    )
    when: str = Field(
        "", title="When", description="Such as 27 Nov 18:00, or now. Empty: the next posting slot.",
        json_schema_extra={"position": 2},
    )  # fmt: skip
    accounts: str = Field(
        "", title="Accounts", description="With commas between them. Empty: those above.",
        json_schema_extra={"position": 3},
    )  # fmt: skip


class CampaignForm(Form):
    """What to publish, and how."""

    plan: str = entry(
        0, "Plan", "A folder with videos, a CSV, JSON or YAML file, or the http(s) address of such a file; on the "
        "machine that runs the flow.", "", choices="plans", examples=["/videos/week-48", "/videos/week-48.csv"],
    )  # fmt: skip
    accounts: list[str] = entry(
        1, "Accounts", "Where to post what names no accounts of its own: connected accounts, platforms with only one "
        "account, or 'all'.", [], choices="accounts", examples=[["TikTok", "Instagram"]],
    )  # fmt: skip
    dry_run: bool = entry(
        2, "Check only", "Check everything and show every post with its time, without sending or reserving anything.",
        False,
    )  # fmt: skip
    approval: bool = entry(
        3, "Ask before sending", "Reserve the slots, and send nothing until you have approved the posts, with Resume "
        "in the run's menu. The command asks in the terminal.", False,
    )  # fmt: skip
    if_rows_are_wrong: WrongRows = entry(
        4, "If rows are wrong", "Every wrong row is named in any case.", SEND_NOTHING
    )  # fmt: skip
    fit: FitChoice = fit_entry(5)
    rows: list[RowForm] = entry(
        10, "Posts", "Posts to type in, in place of a plan.", [], advanced=True
    )  # fmt: skip
    same_time: bool = entry(
        11, "All accounts at the same time", "A post without a time takes a slot that all of its accounts have, in "
        "place of the next one of each.", False, advanced=True,
    )  # fmt: skip
    only: Only = entry(
        12, "Send", "'what failed' sends posts again that a platform has reported as failed; nothing else.",
        "what was not sent yet", advanced=True,
    )  # fmt: skip
    cause: str = entry(
        13, "Only what failed for", "Part of the reason, such as 'session expired'. Empty: for any reason.", "",
        advanced=True,
    )  # fmt: skip
    time_zone: str = entry(
        14, "Time zone of the plan", "For times without a time zone. Empty: the time zone of setup.", "",
        advanced=True, examples=["Europe/Berlin"],
    )  # fmt: skip
    date_format: DateFormat = entry(
        15, DATE_FORMAT_LABEL, "Which number is the day. 'refused': such a date is an error.", "refused",
        advanced=True,
    )  # fmt: skip
    campaign_id: str = entry(
        16, "Campaign ID", "Empty: a post without a time that is out already, from any plan, is not sent again. With "
        "another ID it counts as a new post, which can go out a day after the earlier one.", "", advanced=True,
        max_length=100,
    )  # fmt: skip
    minutes_apart: float = entry(
        17, "Minutes between posts", "Two posts of one account that are closer are an error. 0: not checked.",
        MINUTES_APART, advanced=True, ge=0, le=1440,
    )  # fmt: skip
    watch_minutes: float = entry(
        18, "Watch for up to (minutes)", "How long the run waits for the outcomes of what is published at once; "
        "less if other runs wait for room.",
        3, advanced=True, ge=0, le=1440,
    )  # fmt: skip
    max_lateness_minutes: float = entry(
        19, "Skip if later than (minutes)", "A run of a schedule sends nothing if nothing was there to start it for "
        "longer than this.", 30, advanced=True, ge=0, le=10080,
    )  # fmt: skip
    release_accounts: list[str] = entry(
        20, "Release accounts", "An account that failed 3 times in a row is on hold: nothing is sent there. Name it "
        "here, or 'all', once the cause is fixed. Not in a schedule, which would release it each time.", [],
        advanced=True, choices="accounts",
    )  # fmt: skip
    too_long: TooLong = too_long_entry(21)
    loudness: bool = loudness_entry(22)
    copied_by_rule: CopiedByRule = entry(23, "If a repost rule copies it", RULE_HELP, REFUSE, advanced=True)

    def fit_settings(self, row: FitChoice | None) -> FitSettings | None:
        """How a row's video is made right, by what its plan says or else by the form; None if it is refused."""
        return fit_settings(self.fit if row is None else row, self.too_long, self.loudness)

    @property
    def name(self) -> str:
        """The plan in a few words, of an address no more than may be shown."""
        plan = without_quotes(self.plan)
        last = name_of(plan) if is_address(plan) else plan.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
        return one_line(last, 60) or "posts of the form"
