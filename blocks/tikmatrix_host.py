"""The block for one PC that runs TikMatrix."""

from datetime import time
from functools import cached_property
from typing import Annotated, Self

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, WithJsonSchema, field_validator, model_validator

from blocks.readable import readable
from reelflow.errors import NotAllowed
from reelflow.fields import TIME_OF_DAY
from reelflow.phones.limits import PHONE_ROW, Guardrails, read_phones
from reelflow.tikmatrix.client import BASE_URL, SERVICE, TikMatrixClient
from reelflow.tikmatrix.wire import License
from reelflow.time_zones import read_zone, shown_zone, zone_names


class TikMatrixHost(Block):
    """One PC with TikMatrix and the phones connected to it.

    Example:
        Load a saved block and see what its licence includes:

        ```python
        from blocks import TikMatrixHost

        host = TikMatrixHost.load("BLOCK_NAME")
        print(host.check())
        ```
    """

    _block_type_name = "TikMatrix Host"
    _block_type_slug = "tikmatrix-host"
    _description = "A PC on which TikMatrix runs scripts on your own Android phones."
    # Prefect's own picture for this kind of block: one of ours would need a public address.
    _logo_url = HttpUrl(
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/webhook.png"
    )
    _documentation_url = HttpUrl("https://www.tikmatrix.com")

    # Required for the owner's sake, and because a block without a required field cannot be a flow parameter: Prefect's
    # server accepts a reference to it both as a reference and as the block itself, and rejects the run for that.
    phones: list[Annotated[str, WithJsonSchema({"type": "string", "pattern": PHONE_ROW})]] = Field(
        min_length=1,
        title="Your phones",
        description="One row per phone: SERIAL: username, username (Instagram). Usernames without (Instagram) are "
        "TikTok accounts. No other phones are ever used; choose usernames to use only these accounts.",
        examples=[["R58N01SANDBOX: ada.daily, ada.studio (Instagram)"]],
    )
    base_url: str = Field(
        BASE_URL,
        title="Base URL",
        description="Address of TikMatrix's local API on the PC that runs the flow. "
        "For the sandbox: http://127.0.0.1:8099/api/v1.",
        examples=["http://127.0.0.1:8099/api/v1"],
    )
    allow_remote: bool = Field(
        False,
        title="Allow remote address",
        description="Allow a base URL on another machine. The API has no password: anyone who can reach it "
        "controls the phones. Running a worker on the phone PC is safer.",
    )

    warm_ups_per_day: int = Field(
        2, title="Warm-ups per day", description="Limit for each account.", ge=0, le=1000
    )  # fmt: skip
    comments_per_day: int = Field(
        10, title="Comments per day", description="Limit for each account.", ge=0, le=1000
    )  # fmt: skip
    follows_per_day: int = Field(15, title="Follows per day", description="Limit for each account.", ge=0, le=1000)
    unfollows_per_day: int = Field(15, title="Unfollows per day", description="Limit for each account.", ge=0, le=1000)
    posts_per_day: int = Field(3, title="Posts per day", description="Limit for each account.", ge=0, le=1000)
    time_zone: str = Field(
        "",
        title="Time zone",
        description="For daily limits and quiet hours. Empty: that of setup, in which all times are shown.",
        examples=["Europe/Berlin"],
        # A select with a search in the block's form, which checks nothing of what is typed.
        json_schema_extra={"enum": ["", *zone_names()]},
    )
    quiet_from: str = Field(
        "", title="Quiet from (HH:MM)",
        description="From this time on, no run creates or retries tasks. Empty: no quiet hours.",
        pattern=TIME_OF_DAY, examples=["22:00"],
    )  # fmt: skip
    quiet_until: str = Field(
        "", title="Quiet until (HH:MM)", description="When runs may create tasks again. May be the next morning.",
        pattern=TIME_OF_DAY, examples=["07:00"],
    )  # fmt: skip
    auto_retry: bool = Field(
        True,
        title="TikMatrix retries failed tasks",
        description="Whether Auto Retry is on in TikMatrix. If so, a failure is final after a minute without change.",
    )
    poll_seconds: float = Field(
        10, title="Check every (seconds)", description="How often to check running tasks.", gt=0, le=600
    )

    @field_validator("phones")
    @classmethod
    def _phones_can_be_read(cls, value: list[str]) -> list[str]:
        return readable(value, read_phones)

    @field_validator("time_zone")
    @classmethod
    def _zone_is_there(cls, value: str) -> str:
        return readable(value, read_zone) if value.strip() else ""

    @model_validator(mode="after")
    def _quiet_hours_are_whole(self) -> Self:
        if bool(self.quiet_from) != bool(self.quiet_until):
            raise ValueError("Quiet hours need both times: from and until.")
        return self

    @property
    def key(self) -> str:
        """The name of this PC in the ledger: that of the saved block, or its address.

        Every PC has the same local address, so only the name tells them apart.
        """
        return self._block_document_name or self.base_url.rstrip("/")

    @cached_property
    def guardrails(self) -> Guardrails:
        """The phones and limits that the owner has set."""
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
            zone=read_zone(self.time_zone) if self.time_zone else shown_zone(),
            quiet=quiet,
        )

    def get_client(self) -> TikMatrixClient:
        """A client for this PC. Use it in a `with` statement.

        Raises:
            InputError: the base URL cannot be used.
        """
        return TikMatrixClient(self.base_url, allow_remote=self.allow_remote)

    def check(self) -> License:
        """The licence; proves in one request that TikMatrix is running and that the licence includes the API.

        Raises:
            ServiceError: TikMatrix cannot be reached, or its licence does not include the API.
        """
        with self.get_client() as client:
            found = client.license()
        if not found.api_enabled:
            raise NotAllowed(
                f"The TikMatrix licence {found.plan_name or '(unknown)'} does not include the API. "
                "You need Pro, Team or Business.",
                service=SERVICE,
            )
        return found
