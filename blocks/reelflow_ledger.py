"""The block that names the one ledger of a Prefect server."""

from typing import Self

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr

from reelflow.ledger import Ledger


class ReelflowLedger(Block):
    """The ledger that every program of this Prefect server uses.

    Saved once under the name "main": by ``reelflow setup --ledger-url``, or by the first run. Change it with
    ``reelflow ledger move`` or ``reelflow ledger use``, which look for earlier posts first.

    Example:
        Load the saved block and open its ledger:

        ```python
        from blocks import ReelflowLedger

        ledger = ReelflowLedger.load("BLOCK_NAME").get_ledger()
        print(ledger.identity().sends)
        ```
    """

    _block_type_name = "Reelflow Ledger"
    _block_type_slug = "reelflow-ledger"
    _description = "Where reelflow records what was sent. Written by reelflow; do not edit it."
    # Prefect's own picture for this kind of block: one of ours would need a public address.
    _logo_url = HttpUrl(
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/secret.png"
    )
    _documentation_url = HttpUrl("https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls")

    url: SecretStr = Field(
        title="URL",
        description="The database's URL, with its password if it has one. Do not edit it: use `reelflow ledger move` "
        "or `reelflow ledger use`.",
    )
    ledger_id: str = Field(
        title="Ledger ID", description="Identifies the ledger, whichever URL leads to it.", min_length=1
    )
    place: str = Field(title="Location", description="The database, without its password.")

    @classmethod
    def of(cls, ledger: Ledger) -> Self:
        """The block for a ledger, which is opened for that."""
        return cls(url=SecretStr(ledger.full_url), ledger_id=ledger.identity().id, place=ledger.full_place)

    def get_ledger(self) -> Ledger:
        """The ledger at this URL; the database is opened at its first use."""
        return Ledger(self.url.get_secret_value())
