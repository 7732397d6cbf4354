"""Credentials, hosts and settings: most blocks hold a secret or an address, and build a client from it.

``prefect block register -m blocks`` registers all of them.
"""

from typing import Any

from blocks.chatgpt import ChatGPTSettings
from blocks.posting_slots import PostingSlots
from blocks.reelflow_ledger import ReelflowLedger
from blocks.taisly_account import TaislyAccount
from blocks.tikmatrix_host import TikMatrixHost

__all__ = ["ChatGPTSettings", "PostingSlots", "ReelflowLedger", "TaislyAccount", "TikMatrixHost"]

BY_SLUG: dict[str, type[Any]] = {
    block.get_block_type_slug(): block
    for block in (ChatGPTSettings, PostingSlots, ReelflowLedger, TaislyAccount, TikMatrixHost)
}
"""The block classes by the slug that Prefect knows them by."""
