"""The block with the times of the week at which accounts post."""

from functools import cached_property
from typing import Annotated

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, WithJsonSchema, field_validator

from blocks.readable import readable
from reelflow.campaigns.slot_rules import SLOT_ROW, read_closed, read_rules
from reelflow.campaigns.slots import SlotBook
from reelflow.time_zones import read_zone, shown_zone, zone_names


class PostingSlots(Block):
    """The times of the week at which accounts post, for posts that have no time of their own.

    Example:
        Load a saved block and see its slots:

        ```python
        from blocks import PostingSlots

        slots = PostingSlots.load("BLOCK_NAME")
        print(slots.book.rules)
        ```
    """

    _block_type_name = "Posting Slots"
    _block_type_slug = "posting-slots"
    _description = "The times of the week at which your accounts post."
    # Prefect's own picture for this kind of block: one of ours would need a public address.
    _logo_url = HttpUrl(
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/webhook.png"
    )
    _documentation_url = HttpUrl("https://app.taisly.com")

    # Required, because a block without a required field cannot be a flow parameter: see TikMatrixHost.
    slots: list[Annotated[str, WithJsonSchema({"type": "string", "pattern": SLOT_ROW})]] = Field(
        min_length=1,
        title="Slots",
        description="WHO: DAYS TIMES, such as TikTok @mara: Mon-Fri 12:00 and 18:30; Sat 10:00. WHO is an account, a "
        "platform or all: the most specific counts. Without days: every day. To pause: TikTok @mara: paused.",
        examples=[["TikTok @mara: Mon-Fri 12:00 and 18:30; Sat 10:00", "all: daily 18:00"]],
    )
    time_zone: str = Field(
        "",
        title="Time zone",
        description="Of the slots and dates. Empty: that of setup, in which all times are shown.",
        examples=["Europe/Berlin"],
        # A select with a search in the block's form, which checks nothing of what is typed.
        json_schema_extra={"enum": ["", *zone_names()]},
    )
    posts_per_slot: int = Field(1, title="Posts per slot", description="Limit for each account.", ge=1, le=10)
    posts_per_day: int = Field(
        0, title="Posts per day", description="Limit for each account. 0: no limit but the slots.", ge=0, le=100
    )
    closed_dates: list[str] = Field(
        default_factory=list,
        title="Closed dates",
        description="No slots on these dates. One row each: 2026-12-24, or 2026-12-24 to 2026-12-26.",
        examples=[["2026-12-24 to 2026-12-26"]],
    )
    paused: bool = Field(False, title="Paused", description="While this is on, no post is given a slot.")

    @field_validator("slots")
    @classmethod
    def _slots_can_be_read(cls, value: list[str]) -> list[str]:
        if not any(row.strip() for row in value):
            raise ValueError("Add at least one row, such as: all: daily 18:00.")
        return readable(value, read_rules)

    @field_validator("time_zone")
    @classmethod
    def _zone_is_there(cls, value: str) -> str:
        return readable(value, read_zone) if value.strip() else ""

    @field_validator("closed_dates")
    @classmethod
    def _dates_can_be_read(cls, value: list[str]) -> list[str]:
        return readable(value, read_closed)

    @cached_property
    def book(self) -> SlotBook:
        """The slots that the owner has set."""
        return SlotBook(
            rules=read_rules(self.slots),
            zone=read_zone(self.time_zone) if self.time_zone else shown_zone(),
            per_slot=self.posts_per_slot,
            per_day=self.posts_per_day,
            closed=read_closed(self.closed_dates),
            is_paused=self.paused,
        )
