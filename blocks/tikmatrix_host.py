"""The block for one PC that runs TikMatrix."""

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl

from reelflow.errors import NotAllowed
from reelflow.tikmatrix.client import BASE_URL, SERVICE, TikMatrixClient
from reelflow.tikmatrix.wire import License


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
