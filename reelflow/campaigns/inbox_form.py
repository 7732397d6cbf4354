"""The form of an inbox: a folder whose new videos are published as they come."""

from __future__ import annotations

from reelflow.campaigns.form import CampaignForm
from reelflow.fields import Form, entry
from reelflow.posts.fit_fields import FitChoice, fit_entry, loudness_entry, too_long_entry
from reelflow.posts.form import REFUSE, RULE_HELP, CopiedByRule
from reelflow.video.fit_settings import TooLong


class InboxForm(Form):
    """Which folder is looked into, and where its videos go."""

    folder: str = entry(
        0, "Folder", "The inbox, on the machine that runs the flow: its whole path, or its name in the folder of your "
        "videos. A subfolder such as 'TikTok @mara + Instagram' names its accounts.", min_length=1,
        examples=["/videos/inbox"],
    )  # fmt: skip
    accounts: list[str] = entry(
        1, "Accounts", "Where to post the videos that are directly in the folder: connected accounts, platforms with "
        "only one account, or 'all'.", [], choices="accounts", examples=[["TikTok", "Instagram"]],
    )  # fmt: skip
    dry_run: bool = entry(
        2, "Check only", "Check what is new and show every post with its time, without sending, reserving or moving "
        "anything.", False,
    )  # fmt: skip
    fit: FitChoice = fit_entry(3)
    same_time: bool = entry(
        10, "All accounts at the same time", "A video takes a slot that all of its accounts have, in place of the next "
        "one of each.", False, advanced=True,
    )  # fmt: skip
    wait_minutes: float = entry(
        11, "Wait for captions (minutes)", "How long a video without a caption file waits for one; and one that cannot "
        "be used, for the rest of it.", 2, advanced=True, ge=0, le=1440,
    )  # fmt: skip
    settle_seconds: float = entry(
        12, "Unchanged for (seconds)", "A video is taken if it is the same on two looks that are so far apart.", 5,
        advanced=True, ge=0, le=300,
    )  # fmt: skip
    most_videos: int = entry(
        13, "Videos per run", "The rest is left to the next run.", 20, advanced=True, ge=1, le=1000
    )  # fmt: skip
    campaign_id: str = entry(
        14, "Campaign ID", "Empty: a video that is out or scheduled already is not sent again. With another ID it "
        "counts as a new post.", "", advanced=True, max_length=100,
    )  # fmt: skip
    too_long: TooLong = too_long_entry(15)
    loudness: bool = loudness_entry(16)
    copied_by_rule: CopiedByRule = entry(17, "If a repost rule copies it", RULE_HELP, REFUSE, advanced=True)

    @property
    def name(self) -> str:
        """The folder in a few words."""
        return self.campaign().name

    def campaign(self) -> CampaignForm:
        """The campaign that its new videos are."""
        return CampaignForm(
            plan=self.folder,
            accounts=self.accounts,
            dry_run=self.dry_run,
            if_rows_are_wrong="send the right ones",
            same_time=self.same_time,
            campaign_id=self.campaign_id,
            copied_by_rule=self.copied_by_rule,
            watch_minutes=0,
            fit=self.fit,
            too_long=self.too_long,
            loudness=self.loudness,
        )
