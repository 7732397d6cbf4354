"""The block for one Taisly account."""

from contextlib import suppress
from functools import cache

import httpx
from prefect.blocks.core import Block
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import Field, HttpUrl, SecretStr

from blocks.reference import load_saved, read_values, saved_names
from reelflow.addresses import same_address
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger, key_fingerprint
from reelflow.posts.clients import AccountsByClient, Client
from reelflow.posts.history import GRACE
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.request_limit import Plan
from reelflow.posts.watching import FIRST_PAUSE
from reelflow.records.posts import Account
from reelflow.taisly.client import BASE_URL, TaislyClient
from reelflow.time_zones import DAY


class TaislyAccount(Block):
    """One Taisly account: its API key, plan and API address.

    Example:
        Load a saved block and list the connected accounts:

        ```python
        from blocks import TaislyAccount

        taisly = TaislyAccount.load("BLOCK_NAME")
        with taisly.get_client() as client:
            print(client.platforms())
        ```
    """

    _block_type_name = "Taisly Account"
    _block_type_slug = "taisly-account"
    _description = "A Taisly account, which posts videos to TikTok, Instagram, YouTube, X and Facebook."
    # Prefect's own picture for this kind of block: one of ours would need a public address.
    _logo_url = HttpUrl(
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/secret.png"
    )
    _documentation_url = HttpUrl("https://app.taisly.com")

    api_key: SecretStr = Field(
        title="API key",
        description="From Taisly's settings; it begins with 'taisly_'. For the sandbox: taisly_sandbox.",
        examples=["taisly_sandbox"],
    )
    base_url: str = Field(
        BASE_URL,
        title="Base URL",
        description="Address of Taisly's API. For the sandbox: http://127.0.0.1:8099/api/private.",
        examples=["http://127.0.0.1:8099/api/private"],
    )
    plan: Plan = Field(
        "STARTER",
        title="Plan",
        description="Your Taisly plan: STARTER 50, INFLUENCER 200, PRO 1000 requests an hour. The FREE plan does not "
        "include the API.",
    )
    first_look_seconds: float = Field(
        FIRST_PAUSE,
        title="First check after (seconds)",
        description="When to check a new post's outcome for the first time. Later checks are further apart.",
        gt=0,
        le=600,
    )

    unconfirmed_after_minutes: float = Field(
        GRACE / 60,
        title="Unconfirmed after (minutes)",
        description="If Taisly's answer was lost: how long to look for the post in Taisly's history before you are "
        "asked to check.",
        ge=0,
        le=1440,
    )

    duplicate_hours: float = Field(
        DAY / 3600,
        title="Refuse the same video within (hours)",
        description="A video that was sent to an account within this time is not sent there again with another caption "
        "or time, unless 'Send again on purpose' is set. While the outcome of the earlier post is not known, it is "
        "always refused.",
        ge=0,
        le=8760,
    )

    @property
    def duplicate_seconds(self) -> float:
        """How far apart the same video may be published to the same account, in seconds."""
        return self.duplicate_hours * 3600

    @property
    def grace_seconds(self) -> float:
        """How long to look for a post whose answer was lost, in seconds."""
        return self.unconfirmed_after_minutes * 60

    @property
    def resend_after_seconds(self) -> float:
        """How long to look for a post that Taisly answered with 429 before it is sent again, in seconds.

        Asking a person sooner is no reason to send again sooner.
        """
        return max(GRACE, self.grace_seconds)

    @property
    def service(self) -> str:
        """The name of this service in the ledger: its address."""
        return same_address(self.base_url)

    @property
    def client(self) -> str:
        """The client whose account it is: the name of the saved block; empty if it is not saved."""
        return self._block_document_name or ""

    def get_client(self) -> TaislyClient:
        """A client with this key. Use it in a `with` statement.

        Raises:
            InputError: the key or the base URL cannot be used.
        """
        return TaislyClient(self.api_key.get_secret_value(), self.base_url)

    def get_rate_limited(self, ledger: Ledger) -> RateLimitedTaisly:
        """A client that stays within the plan, with requests counted in `ledger`. Use it in a `with` statement.

        Raises:
            InputError: the key or the base URL cannot be used.
        """
        return RateLimitedTaisly(
            self.get_client(),
            ledger,
            api_key=self.api_key.get_secret_value(),
            service=self.service,
            plan=self.plan,
            fresh_key=self.saved_key,
            whose=Client(self.client, cache(lambda: _other_clients(ledger, self.client))),
        )

    def fingerprint(self) -> str:
        """The name of this key in the ledger, which does not give it away."""
        return key_fingerprint(self.api_key.get_secret_value(), self.service)

    def saved_key(self) -> str | None:
        """The key that the saved block has now; None if this is none, or the server does not tell it."""
        if self._block_document_id is None:
            return None
        data = read_values(self._block_document_id)
        return str(data["api_key"]) if data.get("api_key") else None


def _other_clients(ledger: Ledger, name: str) -> AccountsByClient:
    """The other saved clients, with their accounts as the ledger knows them; none if the server does not tell."""
    found: dict[str, list[Account]] = {}
    with suppress(httpx.HTTPError, PrefectHTTPStatusError):
        for other in saved_names(TaislyAccount):
            if other != name:
                found[other] = []
                with suppress(ReelflowError, RuntimeError):
                    if block := load_saved(TaislyAccount, other):
                        found[other] = ledger.known_accounts(block.fingerprint(), float("inf")) or []
    return found
