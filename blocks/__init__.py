"""Credentials and hosts: each block holds a secret or an address, and builds a client from it.

``prefect block register -m blocks`` registers all of them.
"""

from typing import Any

from blocks.chatgpt import ChatGPTSettings
from blocks.reelflow_ledger import ReelflowLedger
from blocks.taisly_account import TaislyAccount
from blocks.tikmatrix_host import TikMatrixHost

__all__ = ["ChatGPTSettings", "ReelflowLedger", "TaislyAccount", "TikMatrixHost"]

BY_SLUG: dict[str, type[Any]] = {
    block.get_block_type_slug(): block for block in (ChatGPTSettings, ReelflowLedger, TaislyAccount, TikMatrixHost)
}
"""The block classes by the slug that Prefect knows them by."""
