"""Saved clients: Taisly accounts of the sandbox as blocks on a Prefect server."""

from blocks import TaislyAccount
from support.sandbox import SandboxWithClients


def save_client(two: SandboxWithClients, name: str, *, key: str = "") -> None:
    """Save the block of one of the sandbox's further clients, with its key or another one."""
    block = TaislyAccount(api_key=key or two.key_of(name), base_url=two.taisly_url, plan="PRO", first_look_seconds=0.05)
    block.save(name, overwrite=True)
