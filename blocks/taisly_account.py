"""The block for one Taisly account."""

from typing import Literal

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr

from reelflow.ledger import Ledger
from reelflow.metered import MeteredTaisly
from reelflow.models import Account
from reelflow.taisly.client import BASE_URL, TaislyClient
from reelflow.watching import FIRST_PAUSE, GRACE


class TaislyAccount(Block):
    """One Taisly account: its API key, and where Taisly is.

    Example:
        Load a block that was saved before, and list the connected accounts:

        ```python
        from blocks import TaislyAccount

        taisly = TaislyAccount.load("BLOCK_NAME")
        with taisly.get_client() as client:
            print(client.platforms())
        ```
    """

    _block_type_name = "Taisly Account"
    _block_type_slug = "taisly-account"
    _description = "API key of a Taisly account, which posts one video to TikTok, Instagram, YouTube, X and Facebook."
    # Prefect's own picture for this kind of block: one of ours would need a public address to be shown from.
    _logo_url = HttpUrl(
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/secret.png"
    )
    _documentation_url = HttpUrl("https://app.taisly.com")

    api_key: SecretStr = Field(
        title="API key",
        description="From Taisly's settings; begins with 'taisly_'. The sandbox takes 'taisly_sandbox'.",
        examples=["taisly_sandbox"],
    )
    base_url: str = Field(
        BASE_URL,
        title="Base URL",
        description="Taisly's API. For the sandbox: http://127.0.0.1:8099/api/private.",
        examples=["http://127.0.0.1:8099/api/private"],
    )
    plan: Literal["STARTER", "INFLUENCER", "PRO"] = Field(
        "STARTER",
        title="Plan",
        description="Your plan at Taisly: 50, 200 or 1000 requests an hour. The FREE plan has no API.",
    )
    first_look_seconds: float = Field(
        FIRST_PAUSE,
        title="First look after (seconds)",
        description="How soon a new post's outcome is looked up; the pauses grow from there.",
        gt=0,
        le=600,
    )

    unclear_after_minutes: float = Field(
        GRACE / 60,
        title="Unclear after (minutes)",
        description="A post whose answer was lost is looked for in Taisly's history for this long; then you are asked.",
        ge=0,
        le=1440,
    )

    @property
    def service(self) -> str:
        """The name under which the ledger knows this service: its address."""
        return self.base_url.rstrip("/")

    def get_client(self) -> TaislyClient:
        """A client with this key. Use it in a `with` statement.

        Raises:
            InputError: the key or the base URL cannot be used.
        """
        return TaislyClient(self.api_key.get_secret_value(), self.base_url)

    def get_metered(self, ledger: Ledger) -> MeteredTaisly:
        """The client within the plan: its requests are counted in `ledger`. Use it in a `with` statement.

        Raises:
            InputError: the key or the base URL cannot be used.
        """
        key = self.api_key.get_secret_value()
        return MeteredTaisly(self.get_client(), ledger, api_key=key, service=self.service, plan=self.plan)

    def check(self) -> list[Account]:
        """The connected accounts: proves in one request that address, key and plan are right.

        Raises:
            ServiceError: Taisly cannot be reached, or does not accept the key or the plan.
        """
        with self.get_client() as client:
            found = client.platforms()
        return [Account(id=a.id, platform=a.platform, name=a.display_name) for a in found]
