"""Credentials and hosts. Each block holds a secret or an address and builds a client from it.

``prefect block register -m blocks`` registers all of them.
"""

from blocks.chatgpt import ChatGPTSettings
from blocks.taisly_account import TaislyAccount
from blocks.tikmatrix_host import TikMatrixHost

__all__ = ["ChatGPTSettings", "TaislyAccount", "TikMatrixHost"]
