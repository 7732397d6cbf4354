"""The block for one PC that runs TikMatrix."""

from collections.abc import Callable
from datetime import time
from typing import Self, TypeVar

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, field_validator, model_validator

from reelflow.errors import InputError, NotAllowed
from reelflow.phones.engagement import Guardrails, read_phones, read_zone
from reelflow.tikmatrix.client import BASE_URL, SERVICE, TikMatrixClient
from reelflow.tikmatrix.wire import License

T = TypeVar("T")


class TikMatrixHost(Block):
    """One PC with TikMatrix and the phones that hang on it.

    Example:
        Load a block that was saved before, and see what its licence permits:

        ```python
        from blocks import TikMatrixHost

        host = TikMatrixHost.load("BLOCK_NAME")
        print(host.check())
        ```
    """

    _block_type_name = "TikMatrix Host"
    _block_type_slug = "tikmatrix-host"
    _description = "A PC on which TikMatrix runs scripts on your own Android phones."
    # Prefect's own picture for this kind of block: one of ours would need a public address to be shown from.
    _logo_url = HttpUrl(
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/webhook.png"
    )
    _documentation_url = HttpUrl("https://www.tikmatrix.com")

    # Required, for the owner's sake, and since a block without any required field is no flow parameter: Prefect's
    # server finds a reference to it valid as a reference and as the block itself, and refuses the run for that.
    phones: list[str] = Field(
        min_length=1,
        title="Your phones",
        description="One row for each: SERIAL: username, username (Instagram). Nothing else is ever touched. "
        "Usernames are TikTok's unless (Instagram) is behind them.",
        examples=[["R58N01SANDBOX: ada.daily, ada.studio (Instagram)"]],
    )
    base_url: str = Field(
        BASE_URL,
        title="Base URL",
        description="TikMatrix's local API on the PC that runs the flow. "
        "For the sandbox: http://127.0.0.1:8099/api/v1.",
        examples=["http://127.0.0.1:8099/api/v1"],
    )
    allow_remote: bool = Field(
        False,
        title="Allow another machine",
        description="Permit an address that is not this machine. The API has no password: whoever reaches it "
        "controls the phones. Better run a worker on the PC itself.",
    )

    warm_ups_per_day: int = Field(
        2, title="Warm-ups a day", description="At most, for each account.", ge=0, le=1000
    )  # fmt: skip
    comments_per_day: int = Field(
        10, title="Comments a day", description="At most, for each account.", ge=0, le=1000
    )  # fmt: skip
    follows_per_day: int = Field(15, title="Follows a day", description="At most, for each account.", ge=0, le=1000)
    unfollows_per_day: int = Field(15, title="Unfollows a day", description="At most, for each account.", ge=0, le=1000)
    posts_per_day: int = Field(3, title="Posts a day", description="At most, for each account.", ge=0, le=1000)
    time_zone: str = Field(
        "UTC",
        title="Time zone",
        description="In which your days and quiet hours are counted, such as Europe/Berlin.",
        examples=["Europe/Berlin"],
    )
    quiet_from: str = Field(
        "", title="Quiet from (HH:MM)", description="From then on nothing is started. Empty: no quiet hours.",
        pattern=r"^$|^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["22:00"],
    )  # fmt: skip
    quiet_until: str = Field(
        "", title="Quiet until (HH:MM)", description="May be the next morning.",
        pattern=r"^$|^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["07:00"],
    )  # fmt: skip
    auto_retry: bool = Field(
        True,
        title="TikMatrix repeats failed tasks",
        description="Its setting Auto Retry. If it is on, a failure is final only after a minute without change.",
    )
    poll_seconds: float = Field(
        10, title="Look every (seconds)", description="How often running tasks are looked at.", gt=0, le=600
    )

    @field_validator("phones")
    @classmethod
    def _phones_can_be_read(cls, value: list[str]) -> list[str]:
        return _said(value, read_phones)

    @field_validator("time_zone")
    @classmethod
    def _zone_is_there(cls, value: str) -> str:
        return _said(value, read_zone)

    @model_validator(mode="after")
    def _quiet_hours_are_whole(self) -> Self:
        if bool(self.quiet_from) != bool(self.quiet_until):
            raise ValueError("Quiet hours need both: from, and until.")
        return self

    @property
    def key(self) -> str:
        """The name under which the ledger knows this PC: the saved block's, or its address.

        All PCs have the same address, each for itself, so that the name is what tells them apart.
        """
        return self._block_document_name or self.base_url.rstrip("/")

    @property
    def guardrails(self) -> Guardrails:
        """What the owner permits."""
        quiet = (time.fromisoformat(self.quiet_from), time.fromisoformat(self.quiet_until)) if self.quiet_from else None
        return Guardrails(
            phones=read_phones(self.phones),
            limits={
                "account_warmup": self.warm_ups_per_day,
                "comment": self.comments_per_day,
                "follow": self.follows_per_day,
                "unfollow": self.unfollows_per_day,
                "post": self.posts_per_day,
            },
            zone=read_zone(self.time_zone),
            quiet=quiet,
        )

    def get_client(self) -> TikMatrixClient:
        """A client for this PC. Use it in a `with` statement.

        Raises:
            InputError: the base URL cannot be used.
        """
        return TikMatrixClient(self.base_url, allow_remote=self.allow_remote)

    def check(self) -> License:
        """The licence: proves in one request that TikMatrix runs and permits its API.

        Raises:
            ServiceError: it cannot be reached, or its licence has no API.
        """
        with self.get_client() as client:
            found = client.license()
        if not found.api_enabled:
            raise NotAllowed(
                f"The TikMatrix licence {found.plan_name or '(unknown)'} does not include the API; "
                "it needs Pro, Team or Business.",
                service=SERVICE,
            )
        return found


def _said(value: T, read: Callable[[T], object]) -> T:
    """`value`, if it can be read; pydantic takes ValueError only, and shows its words at the field."""
    try:
        read(value)
    except InputError as error:
        raise ValueError(str(error)) from None
    return value
